//! A chat server that answers as it is told, in the protocol as published
//! (<https://platform.openai.com/docs/api-reference/chat-streaming>), and keeps a bill.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::model;

/// What it does with one request.
#[derive(Clone)]
pub enum Act {
    /// Answers as a model does that keeps to its instructions.
    Honest,
    /// The same, once it is let go.
    Held,
    /// Answers what this makes of the request.
    Made(fn(&Asked) -> String),
    /// Answers this text.
    Say(String),
    /// The same, cut off at the limit of output tokens.
    Truncated(String),
    /// The text, as one document instead of a stream.
    Document(fn(&Asked) -> String),
    /// Begins to answer and closes the connection.
    Cut,
    /// Begins to answer and goes on saying nothing.
    Stall,
    Refuse,
    /// Reports an error within the stream.
    ErrorMidway,
    /// An HTML page, with status 200.
    Page,
    /// More text than any answer has.
    Huge,
    Status(u16, Option<&'static str>),
    /// Points to another address.
    Redirect,
    /// Bytes that are no text.
    BadBytes,
    /// The whole answer, and then a connection that is cut instead of closed.
    CutAfter(fn(&Asked) -> String),
    Complain(&'static str),
}

/// What a request holds, as a model reads it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub body: Value,
    /// The word of the fences.
    pub fence: String,
    /// What stands between them.
    pub data: String,
    pub is_reduction: bool,
}

/// A running stub; ends when it is dropped.
pub struct Stub {
    address: std::net::SocketAddr,
    state: Arc<Mutex<Script>>,
    gate: Arc<Semaphore>,
    _serving: JoinSet<std::io::Result<()>>,
}

#[derive(Default)]
struct Script {
    acts: VecDeque<Act>,
    asked: Vec<Asked>,
    bill: Bill,
}

/// What it has billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    pub requests: usize,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// By [`PRICES`], request by request.
    pub amount_micros: u64,
}

/// Millionths for a million tokens, of input and of output.
pub const PRICES: (u64, u64) = (400_000, 1_600_000);

