//! Extractors whose refusals are problem documents.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::AppState;
use super::problem::{ApiError, FieldError};
use crate::telemetry::TraceContext;

/// Largest JSON body in bytes.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;
/// Longest `Idempotency-Key` in bytes.
const MAX_KEY_BYTES: usize = 255;

/// Ids of the path; one that is malformed is a 400.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id))
            .map_err(|_| ApiError::bad_request("malformed_id", "the id in the path is not a UUID"))
    }
}

/// The query; one that is malformed is a 400.
#[derive(Clone, Copy, Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(params)| Self(params))
            .map_err(|error| ApiError::bad_request("malformed_query", error.body_text()))
    }
}

/// The bytes of a body that is said to be JSON.
#[derive(Clone, Debug)]
pub struct JsonBytes(pub Bytes);

/// A JSON body together with its bytes, which idempotency compares.
#[derive(Clone, Debug)]
pub struct Body<T> {
    pub value: T,
    pub bytes: Bytes,
}

/// A body that may be absent: then it is read as `{}`.
#[derive(Clone, Debug)]
pub struct OptionalBody<T>(pub Body<T>);

impl FromRequest<AppState> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if !is_json {
            return Err(ApiError::UnsupportedMediaType(
                "send application/json".to_owned(),
            ));
        }
        Ok(Self(bytes))
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        Ok(Self {
            value: parse(&bytes)?,
            bytes,
        })
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Body {
                value: parse(b"{}")?,
                bytes,
            }));
        }
        if !is_json {
            return Err(ApiError::UnsupportedMediaType(
                "send application/json".to_owned(),
            ));
        }
        Ok(Self(Body {
            value: parse(&bytes)?,
            bytes,
        }))
    }
}

async fn read(request: Request, state: &AppState) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                ApiError::TooLarge {
                    limit: MAX_JSON_BYTES as u64,
                }
            }
            other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge {
                limit: MAX_JSON_BYTES as u64,
            },
            _ => ApiError::bad_request("malformed_body", "the body did not arrive in full"),
        })
}

/// Whether a body is said to be JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    essence
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .is_some_and(|essence| {
            essence.eq_ignore_ascii_case("application/json")
                || essence.to_ascii_lowercase().ends_with("+json")
        })
}

/// Bytes that are no JSON are a 400; JSON of another shape is a 422 that names the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|_| ApiError::bad_request("malformed_body", "the body is not JSON"))?;
    if !value.is_object() {
        return Err(ApiError::bad_request(
            "malformed_body",
            "the body is not a JSON object",
        ));
    }
    if let Some(field) = with_nul(&value, "") {
        return Err(ApiError::invalid(field, "must not contain U+0000"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        ApiError::Invalid(vec![FieldError::of(field, error.into_inner().to_string())])
    })
}

/// The field that holds U+0000, which Postgres cannot keep.
fn with_nul(value: &Value, path: &str) -> Option<String> {
    let join = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| with_nul(item, &join(&i.to_string()))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') {
                Some(path.to_owned())
            } else {
                with_nul(field, &join(name))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        Self::parse(value.to_str().unwrap_or_default()).map(|key| Self(Some(key)))
    }
}

impl IdempotencyKey {
    /// The key that this text is.
    pub fn parse(text: &str) -> Result<String, ApiError> {
        let key = Some(text.trim()).filter(|key| {
            !key.is_empty()
                && key.len() <= MAX_KEY_BYTES
                && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        });
        key.map(str::to_owned).ok_or_else(|| {
            ApiError::bad_request(
                "malformed_idempotency_key",
                "Idempotency-Key must be 1 to 255 printable ASCII characters",
            )
        })
    }
}

/// The trace of a request: the caller's, or one that begins here.
#[derive(Clone, Copy, Debug)]
pub struct Trace(pub TraceContext);

impl Trace {
    pub fn traceparent(self) -> String {
        self.0.to_string()
    }
}

impl FromRequestParts<AppState> for Trace {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &AppState,
    ) -> Result<Self, std::convert::Infallible> {
        if let Some(trace) = parts.extensions.get::<TraceContext>() {
            return Ok(Self(*trace));
        }
        let given = parts
            .headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        Ok(Self(TraceContext::following(given)))
    }
}

/// An answer that is JSON, for handlers that name it.
pub type Answer<T> = Result<Json<T>, ApiError>;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Draft {
        #[expect(dead_code, reason = "only read by serde")]
        title: Option<String>,
    }

    fn refusal(body: &[u8]) -> (StatusCode, String) {
        let error = parse::<Draft>(body).expect_err("refused");
        let field = match &error {
            ApiError::Invalid(errors) => errors[0].field.clone(),
            _ => String::new(),
        };
        (error.status(), field)
    }

    #[test]
    fn what_is_no_json_object_is_malformed() {
        for body in [&b""[..], b"{", b"[]", b"null", b"\xff"] {
            assert_eq!(refusal(body).0, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let expected = (StatusCode::UNPROCESSABLE_ENTITY, "title".to_owned());
        assert_eq!(refusal(br#"{"title": 7}"#), expected);
        assert_eq!(refusal(br#"{"title": "a\u0000b"}"#), expected);
        let nested = (
            StatusCode::UNPROCESSABLE_ENTITY,
            "metadata.tags.1".to_owned(),
        );
        assert_eq!(
            refusal(br#"{"metadata": {"tags": ["a", "\u0000"]}}"#),
            nested
        );
    }
}
