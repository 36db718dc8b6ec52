//! A speech server that counts what it is sent, and the sample call.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::audio_sha256;

/// The sample call.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clinic-call/call.opus");

/// A speech server that hears the same in everything and counts what it is sent; its protocol is
/// OpenAI's (<https://platform.openai.com/docs/api-reference/audio/createTranscription>).
pub struct Speech {
    address: std::net::SocketAddr,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Speech {
    pub async fn start() -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/v1/audio/transcriptions", post(hear))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&sent));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            sent,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SHA-256 of the audio of each request.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().expect("no panic").clone()
    }
}

async fn hear(State(sent): State<Arc<Mutex<Vec<Vec<u8>>>>>, body: Bytes) -> Json<Value> {
    sent.lock().expect("no panic").push(audio_sha256(&body));
    Json(json!({"text": "Hello there.", "language": "english", "segments": []}))
}
