//! `POST /sessions/{id}/retry`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::caller::Caller;
use super::commit::{commit, stage};
use super::extract::{Id, OptionalBody, Trace};
use super::problem::{ApiError, Problem};
use super::sessions;
use super::shapes::SessionShape;
use crate::db::timeline::LockedSession;
use crate::db::{Tx, analyses, recording_fetches, recordings, transcriptions};
use crate::events::{Fact, RecordingUploaded, Stage, TranscriptionRequested};
use crate::ids::SessionId;

/// Which stage to try again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Retry {
    /// Every stage that failed or was skipped where it is left out.
    pub stage: Option<Stage>,
}

/// Try a stage again that failed or was skipped: the next run of the same generation.
#[utoipa::path(post, path = "/sessions/{id}/retry", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path)),
    request_body(content = Option<Retry>, content_type = "application/json"),
    responses(
        (status = 202, body = SessionShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<SessionId>,
    OptionalBody(body): OptionalBody<Retry>,
) -> Result<(StatusCode, Json<SessionShape>), ApiError> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = sessions::lock(&mut tx, id).await?;
    let asked = |stage| body.value.stage.is_none_or(|only| only == stage);
    let mut facts = Vec::new();
    if asked(Stage::Recording) {
        facts.extend(checks(&mut tx, &locked).await?);
    }
    if asked(Stage::Transcription) {
        facts.extend(retry_transcriptions(&mut tx, &locked).await?);
    }
    if asked(Stage::Analysis) {
        facts.extend(analyses(&mut tx, &locked).await?);
    }
    if facts.is_empty() {
        return Err(ApiError::conflict(
            "nothing_failed",
            "no stage of this session has failed or was skipped",
        ));
    }
    let details = json!({ "stage": body.value.stage });
    sessions::note_change(&mut tx, &caller, &locked, "session.retried", details).await?;
    let messages = stage(&mut tx, &locked, trace, &facts).await?;
    let session = sessions::read(&mut tx, id).await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok((StatusCode::ACCEPTED, Json(session.into())))
}

async fn checks(tx: &mut Tx, session: &LockedSession) -> Result<Vec<Fact>, ApiError> {
    let fetches = recording_fetches::retry(tx, session).await?;
    let mut facts: Vec<Fact> = fetches.into_iter().map(Fact::from).collect();
    for recording in recordings::of_session(tx, session.session_id).await? {
        if let Some(run) = recordings::retry(tx, session.account_id, recording.id).await? {
            let uploaded = RecordingUploaded {
                session_id: session.session_id,
                recording_id: recording.id,
                run,
                late: recording.late,
            };
            facts.push(uploaded.into());
        }
    }
    Ok(facts)
}

/// Begins the next run of each transcription that failed or was skipped.
pub async fn retry_transcriptions(
    tx: &mut Tx,
    session: &LockedSession,
) -> Result<Vec<Fact>, ApiError> {
    next_runs(tx, session, &["failed", "skipped"]).await
}

/// Begins the next run of each stage that was skipped; the workers decide afresh.
pub async fn retry_skipped(tx: &mut Tx, session: &LockedSession) -> Result<Vec<Fact>, ApiError> {
    let mut facts = next_runs(tx, session, &["skipped"]).await?;
    let asked = analyses::generations(tx, session.session_id).await?;
    if asked.last().is_some_and(|newest| newest.state == "skipped") {
        facts.extend(analyses(tx, session).await?);
    }
    Ok(facts)
}

/// What a recording's newest transcription needs, if it is in one of these states. Where a correction has
/// taken a later number since, the same run would make an older transcript than that: it is asked for as
/// the next generation, with the same options.
async fn next_runs(
    tx: &mut Tx,
    session: &LockedSession,
    states: &[&str],
) -> Result<Vec<Fact>, ApiError> {
    let mut facts = Vec::new();
    let all = transcriptions::of_session(tx, session.session_id).await?;
    // Oldest generation first: the last of each recording stands.
    let newest: BTreeMap<_, _> = all.into_iter().map(|it| (it.recording_id, it)).collect();
    for (recording_id, asked) in newest {
        if !states.contains(&asked.state.as_str()) {
            continue;
        }
        let mut generation = asked.generation;
        let run = if generation == session.transcript_generation {
            transcriptions::retry(tx, session.account_id, recording_id, generation).await?
        } else {
            generation = session.transcript_generation + 1;
            let options = asked.options.map(serde_json::from_value).transpose();
            let options = options
                .map_err(|error| sqlx::Error::Decode(error.into()))?
                .unwrap_or_default();
            transcriptions::request_with(tx, session, recording_id, generation, &options).await?;
            Some(1)
        };
        if let Some(run) = run {
            let requested = TranscriptionRequested {
                session_id: session.session_id,
                recording_id,
                generation,
                run,
            };
            facts.push(requested.into());
        }
    }
    Ok(facts)
}

async fn analyses(tx: &mut Tx, session: &LockedSession) -> Result<Vec<Fact>, ApiError> {
    let generation = session.analysis_generation;
    let again = analyses::retry(tx, session.account_id, session.session_id, generation).await?;
    Ok(again.into_iter().map(Fact::from).collect())
}
