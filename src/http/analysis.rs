//! `/analysis/{session_id}`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::commit::{commit, stage};
use super::extract::{Answer, Id, IdempotencyKey, OptionalBody, Params, Trace};
use super::fields::Checks;
use super::idempotent::{self, Begun};
use super::problem::{ApiError, Problem};
use super::redacted::View;
use super::retry::retry_transcriptions;
use super::sessions;
use super::shapes::Requested;
use crate::db::analyses::{self, Generation};
use crate::db::recordings::{self, Recording};
use crate::db::timeline::LockedSession;
use crate::db::transcriptions::Transcription;
use crate::db::{Tx, transcriptions, transcripts};
use crate::documents::analysis::Analysis;
use crate::documents::transcription_options::TranscriptionOptions;
use crate::events::{AnalysisRequested, Fact, TranscriptionRequested};
use crate::ids::{RecordingId, SessionId};

/// Whether to make another one.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunParams {
    /// Makes a new generation although there is one of the same input.
    #[serde(default)]
    pub new: bool,
}

/// Which analysis.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AnalysisParams {
    /// The newest finished one where it is left out.
    pub generation: Option<i32>,
}

/// The analysis of a session, and every generation of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnalysisAnswer {
    pub session_id: SessionId,
    /// `pending`, `running`, `done`, `failed` or `skipped`: the newest generation, or the one that was
    /// asked for.
    pub status: String,
    /// The newest finished one, or the one that was asked for; null before it is finished.
    #[schema(value_type = Option<Analysis>)]
    pub analysis: Option<Value>,
    /// Why the generation of `status` failed or was skipped, if it was.
    pub error: Option<String>,
    pub generations: Vec<GenerationShape>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GenerationShape {
    pub generation: i32,
    /// The generation of the transcript that it reads.
    pub transcript_generation: i32,
    /// `running`, `done`, `failed` or `skipped`.
    pub state: String,
    pub engine: Option<String>,
    pub created_at: Timestamp,
}

