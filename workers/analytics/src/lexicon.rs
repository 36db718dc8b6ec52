//! The sentiment of a call whose agent named none.

use aftercall::calls::{CallRecord, Transcript};
use aftercall::documents::analysis::SentimentLabel;
use aftercall::lexicon::{Lexicon, Tally, reads};
use aftercall::rollups::Sentiment;
use anyhow::Context as _;

/// More than this is judged on a thread of its own: the lexicon reads some 5 MB/s, and a batch may hold
/// megabytes.
const MAX_BYTES_IN_PLACE: usize = 2 * 1024;

/// What was said in a call, apart from the record.
pub struct Said {
    language: Option<String>,
    texts: Vec<String>,
}

impl Said {
    /// `None` where the agent named a sentiment, or nothing was said.
    pub fn unless_judged(record: &CallRecord<'_>) -> Option<Self> {
        if record.given_sentiment().is_some() {
            return None;
        }
        let texts = match record.transcript.as_ref()? {
            Transcript::Text(text) => vec![text.to_string()],
            Transcript::Turns(turns) => turns.iter().map(|turn| turn.text.to_string()).collect(),
        };
        let language = record.language.as_deref().map(str::to_owned);
        Some(Self { language, texts })
    }

    fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }
}

/// The sentiment of each that has text which the lexicon reads.
pub async fn sentiments(
    lexicon: &Lexicon,
    said: Vec<Option<Said>>,
) -> anyhow::Result<Vec<Option<Sentiment>>> {
    let bytes: usize = said.iter().flatten().map(Said::bytes).sum();
    let lexicon = lexicon.clone();
    let judge = move || {
        let judged = said.iter().map(|said| sentiment(&lexicon, said.as_ref()?));
        judged.collect::<Vec<_>>()
    };
    if bytes <= MAX_BYTES_IN_PLACE {
        return Ok(judge());
    }
    let judged = tokio::task::spawn_blocking(judge);
    judged.await.context("the lexicon")
}

/// What the lexicon finds, as the local engine of the analysis worker would.
fn sentiment(lexicon: &Lexicon, said: &Said) -> Option<Sentiment> {
    let texts = || said.texts.iter().map(String::as_str);
    if texts().all(|text| text.trim().is_empty()) || !reads(said.language.as_deref(), texts()) {
        return None;
    }
    let mut all = Tally::default();
    for text in texts() {
        all.merge(&lexicon.judge(text));
    }
    Some(word_of(all.label()))
}

/// The word that rollups count a label as.
pub fn word_of(label: SentimentLabel) -> Sentiment {
    match label {
        SentimentLabel::Positive => Sentiment::Positive,
        SentimentLabel::Neutral => Sentiment::Neutral,
        SentimentLabel::Negative => Sentiment::Negative,
        SentimentLabel::Mixed => Sentiment::Mixed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(fields: &Value) -> Option<Sentiment> {
        let mut record = json!({ "client_id": "01980000-0000-7000-8000-000000000001" });
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        let record = record.to_string();
        let said = Said::unless_judged(&serde_json::from_str(&record).unwrap())?;
        sentiment(&Lexicon::load(), &said)
    }

    #[test]
    fn text_and_turns_are_judged_alike() {
        let turns = |texts: &[&str]| {
            let turns: Vec<_> = texts
                .iter()
                .map(|text| json!({ "speaker": "a", "text": text }))
                .collect();
            of(&json!({ "transcript": turns }))
        };
        let whole = |text: &str| of(&json!({ "transcript": text }));
        assert_eq!(whole("I love it. Wonderful!"), Some(Sentiment::Positive));
        assert_eq!(
            turns(&["I love it.", "Wonderful!"]),
            Some(Sentiment::Positive)
        );
        assert_eq!(
            turns(&["This is terrible.", "I hate waiting."]),
            Some(Sentiment::Negative)
        );
        assert_eq!(
            turns(&["I love it.", "That is terrible."]),
            Some(Sentiment::Mixed)
        );
        assert_eq!(whole("The door is at the back."), Some(Sentiment::Neutral));
    }

    #[test]
    fn what_it_cannot_read_it_does_not_judge() {
        assert_eq!(of(&json!({})), None);
        assert_eq!(of(&json!({ "transcript": " \n" })), None);
        assert_eq!(of(&json!({ "transcript": [] })), None);
        assert_eq!(
            of(&json!({ "transcript": "Wunderbar, love it!", "language": "de" })),
            None
        );
        assert_eq!(of(&json!({ "transcript": "Καλημέρα σας" })), None);
    }

    #[tokio::test]
    async fn many_are_judged_in_their_order() {
        let (lexicon, line) = (Lexicon::load(), "I love it. ");
        let said = |text: String| {
            let record = json!({ "client_id": "01980000-0000-7000-8000-000000000001",
                "transcript": text })
            .to_string();
            Said::unless_judged(&serde_json::from_str(&record).unwrap())
        };
        let all = vec![
            said("This is terrible.".to_owned()),
            None,
            said(line.repeat(MAX_BYTES_IN_PLACE)),
            said(" ".to_owned()),
        ];
        let judged = sentiments(&lexicon, all).await.unwrap();
        let expected = [
            Some(Sentiment::Negative),
            None,
            Some(Sentiment::Positive),
            None,
        ];
        assert_eq!(judged, expected);
    }

    #[test]
    fn what_the_agent_judged_is_left() {
        let record = json!({ "client_id": "01980000-0000-7000-8000-000000000001",
            "transcript": "I love it.", "sentiment": "odd" })
        .to_string();
        assert!(Said::unless_judged(&serde_json::from_str(&record).unwrap()).is_none());
    }

    /// `cargo test -p aftercall-analytics --release -- --ignored --nocapture lexicon`
    #[test]
    #[ignore = "prints a figure"]
    fn cost_of_a_call() {
        let lexicon = Lexicon::load();
        let line =
            "Thanks for calling, how can I help you today? I would like to move my appointment. ";
        for bytes in [1_500, 200_000] {
            let record = json!({ "client_id": "01980000-0000-7000-8000-000000000001",
                "transcript": line.repeat(bytes / line.len()) })
            .to_string();
            let said = Said::unless_judged(&serde_json::from_str(&record).unwrap()).unwrap();
            let began = std::time::Instant::now();
            let times = 3_000_000 / u32::try_from(bytes).unwrap();
            for _ in 0..times {
                assert!(sentiment(&lexicon, &said).is_some());
            }
            println!("{bytes} bytes: {:?}", began.elapsed() / times);
        }
    }
}
