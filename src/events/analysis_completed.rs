//! `analysis.completed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// A generation of the analysis is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisCompleted {
    pub session_id: SessionId,
    pub generation: i32,
    /// The generation of the transcript that it read.
    pub transcript_generation: i32,
}

impl Event for AnalysisCompleted {
    const TYPE: &'static str = "analysis.completed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}", self.session_id, self.generation)
    }
}
