//! `session.created`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// A session was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionCreated {
    pub session_id: SessionId,
    /// Whether a video room belongs to it: it is then active from the start.
    pub has_room: bool,
    /// Whether stored recordings are transcribed without being asked.
    pub auto_transcribe: bool,
    /// Whether finished transcripts are analysed without being asked.
    pub auto_analyze: bool,
    /// Whether the session completes by itself once analysed and not live.
    pub auto_complete: bool,
}

impl Event for SessionCreated {
    const TYPE: &'static str = "session.created";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        self.session_id.to_string()
    }
}
