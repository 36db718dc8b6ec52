//! Why a call did not do what it was asked.

use std::fmt;
use std::path::PathBuf;

use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// Longest answer that is not JSON which is shown.
const SHOWN_CHARACTERS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0:?} is not an http or https address")]
    Address(String),
    #[error("the http client cannot be set up")]
    Setup(#[source] reqwest::Error),
    #[error("could not reach the server at {address}")]
    Send {
        address: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{0}")]
    Refused(Problem),
    #[error("the server's answer cannot be read")]
    Answer(#[source] reqwest::Error),
    #[error("an event of the server cannot be read")]
    Event(#[source] serde_json::Error),
    #[error("the server stopped sending events")]
    StreamEnded,
    #[error("could not read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl ClientError {
    /// Whether the same call may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Send { .. } | Self::Answer(_) | Self::StreamEnded => true,
            Self::Refused(problem) => {
                problem.status >= 500 || problem.status == StatusCode::TOO_MANY_REQUESTS.as_u16()
            }
            Self::Address(_) | Self::Setup(_) | Self::Event(_) | Self::File { .. } => false,
        }
    }
}

/// What the server answers when it refuses
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: Option<String>,
    /// Stable, for programs.
    pub code: Option<String>,
    pub errors: Vec<FieldError>,
}

/// A field that the server does not take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl Problem {
    /// Reads a problem; what stands between client and server may answer in other words.
    pub(super) async fn of(answer: Response) -> Self {
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        Self::read(status, &body)
    }

    pub(super) fn read(status: StatusCode, body: &str) -> Self {
        let mut problem: Self = serde_json::from_str(body).unwrap_or_else(|_| Self {
            detail: Some(body.trim().chars().take(SHOWN_CHARACTERS).collect())
                .filter(|text: &String| !text.is_empty()),
            ..Self::default()
        });
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            status
                .canonical_reason()
                .unwrap_or("refused")
                .clone_into(&mut problem.title);
        }
        problem
    }
}

impl fmt::Display for Problem {
    /// One line: `409 Conflict: the session has ended (session_ended)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {}", detail.trim_end_matches('.'))?;
        }
        for FieldError { field, message } in &self.errors {
            write!(f, "; {field}: {message}")?;
        }
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}
