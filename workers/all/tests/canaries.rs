//! What must not show: secrets, phone numbers and what people said or wrote, in logs, metrics and
//! errors.
//!
//! Every program runs as it does in production, with logs at their most talkative. Requests, good and
//! bad, carry canaries; afterwards all that the programs wrote or answered is searched for them.

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use support::{Program, free_port};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Everything of ours, and of the libraries what an operator turns on to find a fault.
const TALKATIVE: &str = "aftercall=trace,debug";
const PASSWORD: &str = "canary-password-5f1c";
const WRONG_PASSWORD: &str = "canary-wrong-password-77aa";
const SECRET_KEY: &str = "canary-secret-key-of-this-installation-0001";
const PHONE: &str = "+15557340199";
const SAID: &str = "canary spoken words of the caller";
const TITLE: &str = "canary title of a session";
const NOTES: &str = "canary notes of a session";
const NAME: &str = "Canary Customername";
const FORGED: &str = "canary.forged.token";
const QUERY: &str = "canary-in-a-query";
const RECORDING: &[u8] = include_bytes!("../samples/two-cities/two-cities.wav");

/// Everything that programs answered with an error, and every secret that they gave out.
#[derive(Default)]
struct Heard {
    errors: String,
    secrets: Vec<String>,
}

#[tokio::test]
async fn logs_metrics_and_errors_hold_no_secret_and_nothing_that_was_said() {
    let harness = Harness::start().await;
    let (speech, speech_url, _serving) = Speech::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut programs = Vec::new();
    let mut base = String::new();
    for process in Process::ALL {
        let (port, name) = (free_port(), Program::of(process));
        let env = harness.env(process).with([
            ("TRANSCRIPTION_BASE_URL", speech_url.clone()),
            ("TRANSCRIPTION_API_KEY", "canary-vendor-key-91".to_owned()),
            ("SECRET_KEY", SECRET_KEY.to_owned()),
            ("PORT", port.to_string()),
            ("WORKER_PORT", port.to_string()),
        ]);
        let log = folder.path().join(name);
        let program = start_talkative(name, &env, port, &log).await;
        if process == Process::Ingress {
            base = format!("http://127.0.0.1:{port}");
        }
        programs.push(program);
    }

    let heard = provoke(&harness, &speech, &base).await;
    let mut written = heard.errors;
    for program in &programs {
        let metrics = reqwest::get(format!("{}/metrics", program.url())).await;
        written += &metrics.expect("metrics").text().await.expect("text");
    }
    // All at once: without the broker each takes as long as a stop may.
    futures::future::join_all(programs.into_iter().map(Program::stop)).await;
    for entry in fs::read_dir(folder.path()).expect("the folder") {
        let log = fs::read_to_string(entry.expect("a log").path()).expect("text");
        assert!(log.contains("DEBUG"), "the log is not talkative: {log}");
        written += &log;
    }
    let database_passwords = harness.env(Process::Ingress);
    let passwords = database_passwords
        .iter()
        .filter(|(name, _)| {
            name.starts_with("DATABASE_PASSWORD") || name.ends_with("SECRET_ACCESS_KEY")
        })
        .map(|(_, value)| value.to_owned());
    let canaries = [
        PASSWORD,
        WRONG_PASSWORD,
        SECRET_KEY,
        PHONE,
        "5557340199",
        SAID,
        TITLE,
        NOTES,
        NAME,
        FORGED,
        QUERY,
        "canary",
    ];
    let canaries = canaries.map(str::to_owned).into_iter();
    for canary in canaries.chain(heard.secrets).chain(passwords) {
        let found = written.to_lowercase().find(&canary.to_lowercase());
        let around = found.map(|at| {
            let from = written[..at].rfind('\n').map_or(0, |line| line + 1);
            written[from..].chars().take(600).collect::<String>()
        });
        assert!(
            around.is_none(),
            "{canary} shows: {}",
            around.unwrap_or_default()
        );
    }
    harness.finish_as_it_is().await;
}

/// Starts a program with everything that it has to say written into a file.
async fn start_talkative(name: &str, env: &Env, port: u16, log: &Path) -> Program {
    let log = File::create(log).expect("a file");
    let errors = log.try_clone().expect("the same file");
    let mut command = Program::command(name, env);
    command
        .env("LOG_LEVEL", TALKATIVE)
        .stdout(log)
        .stderr(errors);
    Program::ready(command, port).await
}

