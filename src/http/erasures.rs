//! Erasing, and `/erasures`: the receipts that remain.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::AppState;
use super::audit::{self, Object};
use super::caller::Caller;
use super::commit::{commit, stage_last};
use super::extract::{Answer, Id, Trace};
use super::problem::{ApiError, Problem};
use crate::db::erasure_sessions::{Destroyed, Step};
use crate::db::erasures::{self, Erasure, Progress, Reason, Subject};
use crate::db::timeline::{self, LockedSession};
use crate::db::{Tx, call_erasures, customers};
use crate::events::{ErasedPart, Message};
use crate::ids::{CustomerId, ErasureId, SessionId, UserId};

/// What goes of a session: all of it.
const ALL: [ErasedPart; 1] = [ErasedPart::Session];

/// How long what was in flight is waited for, and a run of the job that then looks.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_secs(150);

/// The answer to a request that erases.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Erasing {
    /// `GET /erasures/{id}` tells what became of it.
    pub erasure_id: ErasureId,
}

/// What was destroyed, and what is not yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    pub erasure_id: ErasureId,
    pub subject: ErasedSubject,
    /// `session`, `client` or `call` where it went as a whole, else `recording`, `transcript`, `analysis`.
    pub parts: Vec<String>,
    /// `request`, `consent` or `retention`.
    pub reason: String,
    pub state: ErasureState,
    pub requested_at: Timestamp,
    /// Null where no person asked.
    pub requested_by: Option<UserId>,
    pub completed_at: Option<Timestamp>,
    pub destroyed: Vec<DestroyedShape>,
    pub pending: Vec<PendingShape>,
}

/// What an erasure names.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErasedSubject {
    /// `session`, `customer`, `client` or `call`.
    pub kind: String,
    pub id: Uuid,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// Something is still being destroyed, or may still arrive.
    Running,
    /// Nothing is left that can be reached; see `pending`.
    Pending,
    Done,
}

/// So many things that are gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DestroyedShape {
    /// `postgres`, `object store`, `stream EVENTS`, `stream CALLS` or `stream DEAD`.
    #[serde(rename = "where")]
    pub place: String,
    pub what: String,
    pub count: i64,
}

/// What is not known to be gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PendingShape {
    #[serde(rename = "where")]
    pub place: &'static str,
    pub what: &'static str,
    pub count: i64,
    /// When it is expected to be gone, where that is known.
    pub until: Option<Timestamp>,
    pub why: &'static str,
}

/// Get the receipt of an erasure: what was destroyed where, and what is pending.
///
/// Seen by whoever asked for it, by the owner of the session, and by managers and admins of the account.
#[utoipa::path(get, path = "/erasures/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = ErasureId, Path)),
    responses(
        (status = 200, body = Receipt),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<ErasureId>,
) -> Answer<Receipt> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let erasure = erasures::get(&mut tx, id).await?;
    let erasure = erasure.ok_or(ApiError::NotFound {
        code: "erasure_not_found",
        what: "this erasure",
    })?;
    let progress = erasures::progress(&mut tx, &erasure).await?;
    let calls = call_erasures::progress(&mut tx, &erasure).await?;
    let destroyed = erasures::destroyed(&mut tx, &erasure).await?;
    tx.commit().await?;
    Ok(Json(receipt(erasure, &progress, calls, destroyed)))
}

/// Erases a whole session; asked for again, it is the same erasure.
pub async fn erase_session(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<SessionId>,
) -> Result<Erasing, ApiError> {
    require_person(&caller)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let subject = Subject::Session(id);
    let Some(locked) = timeline::lock(&mut tx, id).await? else {
        return erased_before(&mut tx, subject, ApiError::SESSION_NOT_FOUND).await;
    };
    let account = locked.account_id;
    let erasure_id = erasures::open(&mut tx, account, subject, &ALL, Reason::Request).await?;
    let messages = take_away(&mut tx, &caller, trace, &locked, erasure_id).await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok(Erasing { erasure_id })
}

/// Erases a customer and all of their sessions as one erasure; asked for again, it is the same.
pub async fn erase_customer(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<CustomerId>,
) -> Result<Erasing, ApiError> {
    require_person(&caller)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let subject = Subject::Customer(id);
    let Some(account_id) = customers::lock(&mut tx, id).await? else {
        return erased_before(&mut tx, subject, ApiError::CUSTOMER_NOT_FOUND).await;
    };
    let erasure_id = erasures::open(&mut tx, account_id, subject, &ALL, Reason::Request).await?;
    let (mut last, mut messages) = (None, Vec::new());
    for session in erasures::sessions_of_customer(&mut tx, account_id, id).await? {
        // One that is gone by now was erased by itself.
        if let Some(locked) = timeline::lock(&mut tx, session).await? {
            messages.extend(take_away(&mut tx, &caller, trace, &locked, erasure_id).await?);
            last = Some(locked);
        }
    }
    let removed = erasures::remove_customer(&mut tx, account_id, erasure_id, id).await;
    removed.map_err(of_others)?;
    let details = json!({ "erasure_id": erasure_id, "sessions": messages.len() });
    let object = Object {
        account_id,
        kind: "customer",
        id: id.0,
    };
    audit::note(&mut tx, &caller, "customer.erased", object, details).await?;
    match last {
        Some(locked) => commit(&state, tx, &locked, caller, messages).await?,
        None => tx.commit().await?,
    }
    Ok(Erasing { erasure_id })
}

