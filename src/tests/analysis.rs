//! Transcribe, analyse and try again, as users ask for it; and what they read afterwards.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stages::{self, REASON};
use crate::support::{Answer, SignedIn, TestIngress};

/// Asserts that a stage was asked for, and returns generation and status.
#[track_caller]
fn asked(answer: &Answer) -> (i64, String) {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let answer = answer.json();
    let status = answer["status"].as_str().expect("a status").to_owned();
    (answer["generation"].as_i64().expect("a generation"), status)
}

fn running(generation: i64) -> (i64, String) {
    (generation, "running".to_owned())
}

fn done(generation: i64) -> (i64, String) {
    (generation, "done".to_owned())
}

/// How often a type of fact is on the timeline.
async fn count(harness: &Harness, seeded: Seeded, event_type: &str) -> usize {
    let timeline = harness.timeline(seeded).await;
    timeline.iter().filter(|entry| *entry == event_type).count()
}

#[tokio::test]
async fn transcribing_joins_the_run_that_exists() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada
        .create_session(&json!({ "auto_transcribe": false }))
        .await;
    let path = format!("/analysis/{}/transcribe", session.session_id);
    assert_eq!(ada.post(&path).await.problem(409), "no_recording");
    stages::uploaded(&harness, session).await;
    assert_eq!(
        ada.post(&path).await.problem(409),
        "no_recording",
        "it is not stored yet"
    );

    let first = stages::stored(&harness, session).await;
    assert_eq!(asked(&ada.post(&path).await), running(1));
    assert_eq!(asked(&ada.post(&path).await), running(1), "joins");
    assert_eq!(count(&harness, session, "transcription.requested").await, 1);
    stages::stored(&harness, session).await;
    assert_eq!(
        asked(&ada.post(&path).await),
        running(1),
        "the newcomer joins what is being made"
    );
    assert_eq!(count(&harness, session, "transcription.requested").await, 2);

    stages::transcription_failed(&harness, session, first, (1, 1)).await;
    let failed = ada.session(session).await;
    assert_eq!(failed["stages"]["transcription"]["state"], "failed");
    assert_eq!(failed["stages"]["transcription"]["reason"], REASON);
    assert_eq!(
        asked(&ada.post(&path).await),
        running(1),
        "a failed run is begun again"
    );
    let stage = ada.session(session).await["stages"]["transcription"].clone();
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(2))
    );

    assert_eq!(
        asked(&ada.post(&format!("{path}?new=true")).await),
        running(2)
    );
    assert_eq!(
        count(&harness, session, "transcription.requested").await,
        5,
        "both, anew"
    );
    assert_eq!(asked(&ada.post(&path).await), running(2));
    assert_eq!(
        ada.post(&format!("{path}?new=maybe")).await.problem(400),
        "malformed_query"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_repeated_request_makes_one_generation() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Good morning."]).await;
    for (stage, event_type) in [
        ("transcribe", "transcription.requested"),
        ("analyze", "analysis.requested"),
    ] {
        let path = format!("/analysis/{}/{stage}", session.session_id);
        let send = |query: &str| {
            let request = ada.request(Method::POST, &format!("{path}{query}"));
            Answer::of(request.header("idempotency-key", "again"))
        };
        assert_eq!(asked(&send("?new=true").await), running(2));
        assert_eq!(asked(&send("?new=true").await), running(2), "{stage}");
        assert_eq!(send("").await.problem(422), "idempotency_key_reused");
        assert_eq!(count(&harness, session, event_type).await, 2, "{stage}");
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn analysing_needs_a_transcript_and_overwrites_nothing() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let id = session.session_id;
    let (analyze, get) = (
        format!("/analysis/{id}/analyze"),
        format!("/analysis/{id}/analysis"),
    );
    assert_eq!(ada.post(&analyze).await.problem(409), "no_transcript");
    let nothing = json!({
        "session_id": id, "status": "pending", "analysis": null, "error": null, "generations": [],
    });
    assert_eq!(ada.get(&get).await.json(), nothing);

    seed::transcript(&harness, session, &["Good morning.", "Hello."]).await;
    assert_eq!(asked(&ada.post(&analyze).await), running(1), "joins");
    assert_eq!(ada.get(&get).await.json()["status"], "running");
    stages::analysis_failed(&harness, session, (1, 1)).await;
    let failed = ada.get(&get).await.json();
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("failed"), &json!(REASON))
    );
    assert_eq!(ada.session(session).await["status"], "failed");
    assert_eq!(asked(&ada.post(&analyze).await), running(1), "begun again");
    assert_eq!(count(&harness, session, "analysis.requested").await, 2);

    let first = json!({ "summary": "first" });
    stages::analysed(&harness, session, 1, &first).await;
    assert_eq!(asked(&ada.post(&analyze).await), done(1));
    assert_eq!(ada.session(session).await["status"], "completed");
    assert_eq!(
        asked(&ada.post(&format!("{analyze}?new=true")).await),
        running(2)
    );
    stages::analysis_failed(&harness, session, (2, 1)).await;
    let answer = ada.get(&get).await.json();
    assert_eq!(answer["analysis"], first, "the newest good one is current");
    assert_eq!(answer["error"], REASON);
    let states: Vec<_> = answer["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|generation| {
            (
                &generation["generation"],
                &generation["state"],
                &generation["engine"],
            )
        })
        .collect();
    let (one, two) = (json!(1), json!(2));
    let (is_done, is_failed, engine) = (json!("done"), json!("failed"), json!("test"));
    assert_eq!(
        states,
        [(&one, &is_done, &engine), (&two, &is_failed, &Value::Null)]
    );
    assert_eq!(
        ada.session(session).await["status"],
        "completed",
        "a failed re-run changes nothing"
    );

    // Each is told about by its number.
    let of = |generation: &str| {
        let path = format!("{get}?generation={generation}");
        let ada = &ada;
        async move { ada.get(&path).await }
    };
    let one = of("1").await.json();
    assert_eq!(one["analysis"], first);
    assert_eq!(
        (&one["status"], &one["error"]),
        (&json!("done"), &Value::Null)
    );
    let two = of("2").await.json();
    assert_eq!(
        (&two["status"], &two["analysis"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(two["error"], REASON);
    assert_eq!(
        ada.post(&format!("{analyze}?new=true")).await.status,
        StatusCode::ACCEPTED
    );
    let third = json!({ "summary": "third" });
    stages::analysed(&harness, session, 3, &third).await;
    assert_eq!(ada.get(&get).await.json()["analysis"], third);
    assert_eq!(of("1").await.json()["analysis"], first, "it stays readable");
    for none in ["0", "4", "-1"] {
        assert_eq!(of(none).await.problem(404), "no_analysis", "{none}");
    }
    assert_eq!(of("one").await.problem(400), "malformed_query");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_failed_stage_is_tried_again_by_its_owner() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let retry = format!("/sessions/{}/retry", session.session_id);
    assert_eq!(ada.post(&retry).await.problem(409), "nothing_failed");
    let recording = stages::uploaded(&harness, session).await;
    stages::check_failed(&harness, session, recording, 1).await;
    assert_eq!(ada.session(session).await["status"], "failed");
    let other = json!({ "stage": "analysis" });
    assert_eq!(
        ada.post_json(&retry, &other).await.problem(409),
        "nothing_failed"
    );
    let unknown = json!({ "stage": "lunch" });
    assert_eq!(
        ada.post_json(&retry, &unknown).await.wrong_fields(),
        ["stage"]
    );

    let again = ada.post(&retry).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    let stage = &again.json()["stages"]["recording"];
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!(again.json()["status"], "recorded");
    assert_eq!(
        ada.post(&retry).await.problem(409),
        "nothing_failed",
        "it runs already"
    );
    assert_eq!(count(&harness, session, "recording.uploaded").await, 2);

    let session = ada.create_session(&json!({})).await;
    let retry = format!("/sessions/{}/retry", session.session_id);
    seed::transcript(&harness, session, &["Good morning."]).await;
    stages::analysis_failed(&harness, session, (1, 1)).await;
    let again = ada
        .post_json(&retry, &json!({ "stage": "analysis" }))
        .await
        .json();
    let stage = &again["stages"]["analysis"];
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!(again["status"], "transcribed");
    stages::analysis_failed(&harness, session, (1, 1)).await;
    let late = ada.session(session).await;
    assert_eq!(
        late["stages"]["analysis"]["state"], "running",
        "an older run's failure is old news"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_transcript_is_read_as_it_is_needed() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let path = format!("/sessions/{}/transcript", session.session_id);
    assert_eq!(ada.get(&path).await.problem(404), "no_transcript");
    seed::transcript(&harness, session, &["Good --> <b>morning</b>.", "Hello."]).await;
    let document = ada.get(&path).await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.json();
    assert_eq!(
        (&document["generation"], &document["language"]),
        (&json!(1), &json!("en"))
    );
    assert_eq!(document["turns"][1]["text"], "Hello.");
    assert_eq!(document["turns"].as_array().unwrap().len(), 2);

    for (format, media_type, text) in [
        ("txt", "text/plain", "Good --> <b>morning</b>."),
        ("srt", "application/x-subrip", "00:00:00,000 --> "),
        ("vtt", "text/vtt", "&lt;b&gt;morning&lt;/b&gt;"),
    ] {
        let by_query = ada.get(&format!("{path}?format={format}")).await;
        let accept = ada.request(Method::GET, &path).header("accept", media_type);
        let by_accept = Answer::of(accept).await;
        assert_eq!(by_query.text(), by_accept.text());
        assert!(
            by_query
                .header("content-type")
                .unwrap()
                .starts_with(media_type)
        );
        assert!(by_accept.text().contains(text), "{}", by_accept.text());
    }
    assert_eq!(
        ada.get(&format!("{path}?format=docx")).await.problem(400),
        "unknown_format"
    );
    let image = ada
        .request(Method::GET, &path)
        .header("accept", "image/png");
    assert_eq!(Answer::of(image).await.problem(406), "not_acceptable");
    assert_eq!(
        ada.get(&format!("{path}?generation=1")).await.json(),
        document
    );
    assert_eq!(
        ada.get(&format!("{path}?generation=2")).await.problem(404),
        "no_transcript"
    );
    assert_eq!(
        ada.get(&format!("{path}?generation=one"))
            .await
            .problem(400),
        "malformed_query"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
