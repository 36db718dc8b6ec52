//! Corrections: what becomes of them, what is refused, and what they leave alone.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, timeline, transcriptions, transcripts};
use aftercall::documents::transcript::Turn;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{RecordingTranscribed, TranscriptCompleted, TranscriptionRequested};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics::{admin, clinic, joined};
use crate::stages;
use crate::support::{Answer, SignedIn, TestIngress};

async fn correct(by: &SignedIn<'_>, seeded: Seeded, body: &Value) -> Answer {
    let path = format!("/sessions/{}/transcript", seeded.session_id);
    Answer::of(by.request(Method::PATCH, &path).json(body)).await
}

async fn transcript(by: &SignedIn<'_>, seeded: Seeded, query: &str) -> Value {
    let path = format!("/sessions/{}/transcript{query}", seeded.session_id);
    let answer = by.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

/// Text and speaker of each turn.
fn said(transcript: &Value) -> Vec<(String, String)> {
    let turns = transcript["turns"].as_array().expect("turns").iter();
    let word = |turn: &Value, field: &str| turn[field].as_str().expect("text").to_owned();
    turns
        .map(|turn| (word(turn, "speaker"), word(turn, "text")))
        .collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    of.iter().map(own).collect()
}

#[tokio::test]
async fn a_correction_is_a_generation_that_says_what_changed() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(
        &harness,
        session,
        &["Helo doctor.", "Good morning.", "Bye."],
    )
    .await;
    stages::analysed(&harness, session, 1, &json!({ "summary": "first" })).await;
    let status = ada.session(session).await["status"].clone();
    let heard = transcript(&ada, session, "").await;
    assert_eq!(heard["correction"], Value::Null);

    let body = json!({
        "generation": 1, "turns": [{ "index": 0, "text": " Hello doctor. " }, { "index": 2, "text": "Bye." }],
        "speakers": { "speaker_1": "Dr Jones" },
    });
    let answer = correct(&ada, session, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let expected = json!({
        "session_id": session.session_id, "generation": 2, "corrects": 1,
        "changed_turns": 1, "renamed_speakers": 1,
    });
    assert_eq!(answer.json(), expected);
    let corrected = transcript(&ada, session, "").await;
    assert_eq!(
        said(&corrected),
        pairs(&[
            ("speaker_0", "Hello doctor."),
            ("Dr Jones", "Good morning."),
            ("speaker_0", "Bye."),
        ])
    );
    let correction = json!({
        "corrects": 1, "by": ada.user_id,
        "changes": { "turns": [0], "speakers": [{ "from": "speaker_1", "to": "Dr Jones" }] },
    });
    assert_eq!(corrected["correction"], correction);
    assert_eq!(corrected["turns"][0]["confidence"], Value::Null);
    assert_eq!(
        corrected["turns"][1]["confidence"],
        heard["turns"][1]["confidence"]
    );
    for field in ["language", "engine", "duration_ms"] {
        assert_eq!(corrected[field], heard[field], "{field}");
    }
    assert_eq!(transcript(&ada, session, "?generation=1").await, heard);
    let subtitles = ada
        .get(&format!(
            "/sessions/{}/transcript?format=vtt",
            session.session_id
        ))
        .await;
    assert!(subtitles.text().contains("<v Dr Jones>Good morning."));

    // It starts nothing and takes nothing back; whoever wants it analysed asks.
    let now = ada.session(session).await;
    assert_eq!(now["status"], status);
    assert_eq!(now["stages"]["transcription"]["state"], "done");
    assert_eq!(now["stages"]["analysis"]["state"], "done");
    let events = harness.timeline(session).await;
    assert_eq!(
        events.last().map(String::as_str),
        Some("transcript.completed")
    );
    let analyze = ada
        .post(&format!("/analysis/{}/analyze", session.session_id))
        .await;
    assert_eq!(
        analyze.json(),
        json!({ "generation": 2, "status": "running" })
    );
    let read: i32 = sqlx::query_scalar(
        "select transcript_generation from analyses where session_id = $1 and generation = 2",
    )
    .bind(session.session_id.0)
    .fetch_one(&mut harness.admin().await)
    .await
    .expect("a row");
    assert_eq!(read, 2);
    let found = ada.get("/transcripts/search?q=hello").await.json();
    assert_eq!(found["items"][0]["generation"], 2);
    let found = ada.get("/transcripts/search?q=helo").await.json();
    assert_eq!(found["items"], json!([]), "only the newest is searched");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let some = json!({ "generation": 1, "turns": [{ "index": 0, "text": "Hello." }] });
    assert_eq!(
        correct(&ada, session, &some).await.problem(404),
        "no_transcript"
    );
    seed::transcript(&harness, session, &["Hello.", "Hi."]).await;
    let heard = transcript(&ada, session, "").await;
    let text = |index: i64, text: &str| json!({ "generation": 1, "turns": [{ "index": index, "text": text }] });
    let long = "x".repeat(20_001);
    for (body, fields) in [
        (json!({}), &["turns"][..]),
        (json!({ "turns": [], "speakers": {} }), &["turns"]),
        (json!({ "turns": {} }), &["turns"]),
        (json!({ "turns": [{ "index": 0 }] }), &["turns[0]"]),
        (
            json!({ "turns": [{ "index": "0", "text": "x" }] }),
            &["turns[0].index"],
        ),
        (
            json!({ "turns": [{ "index": 0, "text": 7 }] }),
            &["turns[0].text"],
        ),
        (json!({ "generation": "1", "turns": [] }), &["generation"]),
        (
            json!({ "speakers": { "speaker_0": null } }),
            &["speakers.speaker_0"],
        ),
        (json!({ "speakers": ["x"] }), &["speakers"]),
        (text(-1, "x"), &["turns[0].index"]),
        (text(2, "x"), &["turns"]),
        (text(4_294_967_295, "x"), &["turns"]),
        (text(0, " \n"), &["turns.0.text"]),
        (text(0, &long), &["turns.0.text"]),
        (text(0, "a\0b"), &["turns.0.text"]),
        (
            json!({ "generation": 1,
                "turns": [{ "index": 1, "text": "a" }, { "index": 1, "text": "b" }] }),
            &["turns.1.index"],
        ),
        // Which turn the first is, only a generation tells.
        (
            json!({ "turns": [{ "index": 0, "text": "x" }] }),
            &["generation"],
        ),
        (json!({ "speakers": { "nobody": "x" } }), &["speakers"]),
        (json!({ "speakers": { "speaker_0": "" } }), &["speakers"]),
        (
            json!({ "speakers": { "speaker_0": "\u{200b}\u{feff}" } }),
            &["speakers"],
        ),
        (json!({ "speakers": { "speaker_0": "—" } }), &["speakers"]),
        (
            json!({ "speakers": { "speaker_0": "a\nb" } }),
            &["speakers"],
        ),
        (
            json!({ "speakers": { "speaker_0": "x".repeat(101) } }),
            &["speakers"],
        ),
        (
            json!({ "speakers": { "speaker_0": "speaker_1" } }),
            &["speakers"],
        ),
        (
            json!({ "speakers": { "speaker_0": "unknown" } }),
            &["speakers"],
        ),
    ] {
        assert_eq!(
            correct(&ada, session, &body).await.wrong_fields(),
            fields,
            "{body}"
        );
    }
    for generation in [0, 2, -1, i32::MAX] {
        let body = json!({ "generation": generation, "turns": [{ "index": 0, "text": "x" }] });
        assert_eq!(
            correct(&ada, session, &body).await.problem(409),
            "transcript_changed"
        );
    }
    let huge = text(0, &"x".repeat(1024 * 1024));
    assert_eq!(
        correct(&ada, session, &huge).await.problem(413),
        "too_large"
    );
    let path = format!("/sessions/{}/transcript", session.session_id);
    let form = ada.request(Method::PATCH, &path).body("turns=0");
    assert_eq!(
        Answer::of(form).await.problem(415),
        "unsupported_media_type"
    );

    assert_eq!(transcript(&ada, session, "").await, heard);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_was_read_can_be_sent_back() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Hello.", "Hi."]).await;
    let heard = transcript(&ada, session, "").await;
    let same = json!({
        "generation": 1, "turns": [{ "index": 1, "text": "Hi." }], "speakers": { "speaker_0": "speaker_0" },
    });
    let answer = correct(&ada, session, &same).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json()["corrects"], Value::Null);
    assert_eq!(answer.json()["generation"], 1);
    assert_eq!(transcript(&ada, session, "").await, heard);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn whoever_comes_second_is_told() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Hello.", "Hi."]).await;
    let body = |text: &str| json!({ "generation": 1, "turns": [{ "index": 0, "text": text }] });
    let (one, two) = (body("One."), body("Two."));
    let (a, b) = tokio::join!(correct(&ada, session, &one), correct(&ada, session, &two));
    let (won, lost) = if a.status == StatusCode::OK {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(won.json()["generation"], 2);
    assert_eq!(lost.problem(409), "transcript_changed");

    // The same request again gives the same answer, and another one under its key is refused.
    let path = format!("/sessions/{}/transcript", session.session_id);
    let send = |text: &str| {
        let body = json!({ "generation": 2, "turns": [{ "index": 0, "text": text }] });
        let request = ada.request(Method::PATCH, &path).json(&body);
        Answer::of(request.header("idempotency-key", "once"))
    };
    let first = send("Three.").await;
    assert_eq!(first.json()["generation"], 3, "{}", first.text());
    assert_eq!(send("Three.").await.json(), first.json());
    assert_eq!(send("Four.").await.problem(422), "idempotency_key_reused");
    let blind = json!({ "speakers": { "speaker_0": "Dr Jones" } });
    assert_eq!(correct(&ada, session, &blind).await.json()["generation"], 4);

    // What is being made would be older than what is written now.
    let again = format!("/analysis/{}/transcribe?new=true", session.session_id);
    stages::stored(&harness, session).await;
    assert_eq!(ada.post(&again).await.json()["generation"], 5);
    assert_eq!(
        correct(&ada, session, &blind).await.problem(409),
        "transcription_running"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn who_sees_a_session_corrects_it_and_stands_in_the_log() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let eve = joined(&root, "eve@example.org", "counselor", &elm).await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["secret words", "Hi."]).await;
    let body = json!({
        "generation": 1, "turns": [{ "index": 0, "text": "other secret" }],
        "speakers": { "speaker_0": "Secret Name" },
    });
    assert_eq!(
        correct(&eve, session, &body).await.problem(404),
        "session_not_found"
    );
    let corrected = correct(&max, session, &body).await;
    assert_eq!(corrected.status, StatusCode::OK, "{}", corrected.text());
    let by = &transcript(&ada, session, "").await["correction"]["by"];
    assert_eq!(*by, json!(max.user_id));
    let log = max.get("/audit?action=transcript.corrected").await;
    assert!(
        !log.text().to_lowercase().contains("secret"),
        "{}",
        log.text()
    );
    let entry = log.json()["items"][0].clone();
    assert_eq!(entry["actor"]["id"], json!(max.user_id));
    assert_eq!(
        entry["details"],
        json!({ "generation": 2, "turns": 1, "speakers": 1 })
    );
    // Browsers of other origins may ask.
    let path = format!("/api/v1/sessions/{}/transcript", session.session_id);
    let preflight = ingress
        .request(Method::OPTIONS, &path)
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "PATCH");
    let preflight = Answer::of(preflight).await;
    let methods = preflight
        .header("access-control-allow-methods")
        .unwrap_or_default();
    assert!(methods.contains("PATCH"), "{methods}");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

/// What was analysed, by generation: its state and the transcript that it reads.
async fn analyses(by: &SignedIn<'_>, seeded: Seeded) -> Vec<(String, i64)> {
    let answer = by
        .get(&format!("/analysis/{}/analysis", seeded.session_id))
        .await
        .json();
    let generations = answer["generations"].as_array().expect("a list").iter();
    let told = generations.map(|it| {
        let state = it["state"].as_str().expect("a state").to_owned();
        (
            state,
            it["transcript_generation"].as_i64().expect("a number"),
        )
    });
    told.collect()
}

#[tokio::test]
async fn an_analysis_that_runs_reads_what_it_was_asked_for() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Helo.", "Hi."]).await;
    let body = json!({ "generation": 1, "turns": [{ "index": 0, "text": "Hello." }] });
    assert_eq!(correct(&ada, session, &body).await.json()["generation"], 2);
    let running = |transcript| ("running".to_owned(), transcript);
    assert_eq!(analyses(&ada, session).await, [running(1)]);

    let analyze = format!("/analysis/{}/analyze", session.session_id);
    let (first, second) = tokio::join!(ada.post(&analyze), ada.post(&analyze));
    for asked in [first, second, ada.post(&analyze).await] {
        let joined = json!({ "generation": 2, "status": "running" });
        assert_eq!(asked.json(), joined, "{}", asked.text());
    }
    assert_eq!(analyses(&ada, session).await, [running(1), running(2)]);
    let requested = harness.timeline(session).await;
    let requested = requested.iter().filter(|it| *it == "analysis.requested");
    assert_eq!(requested.count(), 2, "asked three times, it is one run");

    // The newer ends first, and stays the one that is shown.
    stages::analysed(&harness, session, 2, &json!({ "summary": "corrected" })).await;
    stages::analysed(&harness, session, 1, &json!({ "summary": "heard" })).await;
    let path = format!("/analysis/{}/analysis", session.session_id);
    let shown = ada.get(&path).await.json();
    assert_eq!(shown["analysis"]["summary"], "corrected");
    let done = |transcript| ("done".to_owned(), transcript);
    assert_eq!(analyses(&ada, session).await, [done(1), done(2)]);
    assert_eq!(
        ada.post(&analyze).await.json(),
        json!({ "generation": 2, "status": "done" })
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

/// Transcribes one recording as the worker does, and composes the session's transcript.
async fn transcribed(harness: &Harness, requested: &TranscriptionRequested, text: &str) {
    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = harness.begin(Process::Transcription, role).await;
    let session = timeline::lock(&mut tx, requested.session_id).await;
    let session = session.expect("a lock").expect("a session");
    let turn = Turn {
        index: 0,
        speaker: "speaker_0".to_owned(),
        channel: 0,
        start_ms: 0,
        end_ms: 900,
        text: text.to_owned(),
        confidence: None,
        words: None,
        recording_id: requested.recording_id,
    };
    let outcome = transcriptions::Outcome {
        language: Some("en"),
        engine: "test",
        note: None,
        findings: None,
        turns: &[turn],
    };
    let (account, generation) = (session.account_id, requested.generation);
    transcriptions::finish(
        &mut tx,
        account,
        requested.recording_id,
        generation,
        &outcome,
    )
    .await
    .expect("a transcription");
    transcripts::compose(&mut tx, &session, generation)
        .await
        .expect("a query")
        .expect("a transcript");
    let facts = [
        RecordingTranscribed {
            session_id: requested.session_id,
            recording_id: requested.recording_id,
            generation,
        }
        .into(),
        TranscriptCompleted {
            session_id: requested.session_id,
            generation,
            given: false,
        }
        .into(),
    ];
    timeline::record(&mut tx, &session, &facts)
        .await
        .expect("facts");
    tx.commit().await.expect("commit");
}

/// What the timeline's newest request asks for.
async fn requested(harness: &Harness, seeded: Seeded) -> TranscriptionRequested {
    let data: Value = sqlx::query_scalar(
        "select data from session_events where session_id = $1 and type = 'transcription.requested'
        order by seq desc limit 1",
    )
    .bind(seeded.session_id.0)
    .fetch_one(&mut harness.admin().await)
    .await
    .expect("a fact");
    serde_json::from_value(data).expect("a request")
}

#[tokio::test]
async fn a_recording_that_comes_late_keeps_the_correction() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Helo."]).await;
    let body = json!({
        "generation": 1, "turns": [{ "index": 0, "text": "Hello." }],
        "speakers": { "speaker_0": "Dr Jones" },
    });
    assert_eq!(correct(&ada, session, &body).await.json()["generation"], 2);

    let late = stages::stored(&harness, session).await;
    let transcribe = format!("/analysis/{}/transcribe", session.session_id);
    assert_eq!(ada.post(&transcribe).await.json()["generation"], 3);
    stages::transcription_failed(&harness, session, late, (3, 1)).await;
    // Meanwhile the first part can be corrected once more.
    let more = json!({ "generation": 2, "turns": [{ "index": 0, "text": "Hello there." }] });
    assert_eq!(correct(&ada, session, &more).await.json()["generation"], 4);
    assert_eq!(
        ada.session(session).await["stages"]["transcription"]["state"],
        "failed"
    );

    // What failed before is asked for as a generation behind the correction.
    let retried = ada
        .post(&format!("/sessions/{}/retry", session.session_id))
        .await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.text());
    assert_eq!(
        retried.json()["stages"]["transcription"]["state"],
        "running"
    );
    let again = requested(&harness, session).await;
    assert_eq!(
        (again.recording_id, again.generation, again.run),
        (late, 5, 1)
    );
    transcribed(&harness, &again, "Late.").await;
    let all = transcript(&ada, session, "").await;
    assert_eq!(all["generation"], 5);
    assert_eq!(
        said(&all),
        pairs(&[("Dr Jones", "Hello there."), ("speaker_0", "Late.")])
    );
    assert_eq!(all["correction"], Value::Null);
    assert_eq!(
        ada.session(session).await["stages"]["transcription"]["state"],
        "done"
    );

    // Asked for anew, everything is what is heard.
    let anew = ada.post(&format!("{transcribe}?new=true")).await;
    assert_eq!(anew.json()["generation"], 6, "{}", anew.text());
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
