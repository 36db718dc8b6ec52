//! `transcript.progressed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A transcription got further; at most every five seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptProgressed {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
    /// Milliseconds of the recording that are done.
    pub done_ms: i64,
    /// Length of the recording in milliseconds.
    pub total_ms: i64,
}

impl Event for TranscriptProgressed {
    const TYPE: &'static str = "transcript.progressed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.recording_id, self.generation, self.done_ms)
    }
}
