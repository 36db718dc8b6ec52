//! Where each field comes from: method or reason, engine, cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Names of the fields that an engine judges, as [`Provenance`] uses them.
pub mod field {
    pub const SUMMARY: &str = "summary";
    pub const SENTIMENT: &str = "sentiment";
    pub const TOPICS: &str = "topics";
    pub const KEY_PHRASES: &str = "key_phrases";
    pub const ACTION_ITEMS: &str = "action_items";
    pub const QUESTIONS: &str = "questions";
    pub const OUTCOME: &str = "outcome";
    pub const RISK_FLAGS: &str = "risk_flags";
    pub const SILENCE_RATIO: &str = "talk.silence_ratio";
    pub const OVERLAP: &str = "talk.overlap_ms";
    pub const INTERRUPTIONS: &str = "talk.interruptions";
    pub const SPEAKER_WORDS: &str = "talk.speakers.words";
    pub const SPEAKER_LISTEN: &str = "talk.speakers.listen_ms";
    pub const SPEAKER_TALK_RATIO: &str = "talk.speakers.talk_ratio";
    pub const SPEAKER_RATE: &str = "talk.speakers.words_per_minute";
    pub const SPEAKER_INTERRUPTIONS: &str = "talk.speakers.interruptions";
}

/// How each judged field was made, or why it is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Provenance {
    /// Method by field, for the fields that are not null.
    pub methods: BTreeMap<String, String>,
    /// Reason by field, for the fields that are null. A field below `talk.speakers` is named here
    /// when it is null for at least one speaker.
    pub unavailable: BTreeMap<String, Unavailable>,
    /// What a model said and the transcript does not bear out; absent where no model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

/// What was left out of a model's answer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema,
)]
pub struct Dropped {
    /// Quotes that were not said, or that hold a link or markup.
    pub quotes: u32,
    /// Findings that were left without a quote, or whose text held a link.
    pub findings: u32,
}

impl Provenance {
    /// Turns a judgement into the document's field and notes how it came about.
    pub fn record<T>(&mut self, field: &str, method: &str, judged: Result<T, Reason>) -> Option<T> {
        match judged {
            Ok(value) => {
                self.methods.insert(field.to_owned(), method.to_owned());
                Some(value)
            }
            Err(reason) => {
                self.missing(field, reason);
                None
            }
        }
    }

    /// Notes why a field is null.
    pub fn missing(&mut self, field: &str, reason: Reason) {
        self.unavailable.insert(field.to_owned(), reason.into());
    }
}

/// Why a field is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Unavailable {
    /// A stable code; more may be added.
    pub code: String,
    /// The same as a sentence for people.
    pub detail: String,
}

/// The reasons that this code gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NoSpeech,
    TooLittleText,
    LanguageNotSupported,
    SpeakersNotSeparated,
    OneSpeaker,
    NoDuration,
    NoTalkTime,
    WordsNotSeparated,
    NeedsModel,
    NoEvidence,
}

impl Reason {
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSpeech => "no_speech",
            Self::TooLittleText => "too_little_text",
            Self::LanguageNotSupported => "language_not_supported",
            Self::SpeakersNotSeparated => "speakers_not_separated",
            Self::OneSpeaker => "one_speaker",
            Self::NoDuration => "no_duration",
            Self::NoTalkTime => "no_talk_time",
            Self::WordsNotSeparated => "words_not_separated",
            Self::NeedsModel => "needs_model",
            Self::NoEvidence => "no_evidence",
        }
    }

    pub const fn detail(self) -> &'static str {
        match self {
            Self::NoSpeech => "nobody spoke",
            Self::TooLittleText => "too little was said to judge this",
            Self::LanguageNotSupported => "the engine reads English only",
            Self::SpeakersNotSeparated => {
                "one channel carries everybody, so speakers are not told apart"
            }
            Self::OneSpeaker => "only one speaker spoke",
            Self::NoDuration => "the recording has no length",
            Self::NoTalkTime => "the turns have no length",
            Self::WordsNotSeparated => "the language is written without spaces between words",
            Self::NeedsModel => {
                "this engine does not judge it; an engine with a language model can"
            }
            Self::NoEvidence => "the model found nothing that the transcript bears out",
        }
    }
}

impl From<Reason> for Unavailable {
    fn from(reason: Reason) -> Self {
        Self {
            code: reason.code().to_owned(),
            detail: reason.detail().to_owned(),
        }
    }
}

/// What made the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Engine {
    pub name: String,
    pub version: String,
    /// Null where no model was used.
    pub model: Option<String>,
    /// Hash of the prompts; null where there are none.
    pub prompt_version: Option<String>,
    /// What the engine is, in words for people.
    pub label: String,
}

/// What the analysis used, over all attempts, failed ones included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Cost {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Millionths of the currency's unit; null where no price is known.
    pub amount_micros: Option<i64>,
    /// ISO 4217; null where no price is known.
    pub currency: Option<String>,
    /// The price list that was used; null where no price is known.
    pub price_version: Option<String>,
    pub attempts: Vec<AttemptCost>,
}

/// What one request to a model used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct AttemptCost {
    pub outcome: AttemptOutcome,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub amount_micros: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    Succeeded,
    Failed,
}

#[cfg(test)]
mod tests {
    use super::{Provenance, Reason, field};

    #[test]
    fn a_field_is_named_with_its_method_or_its_reason() {
        let mut provenance = Provenance::default();
        assert_eq!(
            provenance.record(field::SUMMARY, "textrank", Ok(7)),
            Some(7)
        );
        assert_eq!(
            provenance.record::<u8>(field::OUTCOME, "model", Err(Reason::NeedsModel)),
            None
        );
        assert_eq!(provenance.methods[field::SUMMARY], "textrank");
        assert_eq!(provenance.unavailable[field::OUTCOME].code, "needs_model");
        assert_eq!(provenance.methods.len() + provenance.unavailable.len(), 2);
    }
}
