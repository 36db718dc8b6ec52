//! Errors as RFC 9457 problem documents.
//!
//! Every error answer of the ingress is made here. What a caller may know is in [`ApiError`]; what
//! only an operator may know goes with the answer as [`Cause`] up to the log, and never leaves.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::PasswordError;
use crate::db::timeline::RecordError;
use crate::db::{is_nobody, is_not_their_account, is_unreachable};
use crate::providers::object_store::StoreError;
use crate::providers::oidc::OidcError;
use crate::telemetry::chain;

/// Seconds after which a caller may try again when something of ours is down.
const RETRY_AFTER_S: u32 = 5;
/// The queue of calls moves as fast as the disk syncs.
const QUEUE_RETRY_AFTER_S: u32 = 1;

/// `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status, again.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What is wrong with this request, in a sentence.
    pub detail: String,
    /// A stable word for programs, for example `session_not_found`.
    pub code: String,
    /// The fields that are wrong; only with status 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// What is wrong with one field of a body or query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, for example `metadata.tags`.
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400: not understood at all.
    #[error("{detail}")]
    BadRequest { code: &'static str, detail: String },
    /// 401: no credential, or a bad one.
    #[error("a valid access token is needed")]
    Unauthorized,
    /// 401: at login; does not tell which of the two is wrong.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// 401: a refresh token came twice, so its sign-in has ended.
    #[error("this refresh token was used before; sign in again")]
    RefreshTokenReused,
    /// 403: a page of another site made a browser send this.
    #[error("a page of another site may not do this")]
    CrossSite,
    /// 403: known, but not allowed.
    #[error("{detail}")]
    Forbidden { code: &'static str, detail: String },
    /// 404: it does not exist, or the caller may not see it.
    #[error("{what} does not exist")]
    NotFound {
        code: &'static str,
        what: &'static str,
    },
    /// 405
    #[error("this method is not allowed here")]
    MethodNotAllowed,
    /// 406
    #[error("{0}")]
    NotAcceptable(String),
    /// 408: the request did not arrive in time.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// 409: it does not fit the present state.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String },
    /// 413, in bytes.
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// 415
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 416, with the length of the whole in bytes.
    #[error("the range is outside of the {length} bytes there are")]
    RangeNotSatisfiable { length: u64 },
    /// 422: understood, but fields are wrong.
    #[error("some fields are not valid")]
    Invalid(Vec<FieldError>),
    /// 422: the key was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// 429: more requests than a limit of the caller's allows, in seconds.
    #[error("too many requests; try again in {retry_after_s} s")]
    TooManyRequests { retry_after_s: u32 },
    /// 429: too many failed sign-ins or registrations, in seconds.
    #[error("too many attempts; try again in {retry_after_s} s")]
    TooManyAttempts { retry_after_s: u32 },
    /// 503: too many passwords wait to be hashed.
    #[error("too many people are signing in at the moment; try again shortly")]
    Busy,
    /// 503: too many calls wait to be stored.
    #[error("too many calls wait to be stored; try again shortly, with the same id")]
    QueueFull,
    /// 503: something that is needed is down.
    #[error("a service that is needed does not answer; try again shortly")]
    Unavailable(#[source] anyhow::Error),
    /// 500
    #[error("something went wrong on our side")]
    Internal(#[from] anyhow::Error),
}

impl ApiError {
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::BadRequest {
            code,
            detail: detail.into(),
        }
    }

    pub fn malformed_cursor() -> Self {
        let detail = "the cursor is not one that this list gave";
        Self::bad_request("malformed_cursor", detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            detail: detail.into(),
        }
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::of(field, message)])
    }

    pub const SESSION_NOT_FOUND: Self = Self::NotFound {
        code: "session_not_found",
        what: "this session",
    };

    pub const CUSTOMER_NOT_FOUND: Self = Self::NotFound {
        code: "customer_not_found",
        what: "this customer",
    };

    pub const CLIENT_NOT_FOUND: Self = Self::NotFound {
        code: "client_not_found",
        what: "this client",
    };

    pub const CALL_NOT_FOUND: Self = Self::NotFound {
        code: "call_not_found",
        what: "this call",
    };

    pub const ACCOUNT_NOT_FOUND: Self = Self::NotFound {
        code: "account_not_found",
        what: "this account",
    };

    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::WrongCredentials | Self::RefreshTokenReused => {
                StatusCode::UNAUTHORIZED
            }
            Self::CrossSite | Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Invalid(_) | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } | Self::TooManyAttempts { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Busy | Self::QueueFull | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { code, .. }
            | Self::Forbidden { code, .. }
            | Self::NotFound { code, .. }
            | Self::Conflict { code, .. } => code,
            Self::Unauthorized => "unauthorized",
            Self::WrongCredentials => "wrong_credentials",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::CrossSite => "cross_site",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::TooSlow => "request_timeout",
            Self::TooLarge { .. } => "too_large",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::Invalid(_) => "invalid",
            Self::KeyReused => "idempotency_key_reused",
            Self::TooManyRequests { .. } => "rate_limited",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Busy => "busy",
            Self::QueueFull => "queue_full",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// A constraint of the database by its name, as an error of the caller; others stay ours.
    pub fn on_constraint(
        error: sqlx::Error,
        name: &str,
        client_error: impl FnOnce() -> Self,
    ) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.constraint() == Some(name) => {
                client_error()
            }
            _ => error.into(),
        }
    }

    /// The error in a sentence, with the fields that are wrong.
    pub fn detail(&self) -> String {
        let Self::Invalid(errors) = self else {
            return self.to_string();
        };
        let fields = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message));
        fields.collect::<Vec<_>>().join("; ")
    }

    /// What is ours to mend, for the log.
    fn cause(&self) -> Option<Cause> {
        match self {
            Self::Internal(error) => Some(Cause::Failed(chain(error.as_ref()))),
            Self::Unavailable(error) => Some(Cause::IsDown(chain(error.as_ref()))),
            _ => None,
        }
    }

    /// Tells what is ours to mend.
    pub fn log(&self) {
        if let Some(cause) = self.cause() {
            cause.log();
        }
    }
}

