//! `POST /calls`: one call that ended.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::AppState;
use super::super::caller::Caller;
use super::super::extract::{IdempotencyKey, JsonBytes};
use super::super::problem::{ApiError, FieldError, Problem};
use crate::bus::{FrameError, Receipt};
use crate::calls::{CallRecord, MAX_RECORD_BYTES, check};
use crate::events::calls_ended::{Arrival, LINE_END};
use crate::ids::{AccountId, CallId};
use crate::telemetry::TraceContext;

/// A call that is stored, and will be counted.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Accepted {
    pub id: CallId,
    /// Always `accepted`.
    pub status: &'static str,
}

impl Accepted {
    pub const fn of(id: CallId) -> Self {
        Self {
            id,
            status: "accepted",
        }
    }
}

/// Accept a call that ended
///
/// The answer comes once the call is safely stored; it is counted within a second. Bring an `id`, or an
/// `Idempotency-Key`, to make a repeat safe: the first of an id stands.
#[utoipa::path(
    post, path = "/calls", tag = "calls", operation_id = "create_call",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Gives a call without `id` one that depends on its client and this key")),
    request_body(content = CallRecord, content_type = "application/json"),
    responses(
        (status = 202, description = "Stored", body = Accepted),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The broker is down, or too many calls wait; try again with the same id",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    state.limits.check_calls(caller.principal())?;
    let record = read(&body)?;
    let account = state
        .clients
        .account(&state.db, caller.principal(), record.client_id)
        .await?;
    let id = accept(
        &state,
        account,
        &record,
        key.0.as_deref(),
        caller.trace,
        &body,
    )
    .await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted::of(id))))
}

/// Checks a record in full.
pub fn read(body: &[u8]) -> Result<CallRecord<'_>, ApiError> {
    if body.len() > MAX_RECORD_BYTES {
        return Err(ApiError::TooLarge {
            limit: MAX_RECORD_BYTES as u64,
        });
    }
    check(body, Timestamp::now()).map_err(|faults| {
        let is_malformed = |message: &str| message.starts_with("is not JSON");
        if let [fault] = faults.as_slice()
            && fault.field == "body"
            && is_malformed(&fault.message)
        {
            return ApiError::bad_request("malformed_body", "the body is not JSON");
        }
        let errors = faults
            .into_iter()
            .map(|fault| FieldError::of(fault.field, fault.message));
        ApiError::Invalid(errors.collect())
    })
}

/// Stores a record that was read from `body` for a client of `account`, and answers its id once the
/// stream has it.
///
/// A record without an id gets one from its client and `key`, else a fresh one.
pub async fn accept(
    state: &AppState,
    account: AccountId,
    record: &CallRecord<'_>,
    key: Option<&str>,
    trace: TraceContext,
    body: &[u8],
) -> Result<CallId, ApiError> {
    let given = record
        .id
        .or_else(|| key.map(|key| CallId::derived(record.client_id, key, None)));
    let id = given.unwrap_or_else(CallId::generate);
    let receipt = queue(state, id, account, record, trace, body).await?;
    receipt.stored().await?;
    state.recent.note(id);
    Ok(id)
}

/// Puts a record into the queue of the frames.
pub(super) async fn queue(
    state: &AppState,
    id: CallId,
    account: AccountId,
    record: &CallRecord<'_>,
    trace: TraceContext,
    body: &[u8],
) -> Result<Receipt, ApiError> {
    let arrival = Arrival {
        id,
        client_id: record.client_id,
        account_id: account,
        received_at: Timestamp::now(),
    };
    let start = arrival.line_start(trace);
    Ok(state.frames.queue(&[&start, body, LINE_END]).await?)
}

impl From<FrameError> for ApiError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Full => Self::QueueFull,
            FrameError::Unconfirmed(_) | FrameError::Stopped => Self::Unavailable(error.into()),
        }
    }
}
