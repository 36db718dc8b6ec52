//! `/sessions`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::commit::{commit, stage};
use super::consent;
use super::erasures::{self, Erasing};
use super::extract::{Answer, Body, Id, IdempotencyKey, OptionalBody, Params, Trace};
use super::fields::given;
use super::idempotent::{self, Begun};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use super::session_bodies::{NewSession, SessionChange};
use super::session_people;
use super::shapes::{SessionDetail, SessionShape};
use crate::db::Tx;
use crate::db::sessions::{self, Change, Position, Session};
use crate::db::timeline::{self, LockedSession};
use crate::events::{Fact, SessionCompleted, SessionCreated, SessionEnded, SessionStarted};
use crate::ids::SessionId;
use crate::session::Status;

/// Which sessions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// One status, in any case.
    pub status: Option<String>,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Create a session. An empty body is fine.
#[utoipa::path(post, path = "/sessions", tag = "sessions", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body(content = Option<NewSession>, content_type = "application/json"),
    responses(
        (status = 201, body = SessionShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    key: IdempotencyKey,
    OptionalBody(Body { value, bytes }): OptionalBody<NewSession>,
) -> Result<Response, ApiError> {
    let consent = value.consent;
    let draft = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let claim = match idempotent::begin(&mut tx, "/sessions", key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let account = tx.acting().account_id;
    session_people::check_customer(&mut tx, account, draft.customer_id).await?;
    session_people::check_counselor(&mut tx, draft.counselor_id).await?;
    let id = SessionId::generate();
    let created = SessionCreated {
        session_id: id,
        has_room: false,
        auto_transcribe: draft.auto_transcribe,
        auto_analyze: draft.auto_analyze,
        auto_complete: state.config.sessions.auto_complete,
    };
    let inserted = sessions::insert(&mut tx, id, &draft).await;
    inserted.map_err(session_people::refused_by)?;
    let locked = lock(&mut tx, id).await?;
    if consent.is_some() {
        consent::change(&mut tx, &locked, consent, &caller).await?;
    }
    let messages = stage(&mut tx, &locked, trace, &[created.into()]).await?;
    let session = SessionShape::from(read(&mut tx, id).await?);
    note_change(&mut tx, &caller, &locked, "session.created", json!({})).await?;
    let answer = claim.answer(&mut tx, StatusCode::CREATED, &session).await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok(answer)
}

/// List sessions, newest first.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("bearer" = [])),
    params(ListParams),
    responses(
        (status = 200, body = Page<SessionShape>),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<Page<SessionShape>> {
    let status = params
        .status
        .as_deref()
        .map(str::parse::<Status>)
        .transpose();
    let status = status.map_err(|error| ApiError::invalid("status", error.to_string()))?;
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let limit = page.limit()?;
    let position: Option<Position> = page.position()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let rows = sessions::list(&mut tx, status, position, limit + 1).await?;
    tx.commit().await?;
    let at = |row: &Session| Position {
        created_at: row.created_at,
        id: row.id,
    };
    Ok(Json(Page::of(rows, limit, at)))
}

/// Get a session with the people in it.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, body = SessionDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
) -> Answer<SessionDetail> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let session = read(&mut tx, id).await?;
    let (customer, counselor) = session_people::of(&mut tx, &session).await?;
    // Programs that look after their own session would fill the log; others' eyes are what it is for.
    if session.owner_id != caller.user_id {
        let object = Object::session(session.account_id, id);
        note(&mut tx, &caller, "session.read", object, json!({})).await?;
    }
    tx.commit().await?;
    Ok(Json(SessionDetail {
        session: session.into(),
        customer,
        counselor,
    }))
}

/// Change what people write about a session, or sign it off.
#[utoipa::path(put, path = "/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = SessionChange,
    responses(
        (status = 200, body = SessionShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<SessionId>,
    body: Body<SessionChange>,
) -> Answer<SessionShape> {
    let given = body.value.consent;
    let (change, sign_off) = body.value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = lock(&mut tx, id).await?;
    let customer = change.customer_id.flatten();
    session_people::check_customer(&mut tx, locked.account_id, customer).await?;
    let updated = sessions::update(&mut tx, id, &change).await;
    updated.map_err(session_people::refused_by)?;
    let fields = changed(&change);
    if !fields.is_empty() {
        let details = json!({ "fields": fields });
        note_change(&mut tx, &caller, &locked, "session.updated", details).await?;
    }
    let mut facts: Vec<Fact> = Vec::new();
    if let Some(given) = given {
        facts.extend(consent::change(&mut tx, &locked, given, &caller).await?);
    }
    if sign_off {
        note_change(&mut tx, &caller, &locked, "session.completed", json!({})).await?;
        facts.push(SessionCompleted { session_id: id }.into());
    }
    finish(&state, tx, &locked, caller, trace, &facts).await
}

/// Begin the conversation. Repeats change nothing.
#[utoipa::path(post, path = "/sessions/{id}/start", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, body = SessionShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn start(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<SessionId>,
) -> Answer<SessionShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = lock(&mut tx, id).await?;
    if read(&mut tx, id).await?.ended_at.is_some() {
        return Err(ApiError::conflict(
            "session_ended",
            "this session has ended",
        ));
    }
    if sessions::mark_started(&mut tx, id).await? {
        note_change(&mut tx, &caller, &locked, "session.started", json!({})).await?;
    }
    let started = SessionStarted { session_id: id };
    finish(&state, tx, &locked, caller, trace, &[started.into()]).await
}

