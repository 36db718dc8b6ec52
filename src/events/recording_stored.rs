//! `recording.stored`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A recording was checked: its bytes are what was sent, and they are audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStored {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    /// Milliseconds of audio that decode.
    pub duration_ms: i64,
    pub channels: i32,
    /// Hertz.
    pub sample_rate_hz: i32,
}

impl Event for RecordingStored {
    const TYPE: &'static str = "recording.stored";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        self.recording_id.to_string()
    }
}