/// Makes the programs do everything, and fail at most of it.
async fn provoke(harness: &Harness, speech: &Speech, base: &str) -> Heard {
    let mut heard = Heard::default();
    let http = reqwest::Client::builder().no_proxy().build();
    let mut api = Api {
        http: http.expect("a client"),
        base: format!("{base}/api/v1"),
        token: String::new(),
    };
    api.token = sign_in(&mut heard, &api).await;
    let customer = write(&mut heard, &api).await;
    for manners in [HEARS, REFUSES, TALKS_NONSENSE] {
        upload(&mut heard, &api, speech, manners, &customer).await;
    }
    break_down(&mut heard, &api, harness).await;
    heard
}

async fn sign_in(heard: &mut Heard, api: &Api) -> String {
    let account = json!({ "email": "ada@example.org", "password": PASSWORD, "name": NAME });
    let register = |body: &Value| api.anonymous(Method::POST, "/auth/register").json(body);
    let signed_in = heard.answer(register(&account)).await;
    let token = signed_in["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    heard.answer(register(&account)).await;
    let wrong = json!({ "email": "x", "password": PASSWORD, "name": "", "role": "admin" });
    heard.answer(register(&wrong)).await;
    let attempts = [
        ("ada@example.org", WRONG_PASSWORD),
        ("nobody@example.org", PASSWORD),
    ];
    for (email, password) in attempts {
        let login = json!({ "email": email, "password": password });
        heard
            .answer(api.anonymous(Method::POST, "/auth/login").json(&login))
            .await;
    }
    let form = [
        ("username", "ada@example.org"),
        ("password", WRONG_PASSWORD),
    ];
    heard
        .answer(api.anonymous(Method::POST, "/auth/login").form(&form))
        .await;
    let refresh = || api.anonymous(Method::POST, "/auth/refresh?token=body");
    let renewed = heard.answer(refresh().bearer_auth(&token)).await;
    heard.keep(&renewed["refresh_token"]);
    heard
        .answer(refresh().json(&json!({ "refresh_token": FORGED })))
        .await;
    let me = || api.anonymous(Method::GET, "/auth/me");
    heard.answer(me().bearer_auth(FORGED)).await;
    heard.answer(me().header("x-api-key", FORGED)).await;
    token
}

/// What people write, right and wrong; answers a customer's id.
async fn write(heard: &mut Heard, api: &Api) -> Value {
    let key = json!({ "name": "agent", "scopes": ["read"] });
    let key = heard
        .answer(api.request(Method::POST, "/api-keys").json(&key))
        .await;
    heard.keep(&key["key"]);
    let key = key["key"].as_str().expect("a key").to_owned();
    let with_key = api
        .anonymous(Method::POST, "/sessions")
        .header("x-api-key", &key);
    heard
        .answer(with_key.json(&json!({ "title": TITLE })))
        .await;

    let customers = || api.request(Method::POST, "/customers");
    let customer = json!({ "name": NAME, "phone_number": PHONE, "notes": NOTES });
    let customer = heard.answer(customers().json(&customer)).await;
    let wrong = json!({ "name": NAME, "phone_number": format!("{PHONE} and more"), "notes": 7 });
    heard.answer(customers().json(&wrong)).await;
    heard
        .answer(customers().body(format!("{{\"phone_number\": \"{PHONE}")))
        .await;
    for path in ["/customers?limit=0&q=", "/sessions?status=", "/"] {
        heard
            .answer(api.request(Method::GET, &format!("{path}{QUERY}")))
            .await;
    }
    customer["id"].clone()
}

/// A session whose recording the engine hears, refuses or answers with nonsense.
async fn upload(heard: &mut Heard, api: &Api, speech: &Speech, manners: usize, customer: &Value) {
    speech.manners.store(manners, Ordering::Relaxed);
    let answered = speech.answers.load(Ordering::Relaxed);
    let session = json!({
        "title": TITLE, "notes": NOTES, "customer_id": customer, "metadata": { "phone": PHONE },
    });
    let session = heard
        .answer(api.request(Method::POST, "/sessions").json(&session))
        .await;
    let id = session["id"].as_str().expect("a session").to_owned();
    let path = format!("/sessions/{id}");
    let part = reqwest::multipart::Part::bytes(RECORDING).file_name(format!("{SAID}.wav"));
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = api.request(Method::POST, &format!("{path}/upload-recording"));
    heard.answer(upload.multipart(form)).await;
    eventually("the engine has done what it does", || async {
        let session = api
            .request(Method::GET, &path)
            .send()
            .await
            .expect("an answer");
        let session: Value = session.json().await.expect("a session");
        match manners {
            HEARS => session["status"] == "completed",
            REFUSES => session["status"] == "failed",
            // It is tried again for minutes.
            _ => speech.answers.load(Ordering::Relaxed) > answered,
        }
    })
    .await;
    for below in [
        "/transcript",
        "/transcript?format=srt",
        "/recordings",
        "/export",
        "/export?format=markdown",
        "/export?format=canary-in-a-query",
        "/events?last_event_id=x",
    ] {
        heard
            .answer(api.request(Method::GET, &format!("{path}{below}")))
            .await;
    }
    heard
        .answer(api.request(Method::GET, &format!("/analysis/{id}/analysis")))
        .await;
    search_and_correct(heard, api, &path).await;
    let wrong = json!({ "notes": NOTES, "status": SAID });
    heard
        .answer(api.request(Method::PUT, &path).json(&wrong))
        .await;
}

async fn search_and_correct(heard: &mut Heard, api: &Api, session: &str) {
    let long = QUERY.repeat(20);
    for query in [SAID, PHONE, NAME, "-canary", "canary\0", &long] {
        let search = api.request(Method::GET, "/transcripts/search");
        heard.answer(search.query(&[("q", query)])).await;
    }
    for change in [
        json!({ "turns": [{ "index": 0, "text": format!("{SAID} {PHONE}") }], "generation": 1 }),
        json!({ "turns": [{ "index": 0, "text": SAID }, { "index": 0, "text": SAID }] }),
        json!({ "turns": [{ "index": 99, "text": SAID }], "generation": 2 }),
        json!({ "speakers": { NAME: SAID } }),
        json!({ "speakers": { "speaker_0": format!("{NAME}\n") } }),
    ] {
        let correct = api.request(Method::PATCH, &format!("{session}/transcript"));
        heard.answer(correct.json(&change)).await;
    }
}

/// With Postgres refusing and the broker gone.
async fn break_down(heard: &mut Heard, api: &Api, harness: &Harness) {
    sqlx::query("alter table customers add constraint never check (name is null) not valid")
        .execute(&mut harness.admin().await)
        .await
        .expect("altered");
    let customer = json!({ "name": NAME, "phone_number": PHONE, "notes": NOTES });
    heard
        .answer(api.request(Method::POST, "/customers").json(&customer))
        .await;
    harness.nats.lock().await.stop().await;
    let session = json!({ "title": TITLE });
    heard
        .answer(api.request(Method::POST, "/sessions").json(&session))
        .await;
    heard
        .answer(api.request(Method::POST, "/auth/logout"))
        .await;
    heard.keep(&json!(api.token));
}

/// The API, as somebody who has signed in.
struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token)
    }
}

