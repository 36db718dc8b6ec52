//! `analysis.skipped`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Event, SkipCode};
use crate::ids::SessionId;

/// An analysis may not run: nothing of the transcript left this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisSkipped {
    pub session_id: SessionId,
    pub generation: i32,
    pub run: i32,
    /// Which redrive of the run was skipped; 0 is the run itself.
    pub redrive: i32,
    pub reason_code: SkipCode,
    /// A sentence for the person who waits for it.
    pub reason: String,
}

impl Event for AnalysisSkipped {
    const TYPE: &'static str = "analysis.skipped";

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
