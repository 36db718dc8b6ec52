//! Why there is no answer.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Usage;
use super::dialect::OF_LENGTH;

/// Enough of a server's complaint to act on.
const MAX_MESSAGE_CHARS: usize = 300;
/// A complaint is short; what is longer is not read.
const MAX_COMPLAINT_BYTES: usize = 64 * 1024;
/// Longer pauses are looked at again in between.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(15);
/// Refusals that say nothing of the request: a wrong or rotated key, no credit, a wrong address or
/// model. Mended by the operator, after which the same request is taken.
const OF_THE_ACCOUNT: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::PAYMENT_REQUIRED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::REQUEST_TIMEOUT,
];

/// Why there is no answer, with what is known of the one that began.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct ChatError {
    pub kind: ErrorKind,
    /// What the server said that it used.
    pub usage: Usage,
    /// What had arrived of the answer. It is made of what was said: never log it.
    pub text: String,
}

/// Never the key. What a server writes about a request that it refused may repeat what was asked: it
/// belongs into the dead letter, not into a log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The server does not take this form of request; the next is put in another.
    #[error("the model's server does not take this form of request")]
    Adapted,
    /// Nothing wrong with the request: worth trying again.
    #[error("the model's server is not available: {reason}")]
    Unavailable {
        reason: String,
        retry_after: Option<Duration>,
    },
    #[error("the model's server asks to slow down")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the model sent nothing for too long")]
    Stalled,
    #[error("the model's answer took too long as a whole")]
    TooSlow,
    /// The server will not take this request, now or later.
    #[error("the model's server refused the request with status {status}: {message}")]
    Rejected { status: u16, message: String },
    /// The prompt does not fit into the model's context.
    #[error("the prompt is longer than the model's context: {message}")]
    TooLong { message: String },
    /// The model would not, or a filter stopped it.
    #[error("the model declined to answer")]
    Declined,
    /// It ended at the limit of output tokens.
    #[error("the model's answer was cut off at its limit of output tokens")]
    Truncated,
    #[error("the model's answer is larger than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
}

impl From<ErrorKind> for ChatError {
    fn from(kind: ErrorKind) -> Self {
        Self {
            kind,
            usage: Usage::default(),
            text: String::new(),
        }
    }
}

impl ErrorKind {
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            retry_after: None,
        }
    }
}

/// What a status other than success means.
pub(super) async fn refusal(
    status: StatusCode,
    response: Response,
    key: Option<&SecretString>,
) -> ErrorKind {
    let retry_after = retry_after(response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS {
        return ErrorKind::RateLimited { retry_after };
    }
    // 501 is a server that lacks what was asked for, which is a matter of form.
    let broken = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    if broken || status.is_redirection() || OF_THE_ACCOUNT.contains(&status) {
        return ErrorKind::Unavailable {
            reason: format!("status {status}"),
            retry_after,
        };
    }
    let message = complaint(response, key).await;
    let lower = message.to_ascii_lowercase();
    if OF_LENGTH.iter().any(|words| lower.contains(words)) {
        return ErrorKind::TooLong { message };
    }
    let status = status.as_u16();
    ErrorKind::Rejected { status, message }
}

/// The error without the URL, which may hold a key, and with its causes.
pub(super) fn unavailable(error: &reqwest::Error) -> ErrorKind {
    if error.is_timeout() {
        return ErrorKind::unavailable("no answer in time");
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    ErrorKind::unavailable(reason)
}

/// Seconds, or a date of HTTP (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = rfc2822::parse(value).ok()?.timestamp();
        Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// What a server says is wrong: OpenAI's `error.message`, FastAPI's `detail`, else the body.
async fn complaint(mut response: Response, key: Option<&SecretString>) -> String {
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > MAX_COMPLAINT_BYTES {
            break;
        }
    }
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let told = [
        &value["error"]["message"],
        &value["error"],
        &value["detail"],
    ]
    .into_iter()
    .find_map(|message| message.as_str());
    let told = told.map_or_else(|| String::from_utf8_lossy(&body), Into::into);
    let words: Vec<_> = told.split_whitespace().collect();
    let mut told = words.join(" ");
    if let Some(key) = key
        .map(ExposeSecret::expose_secret)
        .filter(|key| !key.is_empty())
    {
        told = told.replace(key, "[key]");
    }
    told.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_and_bounded() {
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("86400"), Some(MAX_RETRY_AFTER));
        assert_eq!(pause("soon"), None);
        assert_eq!(pause("Sat, 01 Jan 2000 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            pause("Sat, 01 Jan 2400 00:00:00 GMT"),
            Some(MAX_RETRY_AFTER)
        );
    }
}