impl Stub {
    /// Does this, act by act, and the last again and again.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let state = Arc::new(Mutex::new(Script::default()));
        let gate = Arc::new(Semaphore::new(0));
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state((Arc::clone(&state), Arc::clone(&gate)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        let stub = Self {
            address,
            state,
            gate,
            _serving: serving,
        };
        stub.play(acts);
        stub
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Begins another script, with an empty bill.
    pub fn play(&self, acts: impl IntoIterator<Item = Act>) {
        *self.state.lock().expect("no panic") = Script {
            acts: acts.into_iter().collect(),
            ..Script::default()
        };
    }

    /// Lets go of one held answer.
    pub fn release(&self) {
        self.gate.add_permits(1);
    }

    pub fn bill(&self) -> Bill {
        self.state.lock().expect("no panic").bill
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no panic").asked.clone()
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn answer(
    State((state, gate)): State<(Arc<Mutex<Script>>, Arc<Semaphore>)>,
    body: Bytes,
) -> Response {
    let asked = read(&body);
    let act = {
        let mut script = state.lock().expect("no panic");
        script.asked.push(asked.clone());
        script.bill.requests += 1;
        let act = script.acts.front().cloned().expect("a script");
        if script.acts.len() > 1 {
            script.acts.pop_front();
        }
        act
    };
    let input = body.len() as u64 / 4;
    let bill = |text: &str| {
        let output = text.len() as u64 / 4;
        let mut script = state.lock().expect("no panic");
        script.bill.input_tokens += input;
        script.bill.output_tokens += output;
        script.bill.amount_micros += (input * PRICES.0 + output * PRICES.1 + 500_000) / 1_000_000;
        json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
    };
    let streamed = |text: String, finish: &str| {
        let usage = bill(&text);
        events(said(&text, Some(finish), Some(usage)))
    };
    match act {
        Act::Honest => streamed(model::honest(&asked), "stop"),
        Act::Held => {
            gate.acquire().await.expect("it is open").forget();
            streamed(model::honest(&asked), "stop")
        }
        Act::Made(make) => streamed(make(&asked), "stop"),
        Act::Say(text) => streamed(text, "stop"),
        Act::Truncated(text) => streamed(text, "length"),
        Act::Document(make) => {
            let text = make(&asked);
            let usage = bill(&text);
            axum::Json(json!({
                "object": "chat.completion",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop"}],
                "usage": usage,
            }))
            .into_response()
        }
        Act::Cut => {
            let begun = Bytes::from(said("{\"summary\": [", None, None));
            let parts = [Ok(begun), Err(std::io::Error::other("cut"))];
            events(Body::from_stream(futures::stream::iter(parts)))
        }
        Act::Stall => {
            let begun = futures::stream::iter([Bytes::from(said("{\"summary\": [", None, None))]);
            let beats = futures::stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Bytes::from_static(b": still here\n\n"), ()))
            });
            let all = begun.chain(beats).map(Ok::<_, std::io::Error>);
            events(Body::from_stream(all))
        }
        Act::Refuse => {
            let usage = bill("I cannot");
            let chunk =
                json!({"choices": [{"delta": {"refusal": "I cannot"}, "finish_reason": "stop"}]});
            let usage = json!({"choices": [], "usage": usage});
            events(format!(
                "data: {chunk}\n\ndata: {usage}\n\ndata: [DONE]\n\n"
            ))
        }
        Act::ErrorMidway => {
            let begun = said("{", None, None);
            let usage = bill("{");
            let error = json!({"error": {"code": 502, "message": "upstream"}, "usage": usage});
            events(format!("{begun}data: {error}\n\n"))
        }
        Act::Page => ([("content-type", "text/html")], "<html>sign in</html>").into_response(),
        Act::Huge => {
            // The server stops when nobody reads any more; what it says it used never arrives.
            events(said(&"x".repeat(3 * 1024 * 1024), Some("stop"), None))
        }
        Act::Status(status, pause) => {
            let status = StatusCode::from_u16(status).expect("a status");
            match pause {
                Some(pause) => (status, [("retry-after", pause)]).into_response(),
                None => status.into_response(),
            }
        }
        Act::Redirect => {
            let target = "http://127.0.0.1:9/v1/chat/completions";
            let status = StatusCode::TEMPORARY_REDIRECT;
            (status, [("location", target)]).into_response()
        }
        Act::BadBytes => {
            let mut body = said("{", None, None).into_bytes();
            body.extend_from_slice(b"data: {\"choices\": \xff\xfe}\n\n");
            events(body)
        }
        Act::CutAfter(make) => {
            let text = make(&asked);
            let usage = bill(&text);
            let body = said(&text, Some("stop"), Some(usage)).replace("data: [DONE]\n\n", "");
            let whole = futures::stream::iter([Ok(Bytes::from(body))]);
            // After what was sent has left.
            let cut = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(std::io::Error::other("cut"))
            });
            events(Body::from_stream(whole.chain(cut)))
        }
        Act::Complain(message) => {
            let problem = json!({"error": {"message": message, "type": "invalid_request_error"}});
            (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
        }
    }
}

fn events(body: impl Into<Body>) -> Response {
    ([("content-type", "text/event-stream")], body.into()).into_response()
}

/// The events of an answer; one that has no finish reason breaks off.
fn said(text: &str, finish: Option<&str>, usage: Option<Value>) -> String {
    let mut body = String::new();
    let mut add = |chunk: Value| {
        let _ = write!(body, "data: {chunk}\n\n");
    };
    add(json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(40) {
        let piece: String = piece.iter().collect();
        add(json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}));
    }
    let Some(finish) = finish else {
        return body;
    };
    add(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}));
    if let Some(usage) = usage {
        add(json!({"choices": [], "usage": usage}));
    }
    body.push_str("data: [DONE]\n\n");
    body
}

fn read(body: &[u8]) -> Asked {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let content = |index: usize| body["messages"][index]["content"].as_str().expect("text");
    let user = content(1);
    let (_, rest) = user.split_once("=== BEGIN ").expect("a fence");
    let (fence, rest) = rest.split_once(" ===\n").expect("a fence");
    let end = format!("\n=== END {fence} ===");
    let (data, _) = rest.split_once(&end).expect("the end of the fence");
    Asked {
        fence: fence.to_owned(),
        data: data.to_owned(),
        is_reduction: content(0).starts_with("You read numbered notes"),
        body: body.clone(),
    }
}
