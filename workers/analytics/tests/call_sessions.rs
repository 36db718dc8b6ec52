//! Calls that become sessions, and sentiments from the lexicon, on a real Postgres and nats-server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, recording_fetches, sessions, transcripts};
use aftercall::documents::transcript::UNKNOWN_SPEAKER;
use aftercall::embedded::harness::eventually;
use aftercall::ids::{CallId, RecordingId, SessionId};
use aftercall::session::{Phase, Status};
use serde_json::{Value, json};
use support::Bench;

fn both() -> Value {
    json!({
        "caller_name": "Ada",
        "started_at": "2026-11-21T09:00:00Z",
        "ended_at": "2026-11-21T09:00:45Z",
        "recording_url": "https://recordings.example.org/a.wav?signature=s3cret",
        "transcript": [
            { "speaker": "agent", "text": "How can I help you?", "start_ms": 0, "end_ms": 1_500 },
            { "speaker": "caller", "text": "I love this clinic.", "start_ms": 1_600, "end_ms": 2_900 },
        ],
        "language": "en-GB",
    })
}

/// The session that the row of a call names.
async fn session_of(bench: &Bench, call: CallId) -> Option<SessionId> {
    let mut admin = bench.harness.admin().await;
    let found = sqlx::query_scalar("select session_id from calls where id = $1");
    found.bind(call.0).fetch_one(&mut admin).await.unwrap()
}

#[tokio::test]
async fn a_call_becomes_a_session_with_text_and_recording() {
    let bench = Bench::start(true, true).await;
    let call = bench.send(&both()).await;
    let session_id = bench.session(call);
    assert_eq!(session_of(&bench, call).await, Some(session_id));

    // Whoever made the client sees it as their own.
    let mut tx = bench
        .harness
        .begin(Process::Ingress, Principal::user(bench.client.user_id))
        .await;
    let session = sessions::get(&mut tx, session_id).await.unwrap().unwrap();
    assert_eq!(
        (session.account_id, session.owner_id),
        (bench.client.account_id, bench.client.user_id)
    );
    assert_eq!(session.title.as_deref(), Some("Call with Ada"));
    assert_eq!(
        session.metadata,
        json!({ "call_id": call, "client_id": bench.client.client_id })
    );
    assert_eq!(
        session.started_at,
        Some("2026-11-21T09:00:00Z".parse().unwrap())
    );
    assert_eq!(
        session.ended_at,
        Some("2026-11-21T09:00:45Z".parse().unwrap())
    );
    assert_eq!(session.status, Status::Transcribed);
    assert_eq!(session.stages.recording.state, Phase::Running);
    assert_eq!(session.stages.analysis.state, Phase::Running);

    let transcript = transcripts::get(&mut tx, session_id, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (transcript.generation, transcript.engine.as_str()),
        (1, "agent-text")
    );
    assert_eq!(
        (transcript.duration_ms, transcript.turns.len()),
        (45_000, 2)
    );
    assert_eq!(
        transcript.turns[1].recording_id,
        RecordingId::of_call(session_id)
    );
    drop(tx);

    let role = Principal::Worker(WorkerRole::Storage);
    let mut tx = bench.harness.begin(Process::Storage, role).await;
    let fetch = recording_fetches::get(&mut tx, RecordingId::of_call(session_id)).await;
    let fetch = fetch.unwrap().unwrap();
    assert_eq!((fetch.state.as_str(), fetch.run), ("requested", 1));
    assert!(fetch.url.unwrap().ends_with("s3cret"));
    drop(tx);

    eventually("everything is published", || async {
        bench.count("outbox").await == 0
    })
    .await;
    for event_type in [
        "session.created",
        "session.ended",
        "recording.requested",
        "transcript.completed",
        "analysis.requested",
    ] {
        let published = bench.harness.published(event_type).await;
        assert_eq!(published, 1, "{event_type}");
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_repeat_makes_no_second_session() {
    let bench = Bench::start(true, true).await;
    let call = bench.send(&both()).await;
    let mut again = both();
    again["id"] = json!(call);
    // In a frame of its own, and twice within one.
    bench.send_all(&[again.clone(), again.clone()]).await;
    again["notes"] = json!("another body");
    bench.send(&again).await;
    assert_eq!(bench.count("sessions").await, 1);
    assert_eq!(bench.count("session_events").await, 5);
    assert_eq!(bench.count("calls").await, 1);
    bench.finish().await;
}

#[tokio::test]
async fn plain_text_is_one_unknown_speaker() {
    let bench = Bench::start(false, true).await;
    let call = bench.send(&json!({ "transcript": "Hello there." })).await;
    let session_id = bench.session(call);
    let mut tx = bench
        .harness
        .begin(Process::Ingress, Principal::user(bench.client.user_id))
        .await;
    let transcript = transcripts::get(&mut tx, session_id, Some(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transcript.turns[0].speaker, UNKNOWN_SPEAKER);
    drop(tx);
    assert_eq!(bench.count("recording_fetches").await, 0);
    bench.finish().await;
}

#[tokio::test]
async fn a_call_without_what_is_wanted_stays_a_call() {
    let bench = Bench::start(true, true).await;
    let call = bench
        .send(&json!({ "duration_seconds": 3, "transcript": " " }))
        .await;
    assert_eq!(session_of(&bench, call).await, None);
    assert_eq!(bench.count("sessions").await, 0);
    bench.finish().await;

    let bench = Bench::start(false, false).await;
    let call = bench.send(&both()).await;
    assert_eq!(session_of(&bench, call).await, None);
    assert_eq!(bench.count("outbox").await, 0);
    bench.finish().await;
}

#[tokio::test]
async fn many_calls_of_one_batch_become_sessions_at_once() {
    let bench = Bench::start(true, true).await;
    let calls = vec![both(); 200];
    bench.send_all(&calls).await;
    assert_eq!(bench.count("calls").await, 200);
    assert_eq!(bench.count("sessions").await, 200);
    assert_eq!(bench.count("session_events").await, 1_000);
    bench.finish().await;
}

#[tokio::test]
async fn the_lexicon_judges_what_the_agent_did_not() {
    let bench = Bench::start(false, false).await;
    let cases = [
        (
            json!({ "transcript": "I love it. Wonderful!" }),
            "positive",
            Some("lexicon"),
        ),
        (
            json!({ "transcript": "I love it!", "sentiment": "Negative" }),
            "negative",
            Some("agent"),
        ),
        (
            json!({ "transcript": "I love it!", "sentiment": "elated" }),
            "unknown",
            Some("agent"),
        ),
        (
            json!({ "transcript": "Ich liebe es!", "language": "de" }),
            "unknown",
            None,
        ),
        (json!({}), "unknown", None),
    ];
    for (record, sentiment, by) in cases {
        let call = bench.send(&record).await;
        let found = bench.sentiment(call).await;
        assert_eq!(
            found,
            (sentiment.to_owned(), by.map(str::to_owned)),
            "{record}"
        );
    }
    bench.rollups_are_exact().await;
    bench.finish().await;
}
