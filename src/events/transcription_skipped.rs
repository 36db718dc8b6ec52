//! `transcription.skipped`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A transcription may not run: nothing of what was due left this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptionSkipped {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
    pub run: i32,
    /// Which redrive of the run was skipped; 0 is the run itself.
    pub redrive: i32,
    pub reason_code: SkipCode,
    /// A sentence for the person who waits for it.
    pub reason: String,
}

/// Why a stage was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipCode {
    /// The policy needs consent, and nobody has noted any.
    ConsentMissing,
    /// The person in the session said no, or took back what they had agreed to.
    ConsentRefused,
    /// The policy does not name the engine.
    EngineNotAllowed,
}

impl Event for TranscriptionSkipped {
    const TYPE: &'static str = "transcription.skipped";

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
