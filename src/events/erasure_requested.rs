//! `erasure.requested`

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{ErasureId, SessionId};

/// Parts of a session, or all of it, or a call, or a client with all of its calls, are to be destroyed
/// wherever they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErasureRequested {
    /// For a call or a client, which are no session, the id of the erasure itself.
    pub session_id: SessionId,
    /// An erasure of a customer has one of these facts for each session.
    pub erasure_id: ErasureId,
    pub parts: Vec<ErasedPart>,
}

/// What is erased of a session.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ErasedPart {
    /// The audio. Its row stays, so that the timeline still makes sense.
    Recording,
    /// What was said, in every generation.
    Transcript,
    /// What was made of it, in every generation.
    Analysis,
    /// Everything, the session itself included.
    Session,
}

impl ErasedPart {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Transcript => "transcript",
            Self::Analysis => "analysis",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for ErasedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of the parts.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no part of a session")]
pub struct UnknownPart(String);

impl FromStr for ErasedPart {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        [
            Self::Recording,
            Self::Transcript,
            Self::Analysis,
            Self::Session,
        ]
        .into_iter()
        .find(|part| part.as_str() == text)
        .ok_or_else(|| UnknownPart(text.to_owned()))
    }
}

impl Event for ErasureRequested {
    const TYPE: &'static str = "erasure.requested";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.erasure_id, self.session_id)
    }
}
