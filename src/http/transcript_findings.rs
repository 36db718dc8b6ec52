//! `GET /sessions/{id}/transcript/findings`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Answer, Id, Params};
use super::problem::{ApiError, Problem};
use super::sessions;
use crate::db::transcriptions::{self, Findings};
use crate::db::transcripts;
use crate::documents::call_findings::CallFindings;
use crate::ids::{RecordingId, SessionId};

/// Of which transcript.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingsParams {
    /// The newest where it is left out.
    pub generation: Option<i32>,
}

/// What the speech service found beside the words of a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FindingsAnswer {
    pub session_id: SessionId,
    /// Of the transcript.
    pub generation: i32,
    /// In the order of upload.
    pub recordings: Vec<RecordingFindings>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingFindings {
    pub recording_id: RecordingId,
    /// What made the transcript, for example `aws/call-analytics`.
    pub engine: Option<String>,
    /// `no_speech`; `not_two_channels` where a call was to be analysed and the recording has not two
    /// channels.
    pub note: Option<String>,
    /// One for each part that the recording was heard in; null where the service finds nothing beside
    /// words.
    #[schema(value_type = Option<Vec<CallFindings>>)]
    pub findings: Option<Value>,
}

/// Get what the speech service found beside the words: its own sentiment, interruptions, issues and
/// categories.
#[utoipa::path(get, path = "/sessions/{id}/transcript/findings", tag = "sessions",
    security(("bearer" = [])), params(("id" = SessionId, Path), FindingsParams),
    responses(
        (status = 200, body = FindingsAnswer),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<FindingsParams>,
) -> Answer<FindingsAnswer> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let session = sessions::read(&mut tx, id).await?;
    let transcript = transcripts::get(&mut tx, id, params.generation).await?;
    let generation = transcript.map(|transcript| transcript.generation);
    let generation = generation.ok_or(ApiError::NotFound {
        code: "no_transcript",
        what: "a transcript of this session",
    })?;
    let found = transcriptions::findings(&mut tx, id, generation).await?;
    let object = Object::session(session.account_id, id);
    let details = json!({ "generation": generation });
    note(&mut tx, &caller, "findings.read", object, details).await?;
    tx.commit().await?;
    Ok(Json(FindingsAnswer {
        session_id: id,
        generation,
        recordings: found.into_iter().map(Into::into).collect(),
    }))
}

impl From<Findings> for RecordingFindings {
    fn from(row: Findings) -> Self {
        Self {
            recording_id: row.recording_id,
            engine: row.engine,
            note: row.note,
            findings: row.findings,
        }
    }
}
