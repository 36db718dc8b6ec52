//! `POST /calls/batch`: many calls, one a line.

use anyhow::anyhow;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::AppState;
use super::super::caller::Caller;
use super::super::extract::{Answer, IdempotencyKey};
use super::super::problem::{ApiError, Problem};
use super::accept::{queue, read};
use super::lines::{Line, Lines};
use crate::bus::Receipt;
use crate::ids::CallId;

/// Most lines of a batch.
const MAX_LINES: usize = 10_000;
/// What a batch may be sent as.
const MEDIA_TYPES: [&str; 3] = [
    "application/x-ndjson",
    "application/jsonl",
    "application/ndjson",
];

/// What became of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchResult {
    pub accepted: usize,
    pub rejected: usize,
    /// One for each line that is not blank, in the order of the lines.
    pub results: Vec<LineResult>,
}

/// What became of a line.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineResult {
    /// From 1.
    pub line: usize,
    /// The call's id, where the line is accepted.
    pub id: Option<CallId>,
    /// `accepted` or `rejected`.
    pub status: &'static str,
    /// A stable word for programs, of a line that is rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What is wrong with the line, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Accept many calls that ended
///
/// One call record a line (NDJSON), up to 10,000. Each line is judged alone: a bad one never fails the
/// others. A line without `id` gets one from its client, the `Idempotency-Key` and its number.
#[utoipa::path(
    post, path = "/calls/batch", tag = "calls", operation_id = "create_calls",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Gives lines without `id` one that depends on client, key and line number")),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "What became of each line", body = BatchResult),
        (status = 503, description = "No line could be stored; try again under the same key",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub async fn create_many(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
    body: Body,
) -> Answer<BatchResult> {
    require_ndjson(&headers)?;
    state.limits.check_calls(caller.principal())?;
    let mut lines = Lines::of(body, &state.config.http);
    let mut pending: Vec<Pending> = Vec::new();
    while let Some(line) = lines.next().await? {
        if pending.len() == MAX_LINES {
            pending.push((line.number, Err(too_many_lines())));
            break;
        }
        let number = line.number;
        let accepted = match pending.last() {
            Some((_, Err(error))) if error.status().is_server_error() => Err(again(error)),
            _ => accept_line(&state, caller, key.0.as_deref(), line).await,
        };
        pending.push((number, accepted));
    }
    if pending.is_empty() {
        return Err(ApiError::invalid("body", "has no line"));
    }
    let result = settle(pending).await?;
    for id in result.results.iter().filter_map(|line| line.id) {
        state.recent.note(id);
    }
    Ok(Json(result))
}

/// A line that waits for its frame.
type Pending = (usize, Result<(CallId, Receipt), ApiError>);

async fn accept_line(
    state: &AppState,
    caller: Caller,
    key: Option<&str>,
    line: Line,
) -> Result<(CallId, Receipt), ApiError> {
    let bytes = line.bytes?;
    let record = read(&bytes)?;
    let client = record.client_id;
    let account = state
        .clients
        .account(&state.db, caller.principal(), client)
        .await?;
    let given = record
        .id
        .or_else(|| key.map(|key| CallId::derived(client, key, Some(line.number))));
    let id = given.unwrap_or_else(CallId::generate);
    let receipt = queue(state, id, account, &record, caller.trace, &bytes).await?;
    Ok((id, receipt))
}

/// What fails behind a line for which something of ours was down, or full, fails in the same way: each
/// would wait as long as that line did, and thousands may follow.
fn again(error: &ApiError) -> ApiError {
    match error {
        ApiError::QueueFull => ApiError::QueueFull,
        other => ApiError::Unavailable(anyhow!("not tried after: {other}")),
    }
}

/// Waits for the frames. A batch of which nothing was stored, because something of ours is down, is
/// refused as a whole.
async fn settle(pending: Vec<Pending>) -> Result<BatchResult, ApiError> {
    let mut results = Vec::with_capacity(pending.len());
    let (mut accepted, mut ours) = (0, None);
    for (line, outcome) in pending {
        let outcome = match outcome {
            Ok((id, receipt)) => receipt.stored().await.map(|()| id).map_err(ApiError::from),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(id) => {
                accepted += 1;
                results.push(LineResult {
                    line,
                    id: Some(id),
                    status: "accepted",
                    code: None,
                    detail: None,
                });
            }
            Err(error) => {
                results.push(LineResult {
                    line,
                    id: None,
                    status: "rejected",
                    code: Some(error.code()),
                    detail: Some(error.detail()),
                });
                if error.status().is_server_error() {
                    ours.get_or_insert(error);
                }
            }
        }
    }
    if let Some(error) = ours {
        if accepted == 0 {
            return Err(error);
        }
        error.log();
    }
    Ok(BatchResult {
        accepted,
        rejected: results.len() - accepted,
        results,
    })
}

fn require_ndjson(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(axum::http::header::CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if MEDIA_TYPES
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType(
        "send application/x-ndjson".to_owned(),
    ))
}

fn too_many_lines() -> ApiError {
    ApiError::bad_request(
        "too_many_lines",
        format!("a batch has at most {MAX_LINES} lines; nothing from here on was read"),
    )
}
