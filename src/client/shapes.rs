//! The shapes of the API that the client reads and writes. What it does not use is left out.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::documents::analysis::Analysis;
use crate::ids::{RecordingId, SessionId};
use crate::session::{Phase, Stages, Status};

/// The answer to a registration and a login.
#[derive(Clone, Debug, Deserialize)]
pub struct SignedIn {
    pub access_token: SecretString,
    /// Seconds until the token expires.
    pub expires_in: u64,
}

/// What a session is created with.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SessionDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub id: SessionId,
    pub status: Status,
    pub title: Option<String>,
    pub stages: Stages,
}

/// The answer to an upload: the recording is durable, its check runs.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Uploaded {
    pub recording_id: RecordingId,
    pub session_id: SessionId,
    pub status: Status,
}

/// An entry of a session's timeline, as the event stream carries it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TimelineEvent {
    /// Its place, from 1; the `Last-Event-ID`.
    pub seq: i64,
    /// For example `recording.uploaded`.
    #[serde(rename = "type")]
    pub event_type: String,
    pub at: Timestamp,
    /// The body of the fact.
    pub data: Value,
}

/// The answer to the question for an analysis, also before there is one.
#[derive(Clone, Debug, Deserialize)]
pub struct AnalysisAnswer {
    pub status: String,
    pub analysis: Option<Analysis>,
    pub error: Option<String>,
}

/// How a session's stages came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A stage is off for this session, or may not run: what comes before it is done.
    Skipped {
        stage: &'static str,
    },
    Failed {
        stage: &'static str,
        reason: String,
    },
}

impl TimelineEvent {
    pub(super) fn is_upload_of(&self, recording: Option<RecordingId>) -> bool {
        let of = self.data.get("recording_id").and_then(Value::as_str);
        self.event_type == "recording.uploaded"
            && recording.is_some_and(|recording| of == Some(recording.to_string().as_str()))
    }
}

impl Outcome {
    /// The outcome of all stages; `None` while a stage has work to do. The first stage that is not
    /// done decides, those behind it wait for it.
    pub fn of(stages: &Stages) -> Option<Self> {
        let in_order = [
            ("recording", &stages.recording),
            ("transcription", &stages.transcription),
            ("analysis", &stages.analysis),
        ];
        for (stage, state) in in_order {
            match state.state {
                Phase::Done => {}
                Phase::Pending | Phase::Running => return None,
                Phase::Skipped => return Some(Self::Skipped { stage }),
                Phase::Failed => {
                    let reason = state.reason.clone();
                    return Some(Self::Failed {
                        stage,
                        reason: reason.unwrap_or_else(|| "The server gives no reason.".to_owned()),
                    });
                }
            }
        }
        Some(Self::Done)
    }

    /// Whether this event is the one that brings the outcome about; after it nothing of interest
    /// follows.
    pub(super) fn is_told_by(&self, event: &TimelineEvent) -> bool {
        let event_type = event.event_type.as_str();
        match self {
            Self::Done => event_type == "analysis.completed",
            Self::Skipped { stage } => {
                let before = if *stage == "analysis" {
                    "transcript.completed"
                } else {
                    "recording.stored"
                };
                event_type == before || event_type.strip_suffix(".skipped") == Some(stage)
            }
            Self::Failed { stage, .. } => event_type.strip_suffix(".failed") == Some(stage),
        }
    }
}
