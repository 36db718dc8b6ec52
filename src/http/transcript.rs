//! `GET /sessions/{id}/transcript`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Id, Params};
use super::problem::{ApiError, Problem};
use super::redacted::View;
use super::sessions;
use crate::db::transcripts;
use crate::documents::subtitles;
use crate::documents::transcript::Transcript;
use crate::ids::SessionId;

/// Which transcript, and how it is written.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TranscriptParams {
    /// `json`, `txt`, `srt` or `vtt`; comes before `Accept`.
    pub format: Option<String>,
    /// The newest where it is left out.
    pub generation: Option<i32>,
}

/// How a transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Text,
    SubRip,
    WebVtt,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::SubRip => "application/x-subrip; charset=utf-8",
            Self::WebVtt => "text/vtt; charset=utf-8",
        }
    }
}

/// Get the transcript as JSON, plain text or subtitles.
///
/// With `REDACT_PII=always` placeholders such as `[PHONE_1]` stand for personal data, except for people
/// who act in the account of the session.
#[utoipa::path(get, path = "/sessions/{id}/transcript", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path), TranscriptParams),
    responses(
        (status = 200, content(
            (Transcript = "application/json"),
            (String = "text/plain"),
            (String = "application/x-subrip"),
            (String = "text/vtt"),
        )),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 406, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<TranscriptParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = format(params.format.as_deref(), &headers)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let session = sessions::read(&mut tx, id).await?;
    let transcript = transcripts::get(&mut tx, id, params.generation).await?;
    let transcript = transcript.ok_or(ApiError::NotFound {
        code: "no_transcript",
        what: "a transcript of this session",
    })?;
    let mut view = View::of(&state, &mut tx, id).await?;
    let transcript = view.transcript(transcript);
    let object = Object::session(session.account_id, id);
    let mut details = json!({ "generation": transcript.generation });
    if view.is_redacted() {
        details["redacted"] = json!(true);
    }
    note(&mut tx, &caller, "transcript.read", object, details).await?;
    tx.commit().await?;
    let mut response = match format {
        Format::Json => Json(transcript).into_response(),
        Format::Text => subtitles::text(&transcript).into_response(),
        Format::SubRip => subtitles::srt(&transcript).into_response(),
        Format::WebVtt => subtitles::vtt(&transcript).into_response(),
    };
    let content_type = HeaderValue::from_static(format.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

fn format(asked: Option<&str>, headers: &HeaderMap) -> Result<Format, ApiError> {
    if let Some(word) = asked {
        return match word.to_ascii_lowercase().as_str() {
            "json" => Ok(Format::Json),
            "txt" | "text" => Ok(Format::Text),
            "srt" => Ok(Format::SubRip),
            "vtt" => Ok(Format::WebVtt),
            _ => Err(ApiError::bad_request(
                "unknown_format",
                "format must be json, txt, srt or vtt",
            )),
        };
    }
    let Some(accept) = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(Format::Json);
    };
    preferred(accept).ok_or_else(|| {
        ApiError::NotAcceptable(
            "a transcript is application/json, text/plain, application/x-subrip or text/vtt"
                .to_owned(),
        )
    })
}

/// The acceptable format with the greatest quality, the first of equals
/// ([RFC 9110, 12.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)).
fn preferred(accept: &str) -> Option<Format> {
    let mut best: Option<(f32, Format)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "application/json" | "*/*" | "application/*" | "" => Format::Json,
            "text/plain" | "text/*" => Format::Text,
            "application/x-subrip" => Format::SubRip,
            "text/vtt" => Format::WebVtt,
            _ => continue,
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0));
        if quality > best.map_or(0.0, |(best, _)| best) {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_quality_wins_and_nothing_fits_is_said() {
        assert_eq!(preferred("*/*"), Some(Format::Json));
        assert_eq!(
            preferred("text/vtt;q=0.5, application/x-subrip"),
            Some(Format::SubRip)
        );
        assert_eq!(preferred("text/html, text/plain;q=0.2"), Some(Format::Text));
        assert_eq!(preferred("text/vtt;q=0"), None);
        assert_eq!(preferred("image/png"), None);
    }
}
