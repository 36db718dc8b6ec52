//! Programs of this workspace as children, and a speech server that counts what it is sent.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::eventually;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use axum::{Json, Router};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// The sample call.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clinic-call/call.opus");
/// A stop may take this long (`lifecycle`).
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A running program.
pub struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// The program of a worker.
    pub fn of(process: Process) -> &'static str {
        match process {
            Process::Ingress => "ingress",
            Process::Storage => "storage",
            Process::Transcription => "transcription",
            Process::Analysis => "analysis",
            Process::Maintenance => "maintenance",
        }
    }

    /// Starts a program with nothing but this environment, and waits until it is ready.
    pub async fn start(name: &str, env: &Env, port: u16) -> Self {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program(name))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter())
            .env("LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let url = format!("http://127.0.0.1:{port}");
        eventually("the program is ready", || async {
            let ready = reqwest::get(format!("{url}/ready")).await;
            ready.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self { child, url }
    }

    /// Messages that it handled, by its own metrics.
    pub async fn handled(&self) -> u64 {
        let metrics = reqwest::get(format!("{}/metrics", self.url))
            .await
            .expect("metrics");
        let text = metrics.text().await.expect("text");
        text.lines()
            .filter(|line| line.starts_with("aftercall_handled_messages_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Ends it as the death of its machine would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Asks it to stop and waits until it has; it must end well.
    pub async fn stop(mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), Signal::TERM).expect("a signal");
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        assert!(
            ended
                .expect("it stops in time")
                .expect("waited for")
                .success()
        );
    }
}

/// A program of this workspace, beside the one that belongs to these tests.
fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_aftercall-all")).with_file_name(name);
    assert!(path.exists(), "build it first: `make test` does");
    path
}

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
    let start = body
        .windows(4)
        .position(|four| four == b"RIFF")
        .expect("a WAV file");
    let length = body[start + 4..start + 8]
        .try_into()
        .map(u32::from_le_bytes)
        .expect("a length");
    let audio = &body[start..start + 8 + length as usize];
    sent.lock()
        .expect("no panic")
        .push(Sha256::digest(audio).to_vec());
    Json(json!({"text": "Hello there.", "language": "english", "segments": []}))
}
