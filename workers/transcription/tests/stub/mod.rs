//! A speech server that answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What it answers to one request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Text(&'static str),
    Status(u16),
}

/// A running stub; ends when it is dropped.
pub struct Stub {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Seen>>,
    gate: Arc<Semaphore>,
    _serving: JoinSet<std::io::Result<()>>,
}

struct Seen {
    answers: Vec<Answer>,
    /// SHA-256 of the audio of each request.
    sent: Vec<Vec<u8>>,
}

impl Stub {
    /// Gives these answers in turn, and the last again and again.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let stub = Self::held(answers).await;
        stub.release();
        stub
    }

    /// Answers nothing until [`Stub::release`].
    pub async fn held(answers: impl IntoIterator<Item = Answer>) -> Self {
        let seen = Seen {
            answers: answers.into_iter().collect(),
            sent: Vec::new(),
        };
        let seen = Arc::new(Mutex::new(seen));
        let gate = Arc::new(Semaphore::new(0));
        let router = Router::new()
            .route("/v1/audio/transcriptions", post(answer))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((Arc::clone(&seen), Arc::clone(&gate)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            seen,
            gate,
            _serving: serving,
        }
    }

    pub fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> usize {
        self.sent().len()
    }

    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no panic").sent.clone()
    }
}

async fn answer(
    State((seen, gate)): State<(Arc<Mutex<Seen>>, Arc<Semaphore>)>,
    body: Bytes,
) -> Response {
    let answer = {
        let mut seen = seen.lock().expect("no panic");
        let at = seen.sent.len().min(seen.answers.len().saturating_sub(1));
        seen.sent.push(Sha256::digest(audio(&body)).to_vec());
        seen.answers.get(at).copied()
    };
    let _open = gate.acquire().await.expect("never closed");
    match answer {
        Some(Answer::Text(text)) => {
            let segment = serde_json::json!({
                "start": 0.0, "end": 1.0, "text": text, "avg_logprob": -0.1, "no_speech_prob": 0.01,
            });
            axum::Json(serde_json::json!({
                "task": "transcribe", "language": "english", "duration": 1.0,
                "text": text, "segments": [segment],
            }))
            .into_response()
        }
        Some(Answer::Status(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let error = serde_json::json!({"error": {"message": "told to", "type": "test"}});
            (status, axum::Json(error)).into_response()
        }
        None => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

/// The WAV file within the form; the boundary around it differs from request to request.
fn audio(body: &[u8]) -> &[u8] {
    let start = body
        .windows(4)
        .position(|four| four == b"RIFF")
        .expect("a WAV file");
    let length = body[start + 4..start + 8]
        .try_into()
        .map(u32::from_le_bytes)
        .expect("a length");
    &body[start..start + 8 + length as usize]
}
