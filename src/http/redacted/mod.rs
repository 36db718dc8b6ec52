//! How the text of a session leaves: as it was said, or with placeholders for personal data.
//!
//! With `REDACT_PII=always` whoever sees a session but may not read it as it was said gets placeholders
//! (docs/access.md). Everything that answers with a transcript, an analysis or a part of them asks here.
//! Not here: what personal data is (`redaction`), and who may read originals (`db::declared_names`).
//!
//! Invariant: what is not known to be free of text is redacted.

mod analysis;
mod transcript;

use serde_json::Value;

use super::AppState;
use super::problem::ApiError;
use crate::config::RedactPii;
use crate::db::{Tx, declared_names, transcripts};
use crate::documents::transcript::Transcript;
use crate::ids::SessionId;
use crate::redaction::Redactor;
use transcript::TurnText;

/// How one caller reads one session.
pub enum View {
    Original,
    Redacted(Box<Reading>),
}

/// A session that is read redacted.
pub struct Reading {
    session_id: SessionId,
    redactor: Redactor,
    /// Turns of the transcript that was read last, which quotes are cut from.
    turns: Vec<TurnText>,
    /// Its generation.
    generation: Option<i32>,
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
        Ok(Self::Redacted(Box::new(Reading {
            session_id: id,
            redactor: Redactor::new(names.iter().map(String::as_str)),
            turns: Vec::new(),
            generation: None,
        })))
    }

    pub const fn is_redacted(&self) -> bool {
        matches!(self, Self::Redacted(_))
    }

    /// A piece of text. What stands in a transcript or an analysis that went through this view before
    /// has the same placeholders here.
    pub fn text(&mut self, text: String) -> String {
        match self {
            Self::Original => text,
            Self::Redacted(reading) => reading.redactor.redact_apart(&text),
        }
    }

    pub fn transcript(&mut self, transcript: Transcript) -> Transcript {
        match self {
            Self::Original => transcript,
            Self::Redacted(reading) => reading.transcript(transcript),
        }
    }

    /// The document of an analysis of this session, as it is stored.
    pub async fn analysis(&mut self, tx: &mut Tx, document: Value) -> Result<Value, ApiError> {
        let Self::Redacted(reading) = self else {
            return Ok(document);
        };
        let generation = document["transcript_generation"].as_i64();
        let generation = generation.and_then(|it| i32::try_from(it).ok());
        // The placeholders of the transcript, and its words, which quotes are cut from.
        if generation.is_none() || reading.generation != generation {
            let mut read = transcripts::get(tx, reading.session_id, generation).await?;
            // That generation may be gone: another one tells as well what is to be redacted.
            if read.is_none() && reading.generation.is_none() {
                read = transcripts::get(tx, reading.session_id, None).await?;
            }
            if let Some(read) = read {
                reading.transcript(read);
            }
        }
        Ok(analysis::redact(
            &mut reading.redactor,
            &reading.turns,
            document,
        ))
    }
}

impl Reading {
    fn transcript(&mut self, mut read: Transcript) -> Transcript {
        self.generation = Some(read.generation);
        self.turns = transcript::redact(&mut self.redactor, &mut read);
        read
    }
}

/// Refuses what cannot be redacted, such as audio, to whoever may not have the original.
pub async fn require_original(
    state: &AppState,
    tx: &mut Tx,
    id: SessionId,
) -> Result<(), ApiError> {
    if View::of(state, tx, id).await?.is_redacted() {
        let detail = "personal data is redacted for you, and audio cannot be".to_owned();
        let code = "original_only";
        return Err(ApiError::Forbidden { code, detail });
    }
    Ok(())
}
