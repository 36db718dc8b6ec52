//! `transcription.started`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A speech service was given a recording, and is to be asked for the result later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptionStarted {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
    pub run: i32,
    /// Which redrive of the run started it; 0 is the run itself.
    pub redrive: i32,
    /// One for each part of the recording, in their order.
    pub jobs: Vec<StartedJob>,
    /// A result of one kind was asked for, and the recording allowed only for another.
    pub fell_back: bool,
}

/// A piece of work of a speech service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartedJob {
    /// The name that this system gave it.
    pub name: String,
    pub kind: JobKind,
    /// Where its audio begins in the recording, in milliseconds.
    pub start_ms: i64,
}

/// What is made of the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Words with times.
    Standard,
    /// The same for two people on a telephone, with what the service finds in their call.
    CallAnalytics,
}

impl Event for TranscriptionStarted {
    const TYPE: &'static str = "transcription.started";

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
