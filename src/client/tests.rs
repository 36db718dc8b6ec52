use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::session::Phase::{self, Done, Failed, Pending, Running, Skipped};
use crate::session::Stages;

/// What a server was sent, by header.
type Seen = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

/// A server that runs as long as the set of tasks.
async fn serve(router: Router) -> (Client, JoinSet<()>) {
    crate::lifecycle::install_tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let client = Client::of(&format!("http://{address}/")).unwrap();
    (client.with_token("t0ken".to_owned().into()), tasks)
}

fn note(seen: &Seen, headers: &HeaderMap) -> usize {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut seen = seen.lock().unwrap();
    seen.push(headers.collect());
    seen.len()
}

fn event(seq: i64) -> String {
    let data = json!({
        "seq": seq,
        "type": "transcript.progressed",
        "at": "2026-11-21T10:00:00Z",
        "data": {},
    });
    format!("id: {seq}\nevent: transcript.progressed\ndata: {data}\n\n")
}

/// An answer that is a broken connection.
fn broken() -> Body {
    let cut = Err::<Bytes, _>(std::io::Error::other("the cable is cut"));
    Body::from_stream(futures::stream::iter([cut]))
}

#[tokio::test]
async fn a_broken_stream_goes_on_without_gap_and_repeat() {
    async fn events(State(seen): State<Seen>, headers: HeaderMap) -> Response {
        match note(&seen, &headers) {
            1 => broken().into_response(),
            // The third event comes half.
            2 => format!(": hello\n\n{}{}id: 3\ndata: {{", event(1), event(2)).into_response(),
            3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            // A server that repeats what it was told is known.
            _ => (event(2) + &event(3) + &event(4)).into_response(),
        }
    }
    let seen = Seen::default();
    let router = Router::new()
        .route("/api/v1/sessions/{id}/events", get(events))
        .with_state(Arc::clone(&seen));
    let (client, _tasks) = serve(router).await;
    let events = client.follow(SessionId::generate(), 0).take(4);
    let events: Vec<_> = events.try_collect().await.unwrap();
    let places: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(places, [1, 2, 3, 4]);
    let seen = seen.lock().unwrap();
    let asked: Vec<_> = seen
        .iter()
        .map(|headers| headers.get("last-event-id").map(String::as_str))
        .collect();
    assert_eq!(asked, [None, None, Some("2"), Some("2")]);
    assert_eq!(seen[0]["authorization"], "Bearer t0ken");
}

#[tokio::test]
async fn following_what_is_not_there_is_an_error_at_once() {
    let (client, _tasks) = serve(Router::new()).await;
    let events = client.follow(SessionId::generate(), 0);
    let error = events.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.to_string(), "404 Not Found");
}

#[tokio::test]
async fn a_file_is_sent_with_its_length_and_key() {
    async fn upload(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> Response {
        note(&seen, &headers);
        let answer = json!({
            "recording_id": RecordingId::generate(),
            "session_id": SessionId::generate(),
            "status": "recorded",
        });
        assert_eq!(body.len(), 200_000);
        (StatusCode::ACCEPTED, answer.to_string()).into_response()
    }
    let seen = Seen::default();
    let router = Router::new()
        .route("/api/v1/sessions/{id}/upload-recording", post(upload))
        .with_state(Arc::clone(&seen));
    let (client, _tasks) = serve(router).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; 200_000]).unwrap();
    let sent = Arc::new(Mutex::new(0));
    let told = Arc::clone(&sent);
    let uploaded = client
        .upload(SessionId::generate(), file.path(), "key-1", move |bytes| {
            *told.lock().unwrap() = bytes;
        })
        .await
        .unwrap();
    assert_eq!(uploaded.status.as_str(), "recorded");
    assert_eq!(*sent.lock().unwrap(), 200_000);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0]["content-length"], "200000");
    assert_eq!(seen[0]["idempotency-key"], "key-1");
    assert!(!seen[0].contains_key("transfer-encoding"));
}

