//! What stands before the stand-in for Amazon Transcribe: passes requests on, counts them, answers in its
//! place what it never says (too fast, failed), and writes the output that it does not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aftercall::providers::object_store::ObjectStore;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// In place of the next answer to an operation such as `StartTranscriptionJob`.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Refused under this code, with this message.
    Refused(u16, &'static str, &'static str),
    /// Whatever job is asked about has failed.
    Failed(&'static str),
    /// Taken, and its output is not written.
    Unwritten,
}

/// A running front; ends when it is dropped.
pub struct Front {
    address: std::net::SocketAddr,
    seen: Arc<Seen>,
    _serving: JoinSet<std::io::Result<()>>,
}

struct Seen {
    behind: String,
    http: reqwest::Client,
    store: ObjectStore,
    output: &'static str,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// The bodies of requests that were taken, by operation.
    taken: BTreeMap<String, Vec<Value>>,
    refused: BTreeMap<String, usize>,
    faults: BTreeMap<String, VecDeque<Fault>>,
}

impl Front {
    /// Before `behind`; each job that is started writes `output` into the store.
    pub async fn start(behind: &str, store: ObjectStore, output: &'static str) -> Self {
        let seen = Arc::new(Seen {
            behind: behind.to_owned(),
            http: aftercall::providers::http_client().expect("a client"),
            store,
            output,
            log: Mutex::default(),
        });
        let router = Router::new()
            .fallback(pass_on)
            .with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            seen,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests of an operation are answered so.
    pub fn will(&self, operation: &str, faults: impl IntoIterator<Item = Fault>) {
        let mut log = self.seen.log();
        let waiting = log.faults.entry(operation.to_owned()).or_default();
        waiting.extend(faults);
    }

    /// The bodies of the requests of an operation that were taken.
    pub fn taken(&self, operation: &str) -> Vec<Value> {
        let log = self.seen.log();
        log.taken.get(operation).cloned().unwrap_or_default()
    }

    /// Writes the output of every job that was started, late.
    pub async fn write_all(&self) {
        for asked in self.taken("StartTranscriptionJob") {
            let key = asked["OutputKey"].as_str().expect("a key");
            self.seen.write(&written_key(key, &asked)).await;
        }
    }

    pub fn refused(&self, operation: &str) -> usize {
        let log = self.seen.log();
        log.refused.get(operation).copied().unwrap_or_default()
    }
}

impl Seen {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, key: &str) {
        let put = self.store.put(key, "application/json", self.output.into());
        put.await.expect("written");
    }

    /// What is told of a job that is done and whose output is redacted: the stand-in behind knows no
    /// redaction.
    fn told_where(&self, answer: &str) -> Option<String> {
        let mut answer: Value = serde_json::from_str(answer).ok()?;
        let job = &answer["TranscriptionJob"];
        let told = job["Transcript"]["TranscriptFileUri"].as_str()?;
        let name = &job["TranscriptionJobName"];
        let log = self.log();
        let mut started = log.taken.get("StartTranscriptionJob")?.iter();
        let asked = started.find(|asked| asked["TranscriptionJobName"] == *name)?;
        let written = written_key(told, asked);
        if written == told {
            return None;
        }
        answer["TranscriptionJob"]["Transcript"] = json!({ "RedactedTranscriptFileUri": written });
        Some(answer.to_string())
    }

    fn fault(&self, operation: &str) -> Option<Fault> {
        self.log().faults.get_mut(operation)?.pop_front()
    }

    fn note(&self, operation: &str, status: StatusCode, body: &Value) {
        let mut log = self.log();
        if status.is_success() {
            let taken = log.taken.entry(operation.to_owned()).or_default();
            taken.push(body.clone());
        } else {
            *log.refused.entry(operation.to_owned()).or_default() += 1;
        }
    }
}

async fn pass_on(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let operation = target.and_then(|it| it.rsplit('.').next());
    let operation = operation.expect("an operation").to_owned();
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let fault = seen.fault(&operation);
    if let Some(Fault::Refused(status, code, message)) = fault {
        let status = StatusCode::from_u16(status).expect("a status");
        seen.note(&operation, status, &asked);
        return refusal(status, code, message);
    }
    let mut request = seen.http.post(&seen.behind).body(body);
    for (name, value) in &headers {
        if *name != header::HOST && *name != header::CONTENT_LENGTH {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.expect("an answer");
    let (status, told) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    seen.note(&operation, status, &asked);
    if operation == "StartTranscriptionJob" && status.is_success() && fault.is_none() {
        let key = asked["OutputKey"].as_str().expect("a key");
        seen.write(&written_key(key, &asked)).await;
    }
    let body = match fault {
        Some(Fault::Failed(reason)) => {
            let mut job: Value = serde_json::from_str(&text).expect("JSON");
            job["TranscriptionJob"]["TranscriptionJobStatus"] = json!("FAILED");
            job["TranscriptionJob"]["FailureReason"] = json!(reason);
            job.to_string()
        }
        _ => seen.told_where(&text).unwrap_or(text),
    };
    let kept = ["x-amzn-errortype", "content-type"].map(HeaderName::from_static);
    let told = kept.into_iter().filter_map(|name| {
        let value = told.get(&name)?.clone();
        Some((name, value))
    });
    (status, told.collect::<HeaderMap>(), body).into_response()
}

/// Redacted output goes under a name of its own.
fn written_key(key: &str, job: &Value) -> String {
    let is_redacted = job["ContentRedaction"]["RedactionOutput"] == "redacted";
    match key.rsplit_once('/') {
        Some((folder, name)) if is_redacted => format!("{folder}/redacted-{name}"),
        _ => key.to_owned(),
    }
}

/// A refusal of a service with the protocol AWS JSON 1.1.
pub fn refusal(status: StatusCode, code: &'static str, message: &str) -> Response {
    let body = json!({ "__type": code, "Message": message }).to_string();
    (status, [("x-amzn-errortype", code)], body).into_response()
}
