//! `session.ended`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// The conversation of a session is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnded {
    pub session_id: SessionId,
}

impl Event for SessionEnded {
    const TYPE: &'static str = "session.ended";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        self.session_id.to_string()
    }
}
