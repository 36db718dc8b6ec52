//! `recording.requested`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// A recording is to be fetched from where the agent of a call keeps it. The address stays in the
/// database: it may hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingRequested {
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    /// Counts the tries that were asked for, from 1; the check of the recording goes on with the number.
    pub run: i32,
}

impl Event for RecordingRequested {
    const TYPE: &'static str = "recording.requested";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.recording_id, self.run)
    }
}
