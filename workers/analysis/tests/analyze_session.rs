//! `AnalyzeSession` on a real Postgres and a real nats-server.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, analyses};
use aftercall::documents::analysis::Analysis;
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::policy::Policy;
use aftercall::session::{Phase, Status};
use aftercall_analysis::{AnalyzeSession, Engine};

const HANDLER: &str = "analyze-session";
const LINES: [&str; 3] = [
    "Good morning, how can I help you?",
    "I love this clinic, you are wonderful. I need a new appointment.",
    "I will send you the papers on Monday.",
];

fn start(harness: &Harness) -> Running {
    let handler = AnalyzeSession::new(harness.db(Process::Analysis), Engine::Local);
    harness.run(
        harness
            .worker("analysis", WorkerRole::Analysis, Process::Analysis)
            .handler(handler),
    )
}

async fn document(harness: &Harness, seeded: Seeded) -> Option<Analysis> {
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let document = analyses::newest_document(&mut tx, seeded.session_id)
        .await
        .expect("a query");
    document.map(|document| serde_json::from_value(document).expect("the document of the contract"))
}

#[tokio::test]
async fn a_transcript_is_analysed() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    let analysis = document(&harness, seeded).await.expect("an analysis");
    assert_eq!(analysis.transcript_generation, 1);
    let session = harness.session(seeded).await;
    assert_eq!(session.status, Status::Completed);
    assert_eq!(session.stages.analysis.state, Phase::Done);
    assert_eq!(
        harness.timeline(seeded).await.last().map(String::as_str),
        Some("analysis.completed")
    );
    assert_eq!(harness.published("analysis.completed").await, 1);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn delivered_twice_it_is_written_and_told_once() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;
    let first = document(&harness, seeded).await;
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    assert_eq!(harness.deliveries(HANDLER).await, 2);
    assert_eq!(document(&harness, seeded).await, first);
    let told = harness.timeline(seeded).await;
    assert_eq!(
        told.iter().filter(|it| *it == "analysis.completed").count(),
        1
    );
    assert_eq!(harness.published("analysis.completed").await, 1);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn a_failed_attempt_is_delivered_again() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    harness.break_table("analyses", "update", 1).await;
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    assert_eq!(harness.deliveries(HANDLER).await, 2);
    assert!(document(&harness, seeded).await.is_some());
    assert_eq!(harness.session(seeded).await.status, Status::Completed);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn what_can_never_work_fails_with_a_reason() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    let mut admin = harness.admin().await;
    sqlx::query("update transcripts set turns = '[{}]'")
        .execute(&mut admin)
        .await
        .expect("changed");
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    let session = harness.session(seeded).await;
    assert_eq!(session.status, Status::Failed);
    assert_eq!(session.stages.analysis.state, Phase::Failed);
    assert_eq!(
        session.stages.analysis.reason.as_deref(),
        Some("The transcript cannot be read.")
    );
    assert_eq!(harness.deliveries(HANDLER).await, 1);
    assert_eq!(harness.published("analysis.failed").await, 1);
    assert_eq!(harness.dead().await, 1);
    worker.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_the_policy_forbids_is_skipped_until_it_is_asked_for_again() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    let forbids = Policy {
        text_engines: Some(Vec::new()),
        ..Policy::default()
    };
    seed::policy(&harness, seeded, &forbids).await;
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;
    // Delivered again after the policy was changed, the run stays skipped: nobody asked for another.
    seed::policy(&harness, seeded, &Policy::default()).await;
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    assert_eq!(harness.deliveries(HANDLER).await, 2);
    assert!(document(&harness, seeded).await.is_none());
    let session = harness.session(seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    assert_eq!(session.stages.analysis.state, Phase::Skipped);
    assert_eq!(
        session.stages.analysis.reason.as_deref(),
        Some("The policy of this account does not let the analysis engine read its transcripts.")
    );
    assert_eq!(harness.published("analysis.skipped").await, 1);

    let again = seed::analysis_again(&harness, seeded).await;
    assert_eq!(again.run, 2);
    seed::publish(&harness, &again).await;
    harness.idle_of(HANDLER).await;
    assert!(document(&harness, seeded).await.is_some());
    let session = harness.session(seeded).await;
    assert_eq!(session.stages.analysis.state, Phase::Done);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn a_transcript_is_not_analysed_without_consent() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let requested = seed::transcript(&harness, seeded, &LINES).await;
    seed::consent(&harness, seeded, true, false).await;
    let worker = start(&harness);
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    assert!(document(&harness, seeded).await.is_none());
    let session = harness.session(seeded).await;
    assert_eq!(session.stages.analysis.state, Phase::Skipped);
    assert_eq!(
        session.stages.analysis.reason.as_deref(),
        Some("The person in this session does not agree to automatic analysis.")
    );
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}
