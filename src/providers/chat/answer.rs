//! The answer as it arrives: server-sent events in the shape of OpenAI's chunks
//! (<https://platform.openai.com/docs/api-reference/chat-streaming>), or one JSON document from servers
//! that do not stream.

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;

use super::error::unavailable;
use super::{ChatError, ErrorKind, Pace};

/// Everything that is sent for one answer: some 300 bytes a token.
const MAX_STREAM_BYTES: usize = 32 * 1024 * 1024;
/// One event, which is held in memory as a whole, however many lines it has.
const MAX_EVENT_BYTES: usize = 512 * 1024;
/// The text of an answer.
const MAX_TEXT_BYTES: usize = 512 * 1024;
/// The end of a stream.
const DONE: &str = "[DONE]";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a model answered in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    pub usage: Usage,
}

/// What a server says that a request used; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    /// Tokens of reasoning included.
    pub output_tokens: Option<u64>,
    /// Millionths of a US dollar, from servers that bill by themselves
    /// (<https://openrouter.ai/docs/use-cases/usage-accounting>).
    pub cost_micros: Option<i64>,
}

/// What has arrived so far.
#[derive(Default)]
struct Partial {
    text: String,
    usage: Usage,
    declined: bool,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Piece>,
    /// In place of `delta` where the answer is not streamed.
    #[serde(default)]
    message: Option<Piece>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("transport")]
    Transport(#[from] reqwest::Error),
    #[error("larger than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
}

/// Reads the answer of a request that was taken.
pub(super) async fn read(response: Response, pace: Pace) -> Result<Answer, ChatError> {
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next();
    let mut partial = Partial::default();
    let read = match essence.unwrap_or_default().trim() {
        "text/event-stream" => partial.read_events(response, pace).await,
        "application/json" => partial.read_document(response, pace).await,
        // A proxy or a sign-in page, in place of the server.
        _ => Err(ErrorKind::unavailable(
            "it answers with another content type",
        )),
    };
    match read.and_then(|()| partial.judge()) {
        Ok(()) => Ok(Answer {
            text: partial.text,
            usage: partial.usage,
        }),
        Err(kind) => Err(ChatError {
            kind,
            usage: partial.usage,
            text: partial.text,
        }),
    }
}

impl Partial {
    /// Time is measured between events, not bytes: comments that keep a connection alive say nothing of
    /// the model.
    ///
    /// A server that has told why the answer ended owes nothing more: whatever comes then instead of the
    /// end of the stream, the answer is whole and paid for.
    async fn read_events(&mut self, response: Response, pace: Pace) -> Result<(), ErrorKind> {
        let mut events = std::pin::pin!(bounded(response).eventsource());
        loop {
            match pace.next(events.next()).await {
                Err(_) if self.finish_reason.is_some() => return Ok(()),
                Err(late) => return Err(late),
                Ok(None) => return Ok(()),
                Ok(Some(Ok(event))) if event.data.trim() == DONE => return Ok(()),
                Ok(Some(Ok(event))) => self.add(event.data.as_bytes())?,
                Ok(Some(Err(EventStreamError::Transport(Broken::Transport(_)))))
                    if self.finish_reason.is_some() =>
                {
                    return Ok(());
                }
                Ok(Some(Err(EventStreamError::Transport(broken)))) => return Err(broken.into()),
                // The end is judged by what had arrived.
                Ok(Some(Err(_))) => {
                    return Err(ErrorKind::unavailable("its events cannot be read"));
                }
            }
        }
    }

    async fn read_document(&mut self, response: Response, pace: Pace) -> Result<(), ErrorKind> {
        let mut parts = std::pin::pin!(bounded(response));
        let mut body = Vec::new();
        loop {
            let Some(part) = pace.next(parts.next()).await? else {
                break;
            };
            body.extend_from_slice(&part?);
            if body.len() > MAX_TEXT_BYTES {
                let max_bytes = MAX_TEXT_BYTES;
                return Err(ErrorKind::TooLarge { max_bytes });
            }
        }
        self.add(&body)
    }

