//! `AdjustCall` on a real Postgres and a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use aftercall::db::analyses;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole};
use aftercall::embedded::harness::eventually;
use aftercall::embedded::seed;
use aftercall::events::AnalysisCompleted;
use aftercall::ids::{CallId, SessionId};
use futures::StreamExt as _;
use serde_json::{Value, json};
use support::Bench;

const HANDLER: &str = "adjust-call";

/// A call that feels positive by the lexicon and has no outcome.
fn record() -> Value {
    json!({ "transcript": "I love it. Wonderful!", "started_at": "2026-11-21T09:00:00Z",
        "duration_seconds": 45.5, "stt_latency_ms": 100, "llm_latency_ms": 300, "tts_latency_ms": 50 })
}

/// Writes an analysis of the session of a call, as the analysis worker does.
async fn analyze(
    bench: &Bench,
    call: CallId,
    label: &str,
    success: Option<bool>,
) -> AnalysisCompleted {
    let session_id = bench.session(call);
    let mut document: Value =
        serde_json::from_str(include_str!("../../../src/client/fixtures/analysis.json")).unwrap();
    document["sentiment"]["overall"]["label"] = json!(label);
    if let Some(success) = success {
        document["outcome"] = json!({ "text": "Booked.", "success": success,
            "rubric": { "name": "booking", "version": "1" }, "confidence": 0.9, "quotes": [] });
    }
    finish(bench, session_id, &document).await;
    AnalysisCompleted {
        session_id,
        generation: 1,
        transcript_generation: 1,
    }
}

async fn finish(bench: &Bench, session_id: SessionId, document: &Value) {
    let role = Principal::Worker(WorkerRole::Analysis);
    let mut tx = bench.harness.begin(Process::Analysis, role).await;
    let account = bench.client.account_id;
    analyses::finish(&mut tx, account, session_id, 1, "test", document)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn success(bench: &Bench, call: CallId) -> (Option<bool>, Option<String>) {
    let mut admin = bench.harness.admin().await;
    let found = sqlx::query_as("select success, success_by from calls where id = $1").bind(call.0);
    found.fetch_one(&mut admin).await.unwrap()
}

async fn tell(bench: &Bench, completed: &AnalysisCompleted) {
    seed::publish(&bench.harness, completed).await;
    bench.harness.idle_of(HANDLER).await;
}

#[tokio::test]
async fn a_call_and_its_rollups_follow_the_analysis() {
    let bench = Bench::start(false, true).await;
    let calls = bench.send_all(&[record(), record()]).await;
    let subject = format!("wake.analytics.{}", bench.client.account_id);
    let mut woken = bench.harness.bus.client().subscribe(subject).await.unwrap();
    bench.harness.bus.client().flush().await.unwrap();
    let completed = analyze(&bench, calls[0], "mixed", Some(true)).await;
    tell(&bench, &completed).await;
    assert_eq!(
        bench.sentiment(calls[0]).await,
        ("mixed".to_owned(), Some("analysis".to_owned()))
    );
    assert_eq!(
        success(&bench, calls[0]).await,
        (Some(true), Some("analysis".to_owned()))
    );
    let other = ("positive".to_owned(), Some("lexicon".to_owned()));
    assert_eq!(bench.sentiment(calls[1]).await, other);
    bench.rollups_are_exact().await;
    assert!(woken.next().await.is_some());
    bench.finish().await;
}

#[tokio::test]
async fn delivered_twice_it_is_counted_once() {
    let bench = Bench::start(false, true).await;
    let call = bench.send(&record()).await;
    let completed = analyze(&bench, call, "negative", None).await;
    tell(&bench, &completed).await;
    tell(&bench, &completed).await;
    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    bench.rollups_are_exact().await;
    // The latencies of the call were taken away and added again, or left alone.
    assert_eq!(bench.count("call_latencies").await, 1);
    bench.finish().await;
}

#[tokio::test]
async fn a_failed_attempt_is_delivered_again() {
    let bench = Bench::start(false, true).await;
    let call = bench.send(&record()).await;
    let completed = analyze(&bench, call, "negative", None).await;
    bench.harness.break_table("calls", "update", 1).await;
    tell(&bench, &completed).await;
    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert_eq!(bench.sentiment(call).await.0, "negative");
    bench.rollups_are_exact().await;
    bench.finish().await;
}

#[tokio::test]
async fn an_analysis_that_cannot_be_read_is_given_up() {
    let bench = Bench::start(false, true).await;
    let call = bench.send(&record()).await;
    let completed = analyze(&bench, call, "negative", None).await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("update analyses set document = '{}'")
        .execute(&mut admin)
        .await
        .unwrap();
    tell(&bench, &completed).await;
    eventually("a dead letter", || async {
        bench.harness.dead().await == 1
    })
    .await;
    assert_eq!(bench.sentiment(call).await.0, "positive");
    bench.rollups_are_exact().await;
    bench.stop().await;
}

#[tokio::test]
async fn what_the_agent_said_stands() {
    let bench = Bench::start(false, true).await;
    let mut record = record();
    record["sentiment"] = json!("Negative");
    record["success"] = json!(false);
    let call = bench.send(&record).await;
    let completed = analyze(&bench, call, "positive", Some(true)).await;
    tell(&bench, &completed).await;
    assert_eq!(
        bench.sentiment(call).await,
        ("negative".to_owned(), Some("agent".to_owned()))
    );
    assert_eq!(success(&bench, call).await, (Some(false), None));
    bench.rollups_are_exact().await;
    bench.finish().await;
}

#[tokio::test]
async fn sessions_of_people_and_calls_that_are_gone_are_left_alone() {
    let bench = Bench::start(false, true).await;
    let call = bench.send(&record()).await;
    let completed = analyze(&bench, call, "negative", None).await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("delete from calls")
        .execute(&mut admin)
        .await
        .unwrap();
    tell(&bench, &completed).await;
    let person = AnalysisCompleted {
        session_id: SessionId::generate(),
        ..completed
    };
    tell(&bench, &person).await;
    bench.finish().await;
}
