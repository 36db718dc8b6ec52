//! `transcript.completed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// A generation of the session's transcript is written: every recording is in it, or it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptCompleted {
    pub session_id: SessionId,
    pub generation: i32,
    /// It was not made of recordings: it came with the call. What is recorded of the session is then
    /// beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given: bool,
}

impl Event for TranscriptCompleted {
    const TYPE: &'static str = "transcript.completed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.session_id, self.generation)
    }
}