/// Why an answer is an error that is ours to mend. It goes with the answer, and is logged where the
/// request is known.
#[derive(Clone, Debug)]
pub enum Cause {
    Failed(String),
    IsDown(String),
}

impl Cause {
    pub fn log(&self) {
        match self {
            Self::Failed(error) => tracing::error!(error, "request failed"),
            Self::IsDown(error) => tracing::warn!(error, "dependency is down"),
        }
    }
}

impl From<sqlx::Error> for ApiError {
    /// What does not reach Postgres is a matter of time, everything else is a fault of ours.
    fn from(error: sqlx::Error) -> Self {
        match error {
            _ if is_unreachable(&error) => Self::Unavailable(error.into()),
            // Deactivated, signed out or revoked since the credential was made.
            _ if is_nobody(&error) => Self::Unauthorized,
            _ if is_not_their_account(&error) => Self::ACCOUNT_NOT_FOUND,
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Panicked | PasswordError::Hash(_) => Self::Internal(error.into()),
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Database(error) => error.into(),
            RecordError::Decode(_) => Self::Internal(error.into()),
        }
    }
}

impl From<OidcError> for ApiError {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Unavailable(_) => Self::Unavailable(error.into()),
            OidcError::Misconfigured(_) => Self::Internal(error.into()),
            OidcError::CodeRefused => Self::bad_request("oidc_code_refused", error.to_string()),
            OidcError::Untrusted(ref reason) => {
                tracing::warn!(reason = reason.to_string(), "ID token refused");
                Self::bad_request("oidc_token_refused", error.to_string())
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            _ => Self::Internal(error.into()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let cause = self.cause();
        let status = self.status();
        let mut problem = Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            detail: self.to_string(),
            code: self.code().to_owned(),
            errors: Vec::new(),
        };
        let extra = match &self {
            Self::Unauthorized | Self::WrongCredentials | Self::RefreshTokenReused => {
                Some((header::WWW_AUTHENTICATE, "Bearer".to_owned()))
            }
            Self::TooManyRequests { retry_after_s } | Self::TooManyAttempts { retry_after_s } => {
                Some((header::RETRY_AFTER, retry_after_s.to_string()))
            }
            Self::QueueFull => Some((header::RETRY_AFTER, QUEUE_RETRY_AFTER_S.to_string())),
            Self::Busy | Self::Unavailable(_) => {
                Some((header::RETRY_AFTER, RETRY_AFTER_S.to_string()))
            }
            Self::RangeNotSatisfiable { length } => {
                Some((header::CONTENT_RANGE, format!("bytes */{length}")))
            }
            _ => None,
        };
        if let Self::Invalid(errors) = self {
            problem.errors = errors;
        }
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some((name, value)) = extra {
            headers.insert(
                name,
                HeaderValue::try_from(value).expect("digits and words"),
            );
        }
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}
