//! `transcription.requested`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// The transcription of a recording is due: what starts the stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptionRequested {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    /// The generation of the session's transcript that this run contributes to, from 1.
    pub generation: i32,
    /// Counts the runs of the generation, from 1.
    pub run: i32,
}

impl Event for TranscriptionRequested {
    const TYPE: &'static str = "transcription.requested";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.recording_id, self.generation, self.run)
    }
}
