//! `stage.redriven`

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;
use crate::ids::{RecordingId, SessionId};

/// An operator sent a dead letter of a stage again: the stage is no longer failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageRedriven {
    pub session_id: SessionId,
    pub stage: Stage,
    /// The recording, where the stage works on one.
    pub recording_id: Option<RecordingId>,
    /// Generation of the run; 1 for the check of a recording.
    pub generation: i32,
    pub run: i32,
    /// Counts the redrives of the run, from 1.
    pub redrive: i32,
}

/// A stage of the pipeline.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Recording,
    Transcription,
    Analysis,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recording => "recording",
            Self::Transcription => "transcription",
            Self::Analysis => "analysis",
        })
    }
}

impl Event for StageRedriven {
    const TYPE: &'static str = "stage.redriven";

    fn session_id(&self) -> SessionId {
        self.session_id
    }

    fn key(&self) -> String {
        let of = self
            .recording_id
            .map_or(self.session_id.0, |recording| recording.0);
        format!(
            "{}/{of}/{}/{}/{}",
            self.stage, self.generation, self.run, self.redrive
        )
    }
}