    fn add(&mut self, data: &[u8]) -> Result<(), ErrorKind> {
        let unreadable = |_| ErrorKind::unavailable("it answers in another shape");
        let chunk: Chunk = serde_json::from_slice(data).map_err(unreadable)?;
        if let Some(usage) = chunk.usage {
            self.usage.update(&usage);
        }
        if chunk.error.is_some() {
            return Err(ErrorKind::unavailable("it reported an error midway"));
        }
        let Some(choice) = chunk.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(());
        };
        if let Some(piece) = choice.delta.or(choice.message) {
            self.text
                .push_str(piece.content.as_deref().unwrap_or_default());
            self.declined |= piece.refusal.is_some_and(|refusal| !refusal.is_empty());
        }
        if choice.finish_reason.is_some() {
            self.finish_reason = choice.finish_reason;
        }
        if self.text.len() > MAX_TEXT_BYTES {
            self.text.clear();
            let max_bytes = MAX_TEXT_BYTES;
            return Err(ErrorKind::TooLarge { max_bytes });
        }
        Ok(())
    }

    /// Whether what arrived is an answer.
    fn judge(&self) -> Result<(), ErrorKind> {
        if self.declined {
            return Err(ErrorKind::Declined);
        }
        match self.finish_reason.as_deref() {
            Some("length") => Err(ErrorKind::Truncated),
            Some("content_filter") => Err(ErrorKind::Declined),
            Some("error") => Err(ErrorKind::unavailable("it reported an error midway")),
            Some(_) => Ok(()),
            None => Err(ErrorKind::unavailable("the answer broke off")),
        }
    }
}

impl Usage {
    /// The newest figures count: some servers send them with every chunk. One in another shape is none,
    /// and no reason to throw away the answer.
    fn update(&mut self, told: &Value) {
        self.input_tokens = count(&told["prompt_tokens"]).or(self.input_tokens);
        self.output_tokens = count(&told["completion_tokens"]).or(self.output_tokens);
        let cost = told["cost"].as_f64().and_then(micros);
        self.cost_micros = cost.or(self.cost_micros);
    }
}

impl From<Broken> for ErrorKind {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Transport(error) => unavailable(&error.without_url()),
            Broken::TooLarge { max_bytes } => Self::TooLarge { max_bytes },
        }
    }
}

/// The body, ended with an error where it is too large, without the mark that may open it.
fn bounded(response: Response) -> impl Stream<Item = Result<Bytes, Broken>> {
    let (mut total, mut event) = (0, EventSize::default());
    response.bytes_stream().map(move |part| {
        let mut part = part?;
        if total == 0 && part.starts_with(BYTE_ORDER_MARK) {
            part = part.slice(BYTE_ORDER_MARK.len()..);
        }
        total += part.len();
        let largest = event.largest_in(&part);
        for (size, max_bytes) in [(total, MAX_STREAM_BYTES), (largest, MAX_EVENT_BYTES)] {
            if size > max_bytes {
                return Err(Broken::TooLarge { max_bytes });
            }
        }
        Ok(part)
    })
}

/// Bytes since the last empty line, which ends an event.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    /// Whether the line so far is empty; a carriage return is no content.
    has_line: bool,
}

impl EventSize {
    /// The most that an event has had by the end of any line of this part.
    fn largest_in(&mut self, part: &[u8]) -> usize {
        let mut largest = 0;
        let mut rest = part;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            self.bytes += line.len();
            largest = largest.max(self.bytes);
            if !self.has_line && matches!(line, b"\n" | b"\r\n") {
                self.bytes = 0;
            }
            self.has_line = false;
            rest = after;
        }
        self.bytes += rest.len();
        self.has_line |= !matches!(rest, b"" | b"\r");
        largest.max(self.bytes)
    }
}

/// A number of tokens, also from servers that write all numbers as fractions.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the figure is checked to be whole, and from 0 to far below the largest integer"
)]
fn count(told: &Value) -> Option<u64> {
    const MOST: f64 = 1e15;
    let whole = |figure: &f64| (0.0..MOST).contains(figure) && figure.fract() == 0.0;
    let fraction = || told.as_f64().filter(whole).map(|figure| figure as u64);
    told.as_u64().or_else(fraction)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the figure is checked to be far below the largest integer"
)]
fn micros(dollars: f64) -> Option<i64> {
    const MOST: f64 = 1e9;
    (0.0..MOST)
        .contains(&dollars)
        .then(|| (dollars * 1_000_000.0).round() as i64)
}