impl Heard {
    /// Sends a request and answers its body; what was refused is kept, with its headers.
    async fn answer(&mut self, request: RequestBuilder) -> Value {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), format!("{:?}", response.headers()));
        let body = response.text().await.expect("a body");
        if !status.is_success() {
            for line in [status.as_str(), &headers, &body] {
                self.errors.push_str(line);
                self.errors.push('\n');
            }
        }
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Remembers a secret that was given out.
    fn keep(&mut self, secret: &Value) {
        let secret = secret.as_str().expect("a secret");
        assert!(secret.len() > 20, "{secret}");
        self.secrets.push(secret.to_owned());
    }
}

/// How the speech server answers, in turn.
const HEARS: usize = 0;
const REFUSES: usize = 1;
const TALKS_NONSENSE: usize = 2;

/// A speech server by OpenAI's protocol
/// (<https://platform.openai.com/docs/api-reference/audio/createTranscription>) whose manners can be
/// changed: it hears, complains in its own words, or answers nonsense. It counts its answers.
#[derive(Default)]
struct Speech {
    manners: AtomicUsize,
    answers: AtomicUsize,
}

impl Speech {
    async fn start() -> (Arc<Self>, String, JoinSet<std::io::Result<()>>) {
        let speech = Arc::new(Self::default());
        let router = Router::new()
            .route("/v1/audio/transcriptions", post(hear))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&speech));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        (speech, url, serving)
    }
}

/// Takes the whole body first: an answer in the middle of it breaks the sender's pipe.
async fn hear(State(speech): State<Arc<Speech>>, _body: Bytes) -> Response {
    speech.answers.fetch_add(1, Ordering::Relaxed);
    match speech.manners.load(Ordering::Relaxed) {
        HEARS => {
            Json(json!({ "text": SAID, "language": "english", "segments": [] })).into_response()
        }
        REFUSES => {
            let complaint = json!({ "error": { "message": format!("cannot take: {SAID}") } });
            (StatusCode::BAD_REQUEST, Json(complaint)).into_response()
        }
        _ => format!("{{\"text\": \"{SAID}").into_response(),
    }
}