/// Transcribe the recordings of a session.
///
/// Joins the run that exists for the same recordings and the same options; one that failed or was
/// skipped is begun again. Other options than those of the newest generation make a new one.
#[utoipa::path(post, path = "/analysis/{session_id}/transcribe", tag = "analysis",
    security(("bearer" = [])), params(("session_id" = SessionId, Path), RunParams,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body(content = Option<TranscriptionOptions>, content_type = "application/json"),
    responses(
        (status = 202, body = Requested),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn transcribe(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    key: IdempotencyKey,
    Id(id): Id<SessionId>,
    Params(params): Params<RunParams>,
    OptionalBody(options): OptionalBody<TranscriptionOptions>,
) -> Result<Response, ApiError> {
    check(&options.value)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = sessions::lock(&mut tx, id).await?;
    let path = format!("/analysis/{id}/transcribe");
    let body = [request_bytes(params), options.bytes].concat().into();
    let claim = match idempotent::begin(&mut tx, &path, key, &body).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let (requested, facts) = transcription(&mut tx, &locked, params.new, &options.value).await?;
    let details = json!({ "generation": requested.generation });
    sessions::note_change(
        &mut tx,
        &caller,
        &locked,
        "transcription.requested",
        details,
    )
    .await?;
    let messages = stage(&mut tx, &locked, trace, &facts).await?;
    let answer = claim
        .answer(&mut tx, StatusCode::ACCEPTED, &requested)
        .await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok(answer)
}

/// Analyse the newest transcript of a session.
///
/// Joins the run that exists for the same transcript; one that failed or was skipped is begun
/// again.
#[utoipa::path(post, path = "/analysis/{session_id}/analyze", tag = "analysis",
    security(("bearer" = [])), params(("session_id" = SessionId, Path), RunParams,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    responses(
        (status = 202, body = Requested),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn analyze(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    key: IdempotencyKey,
    Id(id): Id<SessionId>,
    Params(params): Params<RunParams>,
) -> Result<Response, ApiError> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = sessions::lock(&mut tx, id).await?;
    let (path, body) = (format!("/analysis/{id}/analyze"), request_bytes(params));
    let claim = match idempotent::begin(&mut tx, &path, key, &body).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let (requested, facts) = analysis(&mut tx, &locked, params.new).await?;
    let details = json!({ "generation": requested.generation });
    sessions::note_change(&mut tx, &caller, &locked, "analysis.requested", details).await?;
    let messages = stage(&mut tx, &locked, trace, &facts).await?;
    let answer = claim
        .answer(&mut tx, StatusCode::ACCEPTED, &requested)
        .await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok(answer)
}

/// Get the analysis of a session. Answers before there is one, too.
///
/// Earlier generations stay readable by their number.
///
/// With `REDACT_PII=always` placeholders stand for personal data where they do in the transcript.
#[utoipa::path(get, path = "/analysis/{session_id}/analysis", tag = "analysis",
    security(("bearer" = [])), params(("session_id" = SessionId, Path), AnalysisParams),
    responses(
        (status = 200, body = AnalysisAnswer),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<AnalysisParams>,
) -> Answer<AnalysisAnswer> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let session = sessions::read(&mut tx, id).await?;
    let generations = analyses::generations(&mut tx, id).await?;
    let (shown, mut analysis) = chosen(&mut tx, id, &generations, params.generation).await?;
    if let Some(document) = analysis {
        let mut view = View::of(&state, &mut tx, id).await?;
        analysis = Some(view.analysis(&mut tx, document).await?);
        let object = Object::session(session.account_id, id);
        let mut details = json!({});
        if let Some(generation) = params.generation {
            details["generation"] = json!(generation);
        }
        if view.is_redacted() {
            details["redacted"] = json!(true);
        }
        note(&mut tx, &caller, "analysis.read", object, details).await?;
    }
    tx.commit().await?;
    let status = shown.as_ref().map_or("pending", |it| state_word(&it.state));
    Ok(Json(AnalysisAnswer {
        session_id: id,
        status: status.to_owned(),
        analysis,
        error: shown.and_then(|shown| shown.error),
        generations: generations.into_iter().map(Into::into).collect(),
    }))
}

/// The generation to tell about, and the document to show: of the one that is asked for, else of the newest.
async fn chosen(
    tx: &mut Tx,
    id: SessionId,
    generations: &[Generation],
    asked: Option<i32>,
) -> Result<(Option<Generation>, Option<Value>), ApiError> {
    let Some(asked) = asked else {
        let newest = generations.last().cloned();
        return Ok((newest, analyses::newest_document(tx, id).await?));
    };
    let found = generations.iter().find(|it| it.generation == asked);
    let found = found.cloned().ok_or(ApiError::NotFound {
        code: "no_analysis",
        what: "this analysis of the session",
    })?;
    Ok((Some(found), analyses::document_of(tx, id, asked).await?))
}

/// Asks for what this session makes by itself and does not have, because it was erased when consent was
/// withdrawn.
pub async fn request_missing(tx: &mut Tx, session: &LockedSession) -> Result<Vec<Fact>, ApiError> {
    let id = session.session_id;
    let asked = transcriptions::of_session(tx, id).await?;
    let recordings = recordings::of_session(tx, id).await?;
    let is_missing = |recording: &Recording| {
        recording.state == "stored" && !asked.iter().any(|t| t.recording_id == recording.id)
    };
    if session.auto_transcribe && recordings.iter().any(is_missing) {
        let options = TranscriptionOptions::default();
        return Ok(transcription(tx, session, false, &options).await?.1);
    }
    let newest = transcripts::newest_generation(tx, id).await?;
    let generations = analyses::generations(tx, id).await?;
    let is_analysed = generations
        .iter()
        .any(|it| it.transcript_generation == newest);
    if session.auto_analyze && newest > 0 && !is_analysed {
        return Ok(analysis(tx, session, false).await?.1);
    }
    Ok(Vec::new())
}

async fn transcription(
    tx: &mut Tx,
    session: &LockedSession,
    new: bool,
    options: &TranscriptionOptions,
) -> Result<(Requested, Vec<Fact>), ApiError> {
    let id = session.session_id;
    let recordings = recordings::of_session(tx, id).await?;
    let stored: Vec<_> = recordings
        .iter()
        .filter(|recording| recording.state == "stored")
        .map(|recording| recording.id)
        .collect();
    if stored.is_empty() {
        return Err(ApiError::conflict(
            "no_recording",
            "this session has no recording that is ready to be transcribed",
        ));
    }
    let current = session.transcript_generation;
    let written = transcripts::last_written(tx, id).await?;
    let asked = transcriptions::of_session(tx, id).await?;
    let is_asked = |recording: &RecordingId| asked.iter().any(|t| t.recording_id == *recording);
    let mut facts = Vec::new();
    let new = new || asks_for_another(&asked, current, options);
    if !new {
        facts = retry_transcriptions(tx, session).await?;
        if stored.iter().all(is_asked) {
            let done = facts.is_empty() && written >= current;
            return Ok((requested(asked_for(&facts).unwrap_or(current), done), facts));
        }
    }
    // A new generation transcribes every recording again. One that nobody asked for yet joins the
    // generation that is still being made, as the storage worker has it join.
    let generation = if new {
        current + 1
    } else {
        current.max(written + 1).max(asked_for(&facts).unwrap_or(0))
    };
    for recording_id in stored.into_iter().filter(|id| new || !is_asked(id)) {
        transcriptions::request_with(tx, session, recording_id, generation, options).await?;
        let fact = TranscriptionRequested {
            session_id: id,
            recording_id,
            generation,
            run: 1,
        };
        facts.push(fact.into());
    }
    Ok((requested(generation, false), facts))
}

/// Whether somebody asks for something, and it is not what the newest generation was asked for.
fn asks_for_another(
    asked: &[Transcription],
    generation: i32,
    options: &TranscriptionOptions,
) -> bool {
    let wanted = serde_json::to_value(options).expect("options are plain data");
    let mut newest = asked.iter().filter(|asked| asked.generation == generation);
    !options.is_empty() && newest.any(|asked| asked.options.as_ref() != Some(&wanted))
}

fn check(options: &TranscriptionOptions) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    for (field, message) in options.mistakes() {
        checks.refuse(field, message);
    }
    checks.finish()
}

async fn analysis(
    tx: &mut Tx,
    session: &LockedSession,
    new: bool,
) -> Result<(Requested, Vec<Fact>), ApiError> {
    let id = session.session_id;
    let transcript_generation = transcripts::newest_generation(tx, id).await?;
    if transcript_generation == 0 {
        return Err(ApiError::conflict(
            "no_transcript",
            "this session has no transcript to analyse yet",
        ));
    }
    let generations = analyses::generations(tx, id).await?;
    let newest = generations
        .iter()
        .rfind(|g| g.transcript_generation == transcript_generation);
    if let Some(newest) = newest.filter(|_| !new) {
        let again = analyses::retry(tx, session.account_id, id, newest.generation).await?;
        let done = newest.state == "done";
        return Ok((
            requested(newest.generation, done),
            again.into_iter().map(Fact::from).collect(),
        ));
    }
    let generation = session.analysis_generation + 1;
    analyses::request(tx, session, generation, transcript_generation).await?;
    let fact = AnalysisRequested {
        session_id: id,
        generation,
        run: 1,
        transcript_generation,
    };
    Ok((requested(generation, false), vec![fact.into()]))
}

/// The newest generation that these facts ask a transcription for.
fn asked_for(facts: &[Fact]) -> Option<i32> {
    let generations = facts.iter().filter_map(|fact| match fact {
        Fact::TranscriptionRequested(requested) => Some(requested.generation),
        _ => None,
    });
    generations.max()
}

fn requested(generation: i32, done: bool) -> Requested {
    Requested {
        generation,
        status: if done { "done" } else { "running" }.to_owned(),
    }
}

/// What tells one request from another under an `Idempotency-Key`, beside its body.
fn request_bytes(params: RunParams) -> Bytes {
    Bytes::from_static(if params.new { b"new" } else { b"" })
}

fn state_word(state: &str) -> &'static str {
    match state {
        "done" => "done",
        "failed" => "failed",
        "skipped" => "skipped",
        _ => "running",
    }
}

impl From<Generation> for GenerationShape {
    fn from(row: Generation) -> Self {
        Self {
            generation: row.generation,
            transcript_generation: row.transcript_generation,
            state: state_word(&row.state).to_owned(),
            engine: row.engine,
            created_at: row.created_at,
        }
    }
}
