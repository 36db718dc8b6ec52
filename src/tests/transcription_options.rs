//! What a request for a transcription asks of the engine, and what the engine found beside the words.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, transcriptions};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::ids::RecordingId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stages;
use crate::support::{Answer, SignedIn, TestIngress};

/// The options of each generation of a session's transcriptions.
async fn options(harness: &Harness, seeded: Seeded) -> Vec<Option<Value>> {
    let principal = Principal::user(seeded.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let asked = transcriptions::of_session(&mut tx, seeded.session_id).await;
    let asked = asked.expect("a query").into_iter();
    asked.map(|asked| asked.options).collect()
}

#[tokio::test]
async fn other_options_make_another_generation_and_the_same_join() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada
        .create_session(&json!({ "auto_transcribe": false }))
        .await;
    stages::stored(&harness, session).await;
    let path = format!("/analysis/{}/transcribe", session.session_id);
    let ask = |body: Value| {
        let request = ada.request(Method::POST, &path).json(&body);
        async move {
            let answer = Answer::of(request).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
            answer.json()["generation"].as_i64().expect("a generation")
        }
    };
    let german = json!({ "language": "de-DE", "max_speakers": 2 });
    assert_eq!(ask(german.clone()).await, 1);
    assert_eq!(ask(german.clone()).await, 1, "joins");
    assert_eq!(ask(json!({})).await, 1, "asks for nothing else");
    let english = json!({ "language": "en-US" });
    assert_eq!(ask(english.clone()).await, 2);
    assert_eq!(
        options(&harness, session).await,
        [Some(german), Some(english)]
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn options_that_are_wrong_are_named() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let path = format!("/analysis/{}/transcribe", session.session_id);
    for (body, fields) in [
        (json!({ "language": "en US" }), &["language"][..]),
        (json!({ "max_speakers": 31 }), &["max_speakers"]),
        (json!({ "max_speakers": "two" }), &["max_speakers"]),
        (
            json!({ "vocabulary": "", "language": "" }),
            &["language", "vocabulary"],
        ),
    ] {
        let answer = Answer::of(ada.request(Method::POST, &path).json(&body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let errors = answer.json()["errors"].as_array().expect("errors").clone();
        let named: Vec<_> = errors
            .iter()
            .map(|error| error["field"].as_str().expect("a field"))
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn findings_are_read_beside_the_transcript() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let path = format!("/sessions/{}/transcript/findings", session.session_id);
    assert_eq!(ada.get(&path).await.problem(404), "no_transcript");
    seed::transcript(&harness, session, &["Good morning."]).await;
    let none = ada.get(&path).await.json();
    assert_eq!(none["generation"], 1);
    assert_eq!(none["recordings"][0]["engine"], "test");
    assert_eq!(none["recordings"][0]["findings"], Value::Null);

    let found = json!([{ "service": "aws/call-analytics", "sentiment": { "speaker_0": 2.4 } }]);
    sqlx::query("update transcriptions set findings = $1")
        .bind(&found)
        .execute(&mut harness.admin().await)
        .await
        .expect("written");
    let read = ada.get(&path).await.json();
    assert_eq!(read["recordings"][0]["findings"], found);
    assert_eq!(
        ada.get(&format!("{path}?generation=2")).await.problem(404),
        "no_transcript"
    );
    eve.get(&path).await.problem(404);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_correction_keeps_what_was_asked_for_and_found() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Good mourning."]).await;
    let found = json!([{ "service": "aws/call-analytics", "sentiment": { "speaker_0": 2.4 } }]);
    let asked = json!({ "language": "de-DE" });
    sqlx::query("update transcriptions set findings = $1, options = $2")
        .bind(&found)
        .bind(&asked)
        .execute(&mut harness.admin().await)
        .await
        .expect("written");
    correct(&ada, session, "Good morning.").await;

    let path = format!("/sessions/{}/transcript/findings", session.session_id);
    let read = ada.get(&path).await.json();
    assert_eq!(read["generation"], 2);
    assert_eq!(read["recordings"][0]["findings"], found);
    let path = format!("/analysis/{}/transcribe", session.session_id);
    let joined = Answer::of(ada.request(Method::POST, &path).json(&asked)).await;
    assert_eq!(joined.json()["generation"], 2, "{}", joined.text());
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_retry_behind_a_correction_asks_for_the_same() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Good mourning."]).await;
    let late = stages::stored(&harness, session).await;
    let path = format!("/analysis/{}/transcribe", session.session_id);
    let asked = json!({ "redact_pii": true });
    let answer = Answer::of(ada.request(Method::POST, &path).json(&asked)).await;
    assert_eq!(answer.json()["generation"], 2, "{}", answer.text());
    for recording in recordings(&harness, session).await {
        stages::transcription_failed(&harness, session, recording, (2, 1)).await;
    }
    correct(&ada, session, "Good morning.").await;
    let path = format!("/sessions/{}/retry", session.session_id);
    let retried = ada.post(&path).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.text());

    let principal = Principal::user(session.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let again = transcriptions::get(&mut tx, late, 4).await;
    let again = again.expect("a query").expect("asked for");
    assert_eq!(again.options, Some(asked));
    drop(tx);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

/// Corrects the first turn of the newest transcript.
async fn correct(by: &SignedIn<'_>, session: Seeded, text: &str) {
    let path = format!("/sessions/{}/transcript", session.session_id);
    let body = json!({ "generation": 1, "turns": [{ "index": 0, "text": text }] });
    let answer = Answer::of(by.request(Method::PATCH, &path).json(&body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

async fn recordings(harness: &Harness, session: Seeded) -> Vec<RecordingId> {
    let principal = Principal::user(session.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let all = aftercall::db::recordings::of_session(&mut tx, session.session_id).await;
    let all = all.expect("a query").into_iter();
    all.map(|recording| recording.id).collect()
}
