//! `/sessions/{id}/recordings`

use std::fmt::Write as _;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Answer, Id, Params};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use super::ranges::{self, Wanted};
use super::redacted::{self, View};
use super::sessions;
use crate::db::Tx;
use crate::db::recordings::{self, Recording};
use crate::ids::{RecordingId, SessionId};

/// A recording of a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingShape {
    pub id: RecordingId,
    pub session_id: SessionId,
    /// As the client named it, without folders.
    pub file_name: Option<String>,
    /// What the bytes are, whatever was claimed.
    pub content_type: String,
    pub size_bytes: i64,
    /// In hexadecimal.
    pub sha256: String,
    /// `uploaded`, `stored`, `failed` or `erased`.
    pub state: String,
    /// Of the audio that decodes; null until the recording is stored.
    pub duration_ms: Option<i64>,
    pub channels: Option<i32>,
    pub sample_rate_hz: Option<i32>,
    pub created_at: Timestamp,
}

impl From<Recording> for RecordingShape {
    fn from(recording: Recording) -> Self {
        Self {
            sha256: hex(&recording.sha256),
            id: recording.id,
            session_id: recording.session_id,
            file_name: recording.file_name,
            content_type: recording.content_type,
            size_bytes: recording.size_bytes,
            state: recording.state,
            duration_ms: recording.duration_ms,
            channels: recording.channels,
            sample_rate_hz: recording.sample_rate_hz,
            created_at: recording.created_at,
        }
    }
}

/// List the recordings of a session in the order of upload.
#[utoipa::path(get, path = "/sessions/{id}/recordings", tag = "recordings",
    security(("bearer" = [])),
    params(("id" = SessionId, Path), PageParams),
    responses(
        (status = 200, body = Page<RecordingShape>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<PageParams>,
) -> Answer<Page<RecordingShape>> {
    let (limit, after) = (params.limit()?, params.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    sessions::read(&mut tx, id).await?;
    let mut rows = recordings::page(&mut tx, id, after, limit + 1).await?;
    let mut view = View::of(&state, &mut tx, id).await?;
    for row in &mut rows {
        // People name files after people.
        row.file_name = row.file_name.take().map(|name| view.text(name));
    }
    tx.commit().await?;
    Ok(Json(Page::of(rows, limit, |row: &Recording| row.position)))
}

/// Play a recording back.
///
/// Takes one range of bytes; several are answered with the whole. Each request that is answered with
/// audio stands in the audit log. With `REDACT_PII=always` it is refused to whoever gets the transcript
/// with placeholders.
#[utoipa::path(get, path = "/sessions/{id}/recordings/{recording_id}/audio", tag = "recordings",
    security(("bearer" = [])),
    params(("id" = SessionId, Path), ("recording_id" = RecordingId, Path),
        ("Range" = Option<String>, Header, description = "For example `bytes=0-1023`"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` that the range is for")),
    responses(
        (status = 200, content_type = "audio/*", body = Vec<u8>),
        (status = 206, content_type = "audio/*", body = Vec<u8>),
        (status = 304, description = "It is the one that `If-None-Match` names"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn audio(
    State(state): State<AppState>,
    caller: Caller,
    Id((session_id, recording_id)): Id<(SessionId, RecordingId)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let recording = read(&mut tx, session_id, recording_id).await?;
    redacted::require_original(&state, &mut tx, session_id).await?;
    if recording.state == "erased" {
        return Err(ApiError::NotFound {
            code: "recording_erased",
            what: "the audio of this recording",
        });
    }
    let length = u64::try_from(recording.size_bytes).unwrap_or_default();
    let etag = format!("\"{}\"", hex(&recording.sha256));
    if ranges::is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let (status, range) = match ranges::wanted(&headers, &etag, length) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Outside => return Err(ApiError::RangeNotSatisfiable { length }),
    };
    if method != Method::HEAD {
        let bytes = range.as_ref().map(|range| [*range.start(), *range.end()]);
        let object = Object::recording(recording.account_id, recording_id);
        let details = json!({ "session_id": session_id, "bytes": bytes });
        note(&mut tx, &caller, "audio.read", object, details).await?;
    }
    tx.commit().await?;
    let sent = range
        .as_ref()
        .map_or(length, |range| range.end() - range.start() + 1);
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, &recording.content_type)
        .header(header::CONTENT_LENGTH, sent)
        .header(header::CONTENT_DISPOSITION, disposition(&recording))
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag);
    if let Some(range) = &range {
        let place = format!("bytes {}-{}/{length}", range.start(), range.end());
        response = response.header(header::CONTENT_RANGE, place);
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(
            state
                .store
                .get(&recording.object_key, range)
                .await?
                .into_stream(),
        )
    };
    response
        .body(body)
        .map_err(|error| ApiError::Internal(error.into()))
}

/// A recording of a session; 404 when the caller may not see it.
async fn read(
    tx: &mut Tx,
    session_id: SessionId,
    recording_id: RecordingId,
) -> Result<Recording, ApiError> {
    let recording = recordings::get(tx, recording_id).await?;
    recording
        .filter(|recording| recording.session_id == session_id)
        .ok_or(ApiError::NotFound {
            code: "recording_not_found",
            what: "this recording",
        })
}

/// Suggests a file name, in ASCII and in full
/// ([RFC 6266](https://www.rfc-editor.org/rfc/rfc6266#section-4.3)).
fn disposition(recording: &Recording) -> String {
    let name = recording.file_name.as_deref().unwrap_or("recording");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let mut full = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            full.push(char::from(byte));
        } else {
            let _ = write!(full, "%{byte:02X}");
        }
    }
    format!("inline; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
