//! `analysis.failed`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::SessionId;

/// An analysis failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisFailed {
    pub session_id: SessionId,
    pub generation: i32,
    pub run: i32,
    /// Which redrive of the run failed; 0 is the run itself.
    pub redrive: i32,
    /// A sentence for the person who waits for it.
    pub reason: String,
}

impl Event for AnalysisFailed {
    const TYPE: &'static str = "analysis.failed";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.session_id, self.generation, self.run, self.redrive
        )
    }
}