/// End the conversation. Repeats change nothing; recordings can still be uploaded.
#[utoipa::path(post, path = "/sessions/{id}/end", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path)),
    responses(
        (status = 200, body = SessionShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn end(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<SessionId>,
) -> Answer<SessionShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = lock(&mut tx, id).await?;
    if sessions::mark_ended(&mut tx, id).await? {
        note_change(&mut tx, &caller, &locked, "session.ended", json!({})).await?;
    }
    let ended = SessionEnded { session_id: id };
    finish(&state, tx, &locked, caller, trace, &[ended.into()]).await
}

/// How a session is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Destroys the session and everything of it, for good, instead of ending it.
    #[serde(default)]
    pub erase: bool,
}

/// End the conversation, as `POST /sessions/{id}/end` does, or erase it.
///
/// Without `erase` nothing is erased. With it the session is gone from this moment: 404 for everything
/// but a repeat, which gives the same erasure.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path), DeleteParams),
    responses(
        (status = 200, body = SessionShape),
        (status = 202, body = Erasing, description = "With `erase=true`"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete(
    state: State<AppState>,
    caller: Caller,
    trace: Trace,
    id: Id<SessionId>,
    Params(params): Params<DeleteParams>,
) -> Result<Response, ApiError> {
    if params.erase {
        let erasing = erasures::erase_session(state, caller, trace, id).await?;
        return Ok((StatusCode::ACCEPTED, Json(erasing)).into_response());
    }
    Ok(end(state, caller, trace, id).await?.into_response())
}

/// The session, locked until the end of the transaction; 404 when the caller may not see it.
pub async fn lock(tx: &mut Tx, id: SessionId) -> Result<LockedSession, ApiError> {
    timeline::lock(tx, id)
        .await?
        .ok_or(ApiError::SESSION_NOT_FOUND)
}

/// The session; 404 when the caller may not see it.
pub async fn read(tx: &mut Tx, id: SessionId) -> Result<Session, ApiError> {
    sessions::get(tx, id)
        .await?
        .ok_or(ApiError::SESSION_NOT_FOUND)
}

fn changed(change: &Change) -> Vec<&'static str> {
    given(&[
        ("title", change.title.is_some()),
        ("notes", change.notes.is_some()),
        ("metadata", change.metadata.is_some()),
        ("customer_id", change.customer_id.is_some()),
        (
            "custom_fields_schema",
            change.custom_fields_schema.is_some(),
        ),
        ("declared_names", change.declared_names.is_some()),
    ])
}

/// Notes what the caller did to a session that is locked.
pub async fn note_change(
    tx: &mut Tx,
    caller: &Caller,
    session: &LockedSession,
    action: &'static str,
    details: Value,
) -> Result<(), ApiError> {
    let object = Object::session(session.account_id, session.session_id);
    note(tx, caller, action, object, details).await
}

/// Records facts, commits, and answers the session as it is then.
async fn finish(
    state: &AppState,
    mut tx: Tx,
    locked: &LockedSession,
    caller: Caller,
    trace: Trace,
    facts: &[Fact],
) -> Answer<SessionShape> {
    let messages = stage(&mut tx, locked, trace, facts).await?;
    let session = read(&mut tx, locked.session_id).await?;
    commit(state, tx, locked, caller, messages).await?;
    Ok(Json(session.into()))
}
