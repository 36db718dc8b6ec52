//! The sentiment of a call whose agent named none.

use aftercall::calls::{CallRecord, Transcript};
use aftercall::documents::analysis::SentimentLabel;
use aftercall::lexicon::{Lexicon, Tally, reads};
use aftercall::rollups::Sentiment;

/// What the lexicon finds in the text of a call, as the local engine of the analysis worker would;
/// `None` where there is no text, or none that it reads.
pub fn sentiment(lexicon: &Lexicon, record: &CallRecord<'_>) -> Option<Sentiment> {
    let texts: Vec<&str> = match record.transcript.as_ref()? {
        Transcript::Text(text) => vec![text],
        Transcript::Turns(turns) => turns.iter().map(|turn| &*turn.text).collect(),
    };
    if texts.iter().all(|text| text.trim().is_empty())
        || !reads(record.language.as_deref(), texts.iter().copied())
    {
        return None;
    }
    let mut all = Tally::default();
    for text in texts {
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
        sentiment(&Lexicon::load(), &serde_json::from_str(&record).unwrap())
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
            let record: CallRecord = serde_json::from_str(&record).unwrap();
            let began = std::time::Instant::now();
            let times = 3_000_000 / u32::try_from(bytes).unwrap();
            for _ in 0..times {
                assert!(sentiment(&lexicon, &record).is_some());
            }
            println!("{bytes} bytes: {:?}", began.elapsed() / times);
        }
    }
}
