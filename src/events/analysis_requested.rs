//! `analysis.requested`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// An analysis is due: what starts the stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisRequested {
    pub session_id: SessionId,
    /// The generation of the analysis, from 1.
    pub generation: i32,
    /// Counts the runs of the generation, from 1.
    pub run: i32,
    /// The generation of the transcript to read.
    pub transcript_generation: i32,
}

impl Event for AnalysisRequested {
    const TYPE: &'static str = "analysis.requested";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.session_id, self.generation, self.run)
    }
}
