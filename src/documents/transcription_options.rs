//! What a request for a transcription may ask of the engine.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest name of a vocabulary
/// (<https://docs.aws.amazon.com/transcribe/latest/APIReference/API_Settings.html>).
const MAX_NAME_CHARS: usize = 200;
/// Longest language tag that is in use ([RFC 5646, 4.4.1](https://www.rfc-editor.org/rfc/rfc5646)).
const MAX_TAG_CHARS: usize = 35;
const MAX_SPEAKERS: u8 = 30;

/// What to ask of the engine in place of its settings; what is left out is as they say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TranscriptionOptions {
    /// Language of the speech (BCP 47), for example `en-US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Name of a custom vocabulary of the engine, which belongs to `language`. Amazon Transcribe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<String>,
    /// Speakers to tell apart on one channel, up to 30; 1 tells none apart. Amazon Transcribe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 30)]
    pub max_speakers: Option<u8>,
    /// Whether the engine leaves personal data out of the transcript. Amazon Transcribe; where another
    /// engine is asked to, the transcription fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redact_pii: Option<bool>,
    /// Whether a recording with two channels is analysed as a call. Amazon Transcribe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_analytics: Option<bool>,
}

impl TranscriptionOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The fields that are wrong, and how.
    pub fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if !is_word(self.language.as_deref(), MAX_TAG_CHARS) {
            found.push(("language", "must be a language tag such as en-US"));
        }
        if !is_word(self.vocabulary.as_deref(), MAX_NAME_CHARS) {
            found.push(("vocabulary", "must be 1 to 200 letters, digits, ., _ or -"));
        }
        if !self
            .max_speakers
            .is_none_or(|many| (1..=MAX_SPEAKERS).contains(&many))
        {
            found.push(("max_speakers", "must be from 1 to 30"));
        }
        found
    }
}

/// Whether a value is left out, or of the characters that names of engines are made of.
fn is_word(value: Option<&str>, max_chars: usize) -> bool {
    let known = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    value.is_none_or(|value| (1..=max_chars).contains(&value.len()) && value.chars().all(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_and_what_is_left_out_is_not_written() {
        let read = |text: &str| serde_json::from_str::<TranscriptionOptions>(text);
        let given = read(r#"{"language": "en-US"}"#).expect("options");
        assert!(given.mistakes().is_empty());
        let text = serde_json::to_string(&given).expect("plain data");
        assert_eq!(text, r#"{"language":"en-US"}"#);
        for (wrong, field) in [
            (r#"{"language": ""}"#, "language"),
            (r#"{"language": "en US"}"#, "language"),
            (r#"{"vocabulary": "a/b"}"#, "vocabulary"),
            (r#"{"max_speakers": 0}"#, "max_speakers"),
            (r#"{"max_speakers": 31}"#, "max_speakers"),
        ] {
            let found = read(wrong).expect("the shape").mistakes();
            assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [field]);
        }
        read(r#"{"max_speakers": -1}"#).expect_err("a count");
    }
}
