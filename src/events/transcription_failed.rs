//! `transcription.failed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// The transcription of a recording failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptionFailed {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
    pub run: i32,
    /// Which redrive of the run failed; 0 is the run itself.
    pub redrive: i32,
    /// A sentence for the person who waits for it.
    pub reason: String,
}

impl Event for TranscriptionFailed {
    const TYPE: &'static str = "transcription.failed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.recording_id, self.generation, self.run, self.redrive
        )
    }
}
