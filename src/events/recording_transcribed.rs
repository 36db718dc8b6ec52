//! `recording.transcribed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// The transcript of one recording is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingTranscribed {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
}

impl Event for RecordingTranscribed {
    const TYPE: &'static str = "recording.transcribed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.recording_id, self.generation)
    }
}