#[tokio::test]
async fn what_cannot_be_sent_or_reached_says_so() {
    let (client, _tasks) = serve(Router::new()).await;
    for path in ["/absent/call.wav", "/tmp"] {
        let sent = client.upload(SessionId::generate(), Path::new(path), "key", |_| ());
        let error = sent.await.unwrap_err().to_string();
        assert_eq!(error, format!("could not read {path}"));
    }
    for address in ["", "localhost:8000", "ftp://127.0.0.1", "http://"] {
        let error = Client::of(address).unwrap_err();
        assert!(matches!(error, ClientError::Address(_)), "{address}");
    }
    let gone = Client::of("http://127.0.0.1:1").unwrap();
    let error = gone.session(SessionId::generate()).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "could not reach the server at http://127.0.0.1:1/"
    );
}

#[test]
fn a_problem_is_told_in_the_words_of_the_server() {
    let body = json!({
        "status": 422,
        "title": "Unprocessable Entity",
        "detail": "Some fields are wrong.",
        "code": "validation_failed",
        "errors": [{ "field": "email", "message": "is not an address" }],
    });
    let told = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        Problem::read(status, body).to_string()
    };
    assert_eq!(
        told(422, &body.to_string()),
        "422 Unprocessable Entity: Some fields are wrong; email: is not an address (validation_failed)"
    );
    assert_eq!(
        told(502, "<html>no</html>"),
        "502 Bad Gateway: <html>no</html>"
    );
    assert_eq!(told(404, ""), "404 Not Found");
    assert_eq!(
        told(400, &"x".repeat(5_000)).len(),
        "400 Bad Request: ".len() + 200
    );
}

#[test]
fn the_first_stage_that_is_not_done_decides() {
    let stages = |states: [Phase; 3]| {
        let mut stages = Stages::default();
        let [recording, transcription, analysis] = states;
        stages.recording.state = recording;
        stages.transcription.state = transcription;
        stages.analysis.state = analysis;
        stages
    };
    let outcome = |states| Outcome::of(&stages(states));
    assert_eq!(outcome([Pending, Pending, Pending]), None);
    assert_eq!(outcome([Done, Running, Pending]), None);
    // A new recording in a session that was done.
    assert_eq!(outcome([Running, Done, Done]), None);
    assert_eq!(outcome([Done, Done, Done]), Some(Outcome::Done));
    assert_eq!(
        outcome([Done, Skipped, Pending]),
        Some(Outcome::Skipped {
            stage: "transcription"
        })
    );
    let failed = outcome([Failed, Pending, Pending]);
    assert!(matches!(
        failed,
        Some(Outcome::Failed {
            stage: "recording",
            ..
        })
    ));
}

#[test]
fn only_the_upload_of_the_recording_counts_as_its_beginning() {
    let id = RecordingId::generate();
    let event = |event_type: &str, of: RecordingId| TimelineEvent {
        seq: 1,
        event_type: event_type.to_owned(),
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        data: json!({ "recording_id": of }),
    };
    assert!(event("recording.uploaded", id).is_upload_of(Some(id)));
    assert!(!event("recording.stored", id).is_upload_of(Some(id)));
    assert!(!event("recording.uploaded", RecordingId::generate()).is_upload_of(Some(id)));
    let bare = TimelineEvent {
        data: Value::Null,
        ..event("recording.uploaded", id)
    };
    assert!(!bare.is_upload_of(Some(id)));
}

#[test]
fn an_outcome_is_told_by_the_event_that_brings_it_about() {
    let told = |outcome: &Outcome, event_type: &str| {
        outcome.is_told_by(&TimelineEvent {
            seq: 1,
            event_type: event_type.to_owned(),
            at: "2026-11-21T10:00:00Z".parse().unwrap(),
            data: Value::Null,
        })
    };
    assert!(told(&Outcome::Done, "analysis.completed"));
    // The session may have been read when it was already further than its events.
    assert!(!told(&Outcome::Done, "analysis.requested"));
    let skipped = |stage| Outcome::Skipped { stage };
    assert!(told(&skipped("transcription"), "recording.stored"));
    assert!(told(&skipped("analysis"), "transcript.completed"));
    assert!(told(&skipped("analysis"), "analysis.skipped"));
    assert!(!told(&skipped("analysis"), "transcription.skipped"));
    let failed = Outcome::Failed {
        stage: "transcription",
        reason: String::new(),
    };
    assert!(told(&failed, "transcription.failed"));
    assert!(!told(&failed, "analysis.failed"));
}
