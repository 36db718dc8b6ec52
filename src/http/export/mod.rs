//! `GET /sessions/{id}/export`: everything of a session in one document, to be kept elsewhere.
//!
//! [`document`] says what it holds, [`pieces`] writes it as JSON and [`markdown`] for people. Not here:
//! audio, and earlier generations.
//!
//! Invariant: what callers, agents and models wrote is text in every format, never markup; and a
//! transcript is held once, however long it is: it is written piece by piece.

mod document;
mod escape;
mod markdown;
mod pieces;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Id, Params};
use super::negotiate::preferred;
use super::problem::{ApiError, Problem};
use super::redacted::View;
use super::shapes::SessionDetail;
use super::{session_people, sessions};
use crate::db::sessions::Session;
use crate::db::{Tx, analyses, model_requests, recordings, transcripts};
use crate::ids::SessionId;
use document::{Export, Parts};

/// How an export is written.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// `json` or `markdown`; comes before `Accept`.
    pub format: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Markdown,
}

/// What `Accept` may name.
const MEDIA_TYPES: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("*/*", Format::Json),
    ("application/*", Format::Json),
    ("", Format::Json),
    ("text/markdown", Format::Markdown),
    ("text/*", Format::Markdown),
];

/// Export a session: itself, its newest transcript and analysis, figures, cost, and what was made of what.
///
/// Reading it stands in the audit log.
#[utoipa::path(get, path = "/sessions/{id}/export", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path), ExportParams),
    responses(
        (status = 200, content((Export = "application/json"), (String = "text/markdown"))),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 406, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<ExportParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = format(params.format.as_deref(), &headers)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let session = sessions::read(&mut tx, id).await?;
    let object = Object::session(session.account_id, id);
    let mut view = View::of(&state, &mut tx, id).await?;
    let export = gather(&mut tx, session, &mut view).await?;
    let mut details = json!({
        "transcript_generation": export.transcript.as_ref().map(|transcript| transcript.generation),
        "analysis_generation": export.lineage.analysis.as_ref().map(|analysis| analysis.generation),
    });
    if view.is_redacted() {
        details["redacted"] = json!(true);
    }
    note(&mut tx, &caller, "session.exported", object, details).await?;
    tx.commit().await?;
    Ok(answer(id, format, export))
}

/// What is exported, as the caller may read it.
async fn gather(tx: &mut Tx, session: Session, view: &mut View) -> Result<Export, ApiError> {
    let id = session.id;
    let recordings = recordings::of_session(tx, id).await?;
    let transcript = transcripts::get(tx, id, None).await?;
    let transcript = transcript.map(|transcript| view.transcript(transcript));
    let analysis = match analyses::newest_finished(tx, id).await? {
        Some((generation, document)) => Some((generation, view.analysis(tx, document).await?)),
        None => None,
    };
    let (customer, counselor) = session_people::of(tx, &session).await?;
    let spending = model_requests::spending(tx, session.account_id, id).await?;
    let parts = Parts {
        session: SessionDetail {
            session: session.into(),
            customer,
            counselor,
        },
        recordings,
        transcript,
        analysis,
        spending,
    };
    Ok(Export::of(parts, Timestamp::now()))
}

fn answer(id: SessionId, format: Format, export: Export) -> Response {
    let (pieces, content_type, extension) = match format {
        Format::Json => (pieces::json(export), "application/json", "json"),
        Format::Markdown => (
            markdown::pieces(export),
            "text/markdown; charset=utf-8",
            "md",
        ),
    };
    let body = futures::stream::iter(pieces).map(Ok::<_, std::convert::Infallible>);
    let name = format!("attachment; filename=\"session-{id}.{extension}\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::try_from(name).expect("an id and letters"),
        ),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

fn format(asked: Option<&str>, headers: &HeaderMap) -> Result<Format, ApiError> {
    if let Some(word) = asked {
        return match word.to_ascii_lowercase().as_str() {
            "json" => Ok(Format::Json),
            "markdown" | "md" => Ok(Format::Markdown),
            _ => Err(ApiError::bad_request(
                "unknown_format",
                "format must be json or markdown",
            )),
        };
    }
    let accept = headers.get(header::ACCEPT);
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
        return Ok(Format::Json);
    };
    preferred(accept, &MEDIA_TYPES).ok_or_else(|| {
        ApiError::NotAcceptable("an export is application/json or text/markdown".to_owned())
    })
}
