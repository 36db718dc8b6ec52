//! `session.completed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// A person signed the session off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionCompleted {
    pub session_id: SessionId,
}

impl Event for SessionCompleted {
    const TYPE: &'static str = "session.completed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        self.session_id.to_string()
    }
}
