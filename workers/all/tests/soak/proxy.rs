//! Stands between the transcription worker and the speech server, passes everything on and counts it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::audio_sha256;

/// Runs until it is dropped.
pub struct CountingProxy {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    _serving: JoinSet<std::io::Result<()>>,
}

#[derive(Clone)]
struct Upstream {
    http: reqwest::Client,
    url: String,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl CountingProxy {
    /// A proxy in front of the server at `url`.
    pub async fn before(url: &str) -> Self {
        aftercall::lifecycle::install_tls();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let upstream = Upstream {
            http: aftercall::providers::http_client().expect("a client"),
            url: url.trim_end_matches('/').to_owned(),
            sent: Arc::clone(&sent),
        };
        let router = Router::new()
            .fallback(pass_on)
            .layer(DefaultBodyLimit::disable())
            .with_state(upstream);
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

    /// SHA-256 of the audio of each request, in the order of arrival.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().expect("no panic").clone()
    }
}

async fn pass_on(
    State(upstream): State<Upstream>,
    method: axum::http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    if uri.path().ends_with("/audio/transcriptions") {
        let sha256 = audio_sha256(&body);
        upstream.sent.lock().expect("no panic").push(sha256);
    }
    let mut request = upstream
        .http
        .request(method, format!("{}{uri}", upstream.url))
        .body(body);
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        request = request.header(CONTENT_TYPE, content_type);
    }
    let answer = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(content_type) = answer.headers().get(CONTENT_TYPE) {
        response = response.header(CONTENT_TYPE, content_type);
    }
    let body = answer.bytes().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.body(Body::from(body)).expect("a valid answer"))
}