/// Takes one locked session away; its event waits in the outbox.
async fn take_away(
    tx: &mut Tx,
    caller: &Caller,
    trace: Trace,
    session: &LockedSession,
    erasure_id: ErasureId,
) -> Result<Vec<Message>, ApiError> {
    let requested = erasures::request(tx, session, erasure_id, &ALL, None).await?;
    let object = Object {
        account_id: session.account_id,
        kind: "session",
        id: session.session_id.0,
    };
    let details = json!({ "erasure_id": erasure_id });
    audit::note(tx, caller, "session.erased", object, details).await?;
    stage_last(tx, session, trace, &requested.into()).await
}

/// What cannot be undone is for people.
pub fn require_person(caller: &Caller) -> Result<(), ApiError> {
    match caller.key_id() {
        None => Ok(()),
        Some(_) => Err(ApiError::Forbidden {
            code: "people_only",
            detail: "erasing is for people who sign in, not for keys".to_owned(),
        }),
    }
}

fn of_others(error: sqlx::Error) -> ApiError {
    if erasures::leaves_sessions_of_others(&error) {
        return ApiError::Forbidden {
            code: "role_needed",
            detail: "others have sessions with this customer: this needs the role manager"
                .to_owned(),
        };
    }
    error.into()
}

/// The erasure by which something is gone already, else the 404 that it is for everybody else.
async fn erased_before(
    tx: &mut Tx,
    subject: Subject,
    not_found: ApiError,
) -> Result<Erasing, ApiError> {
    let erasure_id = erasures::of_subject(tx, subject).await?;
    erasure_id
        .map(|erasure_id| Erasing { erasure_id })
        .ok_or(not_found)
}

fn receipt(
    erasure: Erasure,
    progress: &[Progress],
    calls: Option<call_erasures::Progress>,
    destroyed: Vec<Destroyed>,
) -> Receipt {
    let at = |step| progress.iter().find(move |progress| progress.step == step);
    let is_at = |step| at(step).is_some() || calls.is_some_and(|calls| calls.step == step);
    let state = if is_at(Step::Requested) || is_at(Step::Settling) {
        ErasureState::Running
    } else if is_at(Step::Pending) {
        ErasureState::Pending
    } else {
        ErasureState::Done
    };
    let last = at(Step::Done).map(|done| done.updated_at);
    let last = last.max(calls.map(|calls| calls.updated_at));
    let last = last.unwrap_or(erasure.requested_at);
    let whole = if erasure.subject_kind == "call" {
        "calls"
    } else {
        "clients"
    };
    let pending = progress.iter().filter_map(pending);
    let pending = pending.chain(
        calls
            .iter()
            .flat_map(|calls| pending_of_calls(*calls, whole)),
    );
    let destroyed = destroyed.into_iter().map(|gone| DestroyedShape {
        place: gone.place,
        what: gone.what,
        count: gone.count,
    });
    Receipt {
        erasure_id: erasure.id,
        subject: ErasedSubject {
            kind: erasure.subject_kind,
            id: erasure.subject_id,
        },
        parts: erasure.parts,
        reason: erasure.reason,
        state,
        requested_at: erasure.requested_at,
        requested_by: erasure.requested_by,
        completed_at: (state == ErasureState::Done).then_some(last),
        destroyed: destroyed.collect(),
        pending: pending.collect(),
    }
}

/// What is left of an erasure of calls, step by step; trimmed messages show from the first.
fn pending_of_calls(
    calls: call_erasures::Progress,
    whole: &'static str,
) -> impl Iterator<Item = PendingShape> {
    let of = |place, what, count, until, why| PendingShape {
        place,
        what,
        count,
        until,
        why,
    };
    let rows = (calls.step == Step::Requested)
        .then(|| of("everywhere", whole, 1, None, "it is being destroyed"));
    let until = calls.updated_at.checked_add(SETTLES_WITHIN).ok();
    let settling = (calls.step == Step::Settling && calls.found == 0).then(|| {
        let why = "a message that was on its way may still arrive";
        of("stream CALLS", whole, 1, until, why)
    });
    let found = (calls.found > 0).then(|| {
        let why = "they are destroyed once all calls that they carry are kept";
        of("stream CALLS", "messages", calls.found, None, why)
    });
    let trimmed = (calls.trimmed > 0).then(|| {
        let why = "they left the stream before, and their bytes go with the file they are in";
        of("stream CALLS", "trimmed messages", calls.trimmed, None, why)
    });
    [rows, settling, found, trimmed].into_iter().flatten()
}

fn pending(progress: &Progress) -> Option<PendingShape> {
    let until = progress.updated_at.checked_add(SETTLES_WITHIN).ok();
    match progress.step {
        Step::Requested => Some(PendingShape {
            place: "everywhere",
            what: "sessions",
            count: progress.sessions,
            until: None,
            why: "it is being destroyed",
        }),
        Step::Settling => Some(PendingShape {
            place: "stream EVENTS",
            what: "sessions",
            count: progress.sessions,
            until,
            why: "a message that was on its way may still arrive",
        }),
        Step::Pending => Some(PendingShape {
            place: "stream EVENTS",
            what: "messages",
            count: progress.missing,
            until: None,
            why: "they left the stream before, and their bytes, ids only, go with the file they are in",
        }),
        Step::Done => None,
    }
}
