//! An analysis, in a page.

use super::{percent, printable, wrap};
use crate::documents::analysis::{
    Analysis, Sentiment, SentimentLabel, SentimentScore, SpeakerTalk, Talk,
};

/// So many entries of a list are shown.
const SHOWN: usize = 5;
const LABEL_COLUMNS: usize = 14;

/// What was found, without the evidence. What was not judged is left out.
pub fn analysis(analysis: &Analysis) -> String {
    let engine = printable(&analysis.engine.label);
    let mut page = Page {
        text: format!("Analysis: {engine}\n\n"),
    };
    let texts = analysis.summary.iter().flatten().map(|of| of.text.as_str());
    page.list("Summary", texts);
    if let Some(sentiment) = &analysis.sentiment {
        page.line("Sentiment", &sentiments(sentiment));
    }
    let topics = analysis.topics.iter().flatten().map(|of| of.name.as_str());
    page.words("Topics", topics);
    let phrases = analysis.key_phrases.iter().flatten();
    page.words("Key phrases", phrases.map(|of| of.text.as_str()));
    let items = analysis.action_items.iter().flatten();
    page.list("Action items", items.map(|of| of.text.as_str()));
    let questions = analysis.questions.iter().flatten();
    page.list("Questions", questions.map(|of| of.quote.text.as_str()));
    if let Some(outcome) = &analysis.outcome {
        page.line("Outcome", &outcome.text);
    }
    let flags = analysis.risk_flags.iter().flatten();
    page.list("To look at", flags.map(|of| of.detail.as_str()));
    let speakers: Vec<_> = analysis.talk.speakers.iter().map(talk).collect();
    page.list("Talk", speakers.iter().map(String::as_str));
    page.line("Silence", &silence(&analysis.talk));
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, label: &str, text: &str) {
        let first = format!("  {label:LABEL_COLUMNS$}");
        self.text.push_str(&wrap(&first, text));
        self.text.push('\n');
    }

    /// Short entries on one line.
    fn words<'a>(&mut self, label: &str, words: impl Iterator<Item = &'a str>) {
        let words: Vec<_> = words.take(SHOWN).collect();
        if !words.is_empty() {
            self.line(label, &words.join(", "));
        }
    }

    /// Long entries, each on a line of its own.
    fn list<'a>(&mut self, label: &str, entries: impl Iterator<Item = &'a str>) {
        let entries: Vec<_> = entries.collect();
        for (index, entry) in entries.iter().take(SHOWN).enumerate() {
            let label = if index == 0 { label } else { "" };
            let first = format!("  {label:LABEL_COLUMNS$}- ");
            self.text.push_str(&wrap(&first, entry));
            self.text.push('\n');
        }
        if entries.len() > SHOWN {
            self.line("", &format!("({} more)", entries.len() - SHOWN));
        }
    }
}

fn sentiments(sentiment: &Sentiment) -> String {
    let score = |of: &SentimentScore| format!("{} ({:+.2})", word(of.label), of.score);
    let mut parts = vec![score(&sentiment.overall)];
    for of in &sentiment.speakers {
        parts.push(format!("{} {}", of.speaker, score(&of.sentiment)));
    }
    parts.join(", ")
}

const fn word(label: SentimentLabel) -> &'static str {
    match label {
        SentimentLabel::Positive => "positive",
        SentimentLabel::Neutral => "neutral",
        SentimentLabel::Negative => "negative",
        SentimentLabel::Mixed => "mixed",
    }
}

fn talk(speaker: &SpeakerTalk) -> String {
    let mut parts = vec![format!("{:.1} s", seconds(speaker.talk_ms))];
    if let Some(share) = speaker.talk_ratio {
        parts.push(format!("{} of the talk", percent(share)));
    }
    if let Some(rate) = speaker.words_per_minute {
        parts.push(format!("{rate:.0} words a minute"));
    }
    match speaker.interruptions {
        None | Some(0) => {}
        Some(1) => parts.push("interrupted once".to_owned()),
        Some(count) => parts.push(format!("interrupted {count} times")),
    }
    format!("{}: {}", speaker.speaker, parts.join(", "))
}

fn silence(talk: &Talk) -> String {
    let mut parts = vec![format!("{:.1} s", seconds(talk.silence_ms))];
    if let Some(share) = talk.silence_ratio {
        parts.push(format!("{} of the time", percent(share)));
    }
    if let Some(overlap_ms) = talk.overlap_ms {
        parts.push(format!("both speak for {:.1} s", seconds(overlap_ms)));
    }
    parts.join(", ")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "shown with one decimal of a second"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::terminal::WIDTH;

    /// Read from JSON as a client reads it.
    fn document() -> Analysis {
        serde_json::from_str(include_str!("../fixtures/analysis.json")).expect("an analysis")
    }

    #[test]
    fn a_page_fits_the_terminal() {
        let text = analysis(&document());
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_was_not_judged_is_left_out() {
        let mut document = document();
        document.summary = None;
        document.sentiment = None;
        document.action_items = Some(Vec::new());
        let text = analysis(&document);
        for label in ["Summary", "Sentiment", "Action items"] {
            assert!(!text.contains(label), "{text}");
        }
    }
}
