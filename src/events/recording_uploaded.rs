//! `recording.uploaded`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A recording arrived in full in the object store; its check is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingUploaded {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    /// Counts the runs of its check, from 1.
    pub run: i32,
    /// It arrived when the session was already transcribed: it counts for the stages, not for the status.
    pub late: bool,
}

impl Event for RecordingUploaded {
    const TYPE: &'static str = "recording.uploaded";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.recording_id, self.run)
    }
}
