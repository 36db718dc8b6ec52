//! Settings of the redaction of personal data.

use super::{ConfigError, Env};

/// What is redacted for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redaction {
    pub redact_pii: RedactPii,
}

/// Where placeholders stand for personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedactPii {
    Off,
    /// In what a language model is sent.
    Llm,
    /// There, and in what the API answers to whoever may not read the original.
    Always,
}

impl Redaction {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let words = [
            ("off", RedactPii::Off),
            ("llm", RedactPii::Llm),
            ("always", RedactPii::Always),
        ];
        Ok(Self {
            redact_pii: env.one_of("REDACT_PII", &words)?,
        })
    }
}
