//! `session.started`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// The conversation of a session began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStarted {
    pub session_id: SessionId,
}

impl Event for SessionStarted {
    const TYPE: &'static str = "session.started";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        self.session_id.to_string()
    }
}
