//! The ingress on the servers of a test, and a client of it.

use std::net::SocketAddr;
use std::sync::OnceLock;

use aftercall::config::{self, Env};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::Seeded;
use aftercall::http::{Config, start};
use aftercall::ids::UserId;
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::telemetry::{PrometheusHandle, install_metrics};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const PASSWORD: &str = "correct horse battery";

/// A process has one recorder, and `cargo test` runs many tests in one process.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// A running ingress.
pub struct TestIngress {
    pub address: SocketAddr,
    client: reqwest::Client,
    shutdown: Shutdown,
    server: JoinSet<anyhow::Result<()>>,
}

/// A user who is signed in to an ingress.
pub struct SignedIn<'a> {
    pub ingress: &'a TestIngress,
    pub token: String,
    pub user_id: UserId,
}

/// What was answered, read in full.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl TestIngress {
    pub async fn start(harness: &Harness) -> Self {
        Self::start_with(harness, &[]).await
    }

    /// With some settings changed.
    pub async fn start_with(harness: &Harness, settings: &[(&str, &str)]) -> Self {
        let env = harness.env(Process::Ingress);
        install_tls();
        let store = config::ObjectStore::read(&env).expect("settings of the store");
        let store = ObjectStore::connect(&store)
            .await
            .expect("a client of the store");
        store.ensure_bucket().await.expect("a bucket");
        Self::start_in(&env.with(settings.iter().copied())).await
    }

    /// In an environment of the test's own making.
    pub async fn start_in(env: &Env) -> Self {
        install_tls();
        let config = Config::read(env).expect("settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let metrics = METRICS
            .get_or_init(|| install_metrics().expect("no other recorder"))
            .clone();
        let shutdown = Shutdown::new();
        let mut server = JoinSet::new();
        server.spawn(start(config, listener, metrics, shutdown.clone()));
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            address,
            client,
            shutdown,
            server,
        }
    }

    /// Stops as SIGTERM does, and waits for the end.
    pub async fn stop(mut self) {
        self.shutdown.stop();
        let ended = self.server.join_next().await.expect("the server");
        ended.expect("no panic").expect("a clean end");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request to be completed; `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        Answer::of(with_token(self.request(Method::GET, path), token)).await
    }

    pub async fn post_json(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        Answer::of(with_token(self.request(Method::POST, path), token).json(body)).await
    }

    /// Registers a user with this address and [`PASSWORD`]; returns the access token.
    pub async fn register(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
        let answer = self.post_json("/api/v1/auth/register", None, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}

impl<'a> SignedIn<'a> {
    /// Registers a user with this address.
    pub async fn new(ingress: &'a TestIngress, email: &str) -> Self {
        let token = ingress.register(email).await;
        let me = ingress.get("/api/v1/auth/me", Some(&token)).await.json();
        let user_id = me["id"].as_str().and_then(|id| id.parse().ok());
        Self {
            ingress,
            token,
            user_id: user_id.expect("an id"),
        }
    }

    /// A request to be completed; `path` stands below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.ingress.request(method, &format!("/api/v1{path}"));
        request.bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Without a body.
    pub async fn post(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }

    /// Creates a session of this user.
    pub async fn create_session(&self, body: &Value) -> Seeded {
        let answer = self.post_json("/sessions", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let answer = answer.json();
        let session_id = answer["id"].as_str().and_then(|id| id.parse().ok());
        Seeded {
            user_id: self.user_id,
            session_id: session_id.expect("an id"),
        }
    }

    /// The session as it is now.
    pub async fn session(&self, seeded: Seeded) -> Value {
        let answer = self.get(&format!("/sessions/{}", seeded.session_id)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    }
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.bytes().await.expect("a body").to_vec(),
        }
    }

    /// The head of an answer that goes on for ever.
    pub async fn head_of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            Vec::new()
        } else {
            response.bytes().await.expect("a body").to_vec()
        };
        Self {
            status,
            headers,
            body,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
    }

    /// Asserts that this is a problem document with this status, and returns its code.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for field in ["title", "detail", "code"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
        problem["code"].as_str().expect("checked").to_owned()
    }

    /// Asserts that this is a 422, and returns the fields that are wrong.
    #[track_caller]
    pub fn wrong_fields(&self) -> Vec<String> {
        assert_eq!(self.problem(422), "invalid");
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("errors");
        errors
            .iter()
            .map(|error| error["field"].as_str().expect("a field").to_owned())
            .collect()
    }
}

fn install_tls() {
    // The first test of the process installs it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn with_token(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}
