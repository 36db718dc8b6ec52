//! Speech to text by any server that speaks `POST /v1/audio/transcriptions`.
//!
//! - OpenAI: <https://platform.openai.com/docs/api-reference/audio/createTranscription>
//! - Groq: <https://console.groq.com/docs/api-reference#audio-transcription>
//! - speaches: <https://speaches.ai/usage/speech-to-text/>
//! - whisper.cpp (`--inference-path /v1/audio/transcriptions`):
//!   <https://github.com/ggml-org/whisper.cpp/tree/master/examples/server>
//! - faster-whisper-server, the embedded one: PyPI `faster-whisper-server`
//!
//! The model must know the format `verbose_json`, as Whisper models do, for a confidence; servers
//! that answer plain `json` all the same give a text without one.

mod answer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};

pub use answer::{Segment, Transcription};

/// An hour of speech as verbose JSON is under 1 MiB; more is not an answer.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Enough of a server's complaint to act on.
const MAX_MESSAGE_CHARS: usize = 300;
/// Time for loading a model, and for waiting in line: some servers take one request at a time and
/// are silent meanwhile.
const BASE_TIMEOUT: Duration = Duration::from_secs(60);
/// Refusals that say nothing of the recording: a wrong or rotated key, no credit, a wrong address or
/// model. Mended by the operator, after which the same request is taken.
const OF_THE_ACCOUNT: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::PAYMENT_REQUIRED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::REQUEST_TIMEOUT,
];
/// Longer pauses are looked at again in between.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(15);
/// The slowest engine worth using takes this many times the length of the audio.
const TIMEOUT_FACTOR: u32 = 4;

/// A server, a model, and how to ask for it.
pub struct OpenAiAudio {
    http: Client,
    url: String,
    api_key: Option<SecretString>,
    model: String,
    language: Option<String>,
}

/// Why there is no transcription.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptionError {
    /// Nothing wrong with the request: worth trying again.
    #[error("the speech server is not available: {reason}")]
    Unavailable { reason: String },
    #[error("the speech server asks to slow down")]
    RateLimited { retry_after: Option<Duration> },
    /// The server will not take this request, now or later.
    #[error("the speech server refused the request with status {status}: {message}")]
    Rejected { status: u16, message: String },
    #[error("the speech server's answer is not a transcription: {reason}")]
    Malformed { reason: String },
}

impl OpenAiAudio {
    /// `base_url` with or without `/v1` at its end; `language` as ISO 639-1, `None` to have the
    /// engine find out.
    pub fn new(
        http: Client,
        base_url: &str,
        api_key: Option<SecretString>,
        model: impl Into<String>,
        language: Option<String>,
    ) -> Self {
        Self {
            http,
            url: endpoint(base_url),
            api_key,
            model: model.into(),
            language,
        }
    }

    /// Has `wav`, a file of `length`, written down.
    pub async fn transcribe(
        &self,
        wav: Vec<u8>,
        length: Duration,
    ) -> Result<Transcription, TranscriptionError> {
        self.transcribe_in(None, wav, length).await
    }

    /// The same for speech in `language` (BCP 47), where the one of the settings is not meant.
    pub async fn transcribe_in(
        &self,
        language: Option<&str>,
        wav: Vec<u8>,
        length: Duration,
    ) -> Result<Transcription, TranscriptionError> {
        let file = Part::bytes(wav)
            .file_name("chunk.wav")
            .mime_str("audio/wav")
            .expect("a valid content type");
        let mut form = Form::new()
            .part("file", file)
            // The embedded server reads `model_name`, all others `model`.
            .text("model", self.model.clone())
            .text("model_name", self.model.clone())
            .text("response_format", "verbose_json");
        // These servers know languages without their regions.
        let language = language.map(|tag| tag.split('-').next().unwrap_or(tag));
        if let Some(language) = language.or(self.language.as_deref()) {
            form = form.text("language", language.to_owned());
        }
        let mut request = self
            .http
            .post(&self.url)
            .timeout(BASE_TIMEOUT + TIMEOUT_FACTOR * length)
            .multipart(form);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        if status.is_success() {
            answer::parse(&bounded_body(response).await?)
        } else {
            Err(refusal(status, response).await)
        }
    }
}

fn endpoint(base_url: &str) -> String {
    let base = base_url.trim_end_matches('/');
    let base = base.strip_suffix("/v1").unwrap_or(base);
    format!("{base}/v1/audio/transcriptions")
}

async fn refusal(status: StatusCode, response: Response) -> TranscriptionError {
    if status == StatusCode::TOO_MANY_REQUESTS {
        let header = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let seconds = header.and_then(|value| value.trim().parse().ok());
        return TranscriptionError::RateLimited {
            retry_after: seconds.map(|s| Duration::from_secs(s).min(MAX_RETRY_AFTER)),
        };
    }
    let is_passing = status.is_server_error() || status.is_redirection();
    if is_passing || OF_THE_ACCOUNT.contains(&status) {
        return TranscriptionError::Unavailable {
            reason: format!("status {status}"),
        };
    }
    let body = bounded_body(response).await.unwrap_or_default();
    let message = answer::error_message(&body)
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .collect();
    TranscriptionError::Rejected {
        status: status.as_u16(),
        message,
    }
}

async fn bounded_body(mut response: Response) -> Result<Vec<u8>, TranscriptionError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(unavailable)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            let reason = format!("it is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(TranscriptionError::Malformed { reason });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// The URL is left out: it may hold a key.
fn unavailable(error: reqwest::Error) -> TranscriptionError {
    let error = error.without_url();
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        reason
    };
    TranscriptionError::Unavailable { reason }
}
