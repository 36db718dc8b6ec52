//! A caller of the API, a speech server that hears canaries, and a search for them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod search;

use std::net::SocketAddr;
use std::path::Path;

use aftercall::ids::SessionId;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use search::tables_with;

/// What nobody may find after the erasure.
pub const CANARY: &str = "canarybird";

/// A signed-in user.
pub struct Api {
    url: String,
    client: reqwest::Client,
    token: String,
}

impl Api {
    pub async fn register(url: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = json!({"email": "ada@example.org", "password": "correct horse", "name": "Ada"});
        let request = client.post(format!("{url}/auth/register")).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self { url, client, token }
    }

    pub async fn create_customer(&self) -> String {
        let body = json!({
            "name": format!("{CANARY} Customer"),
            "email": format!("{CANARY}@example.org"),
            "notes": CANARY,
        });
        let request = self.request(Method::POST, "/customers").json(&body);
        let (status, answer) = read(request.header("idempotency-key", "once")).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    pub async fn create_session(&self, body: &Value) -> SessionId {
        let request = self.request(Method::POST, "/sessions").json(body);
        let (status, answer) = read(request.header("idempotency-key", "once")).await;
        assert_eq!(status, 201, "{answer}");
        serde_json::from_value(answer["id"].clone()).unwrap()
    }

    pub async fn upload(&self, session: SessionId, name: &str, bytes: Vec<u8>) {
        let path = format!("/sessions/{session}/upload-recording");
        let form = Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()));
        let request = self.request(Method::POST, &path).multipart(form);
        let (status, answer) = read(request.header("idempotency-key", "once")).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Corrects the first turn of a transcript.
    pub async fn correct(&self, session: SessionId, text: &str) {
        let path = format!("/sessions/{session}/transcript");
        let generation = self.get(&path).await.1["generation"].clone();
        let body = json!({"generation": generation, "turns": [{"index": 0, "text": text}]});
        let request = self.request(Method::PATCH, &path).json(&body);
        let (status, answer) = read(request.header("idempotency-key", "once")).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["changed_turns"], 1, "{answer}");
    }

    /// Erases what stands at `path`.
    pub async fn erase(&self, path: &str) -> String {
        let path = format!("{path}?erase=true");
        let (status, answer) = read(self.request(Method::DELETE, &path)).await;
        assert_eq!(status, 202, "{answer}");
        answer["erasure_id"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.bearer_auth(&self.token)
    }
}

async fn read(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Hears the canary in everything.
pub struct Speech {
    address: SocketAddr,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Speech {
    pub async fn start() -> Self {
        let router = Router::new()
            .route("/v1/audio/transcriptions", post(hear))
            .layer(DefaultBodyLimit::disable());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Takes the whole body first: an answer in the middle of it breaks the sender's pipe.
async fn hear(_body: Bytes) -> Json<Value> {
    let text = format!("Please call the {CANARY} about the invoice tomorrow.");
    let segment = json!({
        "start": 0.0, "end": 1.0, "text": text, "avg_logprob": -0.1, "no_speech_prob": 0.01,
    });
    Json(json!({
        "task": "transcribe", "language": "english", "duration": 1.0, "text": text,
        "segments": [segment],
    }))
}

/// A spoken WAV file with the canary in a chunk that decoders skip.
pub fn spoken() -> Vec<u8> {
    let wav = include_bytes!("../../samples/two-cities/two-cities.wav");
    let mut bytes = wav.to_vec();
    let note = format!("{CANARY} audio..");
    bytes.extend_from_slice(b"note");
    bytes.extend_from_slice(&u32::try_from(note.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(note.as_bytes());
    let riff_bytes = u32::try_from(bytes.len() - 8).unwrap();
    bytes[4..8].copy_from_slice(&riff_bytes.to_le_bytes());
    bytes
}

/// Tables with the canary in a row, as an administrator reads them.
pub async fn in_tables(admin: &mut PgConnection) -> Vec<String> {
    tables_with(admin, CANARY).await
}

/// Files below a folder that hold the canary.
pub fn in_files(dir: &Path) -> Vec<String> {
    search::files_with(dir, CANARY)
}
