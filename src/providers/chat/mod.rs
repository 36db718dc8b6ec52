//! Chat completions by any server that speaks `POST /chat/completions`, always streamed.
//!
//! - OpenAI: <https://platform.openai.com/docs/api-reference/chat/create>
//! - OpenRouter: <https://openrouter.ai/docs/api-reference/chat-completion>
//! - llama.cpp: <https://github.com/ggml-org/llama.cpp/tree/master/tools/server>
//! - Ollama: <https://docs.ollama.com/api/openai-compatibility>
//! - vLLM: <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>
//!
//! Servers differ in how they are made to answer in JSON and in what they call the output limit. What
//! one refuses is left out from then on (`Dialect`). Not here: what is asked, whether the answer is any
//! good, and waiting before the next try.
//!
//! Invariant: [`Chat::ask`] makes one request, and whatever it ends in tells what the server says it
//! used.

mod answer;
mod body;
mod dialect;
mod error;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use body::RequestBody;
use dialect::Dialect;
use error::{refusal, unavailable};

pub use answer::{Answer, Usage};
pub use error::{ChatError, ErrorKind};

/// A server, a model, and how to ask for it.
#[derive(Debug)]
pub struct Chat {
    http: Client,
    url: String,
    api_key: Option<SecretString>,
    model: String,
    limits: Limits,
    spoken: Mutex<Spoken>,
}

/// What bounds one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_output_tokens: u32,
    /// Time in which a server must bring something of the answer: the first piece, and each further one.
    pub idle: Duration,
    /// For the whole of an answer.
    pub time_limit: Duration,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// What the model is told to do.
    pub system: &'a str,
    /// What it is to do it with.
    pub user: &'a str,
    /// Name of the answer's schema: letters, digits and underscores.
    pub schema_name: &'static str,
    /// JSON Schema of the answer, in the subset that strict servers take: every property required and
    /// no additional ones.
    pub schema: &'a Value,
}

/// How long one request may still take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    idle: Duration,
    deadline: Instant,
}

impl Pace {
    /// What comes next, if it comes in time.
    async fn next<F: Future>(self, next: F) -> Result<F::Output, ErrorKind> {
        let until = self.deadline.min(Instant::now() + self.idle);
        let late = if until == self.deadline {
            ErrorKind::TooSlow
        } else {
            ErrorKind::Stalled
        };
        timeout_at(until, next).await.map_err(|_| late)
    }
}

/// How this process speaks to the server.
#[derive(Clone, Copy, Debug, Default)]
struct Spoken {
    next: Dialect,
    /// The last one that the server took.
    proven: Dialect,
}

impl Chat {
    /// `base_url` as for OpenAI's clients (`https://api.openai.com/v1`); without a path `/v1` is added.
    pub fn new(
        http: Client,
        base_url: &str,
        api_key: Option<SecretString>,
        model: impl Into<String>,
        limits: Limits,
    ) -> Self {
        Self {
            http,
            url: endpoint(base_url),
            api_key,
            model: model.into(),
            limits,
            spoken: Mutex::default(),
        }
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Makes one request. [`ErrorKind::Adapted`] says that the next one will be put in another way.
    pub async fn ask(&self, prompt: Prompt<'_>) -> Result<Answer, ChatError> {
        let dialect = self.spoken().next;
        let pace = Pace {
            idle: self.limits.idle,
            deadline: Instant::now() + self.limits.time_limit,
        };
        let body = RequestBody::of(prompt, &self.model, self.limits.max_output_tokens, dialect);
        let mut request = self.http.post(&self.url).json(&body);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = pace.next(request.send()).await?;
        let response = response.map_err(|error| unavailable(&error.without_url()))?;
        let status = response.status();
        if status.is_success() {
            self.settle(dialect, dialect);
            return answer::read(response, pace).await;
        }
        let refused = pace.next(self.refused(status, response, dialect)).await;
        Err(refused.unwrap_or_else(ChatError::from))
    }

    /// What a status other than success means; for a complaint about the form of the request, how it is
    /// put next.
    async fn refused(&self, status: StatusCode, response: Response, dialect: Dialect) -> ChatError {
        let kind = refusal(status, response, self.api_key.as_ref()).await;
        if let ErrorKind::Rejected { message, .. } = &kind {
            if dialect::is_about_form(status)
                && let Some(next) = dialect.without(message)
            {
                let proven = self.spoken().proven;
                self.settle(next, proven);
                return ErrorKind::Adapted.into();
            }
            // No form was taken, so the form was not what was wrong.
            let proven = self.spoken().proven;
            self.settle(proven, proven);
        }
        kind.into()
    }

    fn spoken(&self) -> Spoken {
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, next: Dialect, proven: Dialect) {
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        *spoken = Spoken { next, proven };
    }
}

fn endpoint(base_url: &str) -> String {
    let base = base_url.trim_end_matches('/');
    let has_path = base
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    if has_path {
        format!("{base}/chat/completions")
    } else {
        format!("{base}/v1/chat/completions")
    }
}
