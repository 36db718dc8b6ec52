//! The jobs of maintenance on a real Postgres and a real nats-server.

use std::time::Duration;

use aftercall::db::provision::Process;
use aftercall::db::recordings::Probed;
use aftercall::db::{Principal, WorkerRole, dead_letters, jobs, outbox, timeline, transcriptions};
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{Fact, SessionEnded, SkipCode, TranscriptionSkipped};
use aftercall_maintenance::{FileDeadLetter, reconcile, relay};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

const ROLE: Principal = Principal::Worker(WorkerRole::Maintenance);
const DELAY: Duration = Duration::from_secs(5);
const AGE: Duration = Duration::from_secs(900);

/// Leaves an event in the outbox, as a command does whose publish failed.
async fn leave_behind(harness: &Harness, seeded: Seeded) {
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .expect("a lock")
        .expect("a session");
    let ended: Fact = SessionEnded {
        session_id: seeded.session_id,
    }
    .into();
    timeline::record(&mut tx, &session, std::slice::from_ref(&ended))
        .await
        .expect("recorded");
    outbox::insert(&mut tx, &session, "aftercall/test", None, &[ended])
        .await
        .expect("in the outbox");
    tx.commit().await.expect("commit");
}

fn after(age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).expect("short") + SignedDuration::from_secs(1);
    Timestamp::now().checked_add(age).expect("soon")
}

#[tokio::test]
async fn the_relay_publishes_what_was_left_behind_once() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    leave_behind(&harness, seeded).await;
    let (db, bus) = (harness.db(Process::Maintenance), harness.bus.clone());

    assert_eq!(
        relay(&db, &bus, Timestamp::now(), DELAY)
            .await
            .expect("too early"),
        0
    );
    assert_eq!(
        relay(&db, &bus, after(DELAY), DELAY)
            .await
            .expect("relayed"),
        1
    );
    assert_eq!(harness.published("session.ended").await, 1);
    assert_eq!(
        relay(&db, &bus, after(DELAY), DELAY)
            .await
            .expect("nothing left"),
        0
    );
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_published_stays_in_the_outbox() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    leave_behind(&harness, seeded).await;
    let (db, bus) = (harness.db(Process::Maintenance), harness.bus.clone());
    harness.nats.lock().await.kill().await;
    relay(&db, &bus, after(DELAY), DELAY)
        .await
        .expect_err("no broker");
    harness
        .nats
        .lock()
        .await
        .restart()
        .await
        .expect("it comes back");
    eventually("connected", || async { bus.is_connected() }).await;
    assert_eq!(
        relay(&db, &bus, after(DELAY), DELAY)
            .await
            .expect("relayed"),
        1
    );
    assert_eq!(harness.published("session.ended").await, 1);
    harness.finish().await;
}

#[tokio::test]
async fn two_relays_send_each_event_once() {
    let harness = Harness::start().await;
    for _ in 0..20 {
        let seeded = seed::session(&harness).await;
        leave_behind(&harness, seeded).await;
    }
    let (db, bus) = (harness.db(Process::Maintenance), harness.bus.clone());
    let now = after(DELAY);
    let (one, two) = tokio::join!(relay(&db, &bus, now, DELAY), relay(&db, &bus, now, DELAY));
    assert_eq!(one.expect("relayed") + two.expect("relayed"), 20);
    assert_eq!(harness.published("session.ended").await, 20);
    harness.finish().await;
}

#[tokio::test]
async fn unfinished_work_is_asked_for_again() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    seed::recording(&harness, seeded, "recordings/none", 1, [0; 32]).await;
    let other = seed::session(&harness).await;
    seed::transcript(&harness, other, &["Hello."]).await;
    let (db, bus) = (harness.db(Process::Maintenance), harness.bus.clone());

    assert_eq!(
        reconcile(&db, Timestamp::now(), AGE)
            .await
            .expect("too early"),
        0
    );
    assert_eq!(
        reconcile(&db, after(AGE), AGE)
            .await
            .expect("a check and an analysis"),
        2
    );
    relay(&db, &bus, after(DELAY), DELAY)
        .await
        .expect("relayed");
    assert_eq!(harness.published("recording.uploaded").await, 1);
    assert_eq!(harness.published("analysis.requested").await, 1);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_skipped_stage_waits_for_a_person() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let probed = Probed {
        duration_ms: 1_000,
        channels: 1,
        sample_rate_hz: 16_000,
    };
    // One of two recordings is transcribed, and the transcript waits for the other.
    let mut requested = Vec::new();
    for key in ["recordings/one", "recordings/two"] {
        let uploaded = seed::recording(&harness, seeded, key, 1, [0; 32]).await;
        requested.push(seed::stored(&harness, &uploaded, probed).await);
    }
    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = harness.begin(Process::Transcription, role).await;
    let session = timeline::lock(&mut tx, seeded.session_id).await;
    let session = session.expect("a lock").expect("a session");
    let skipped = TranscriptionSkipped {
        session_id: seeded.session_id,
        recording_id: requested[0].recording_id,
        generation: 1,
        run: 1,
        redrive: 0,
        reason_code: SkipCode::ConsentMissing,
        reason: "Nobody agreed.".to_owned(),
    };
    timeline::record(&mut tx, &session, &[skipped.into()])
        .await
        .expect("recorded");
    let outcome = transcriptions::Outcome {
        language: None,
        engine: "test",
        note: None,
        turns: &[],
        findings: None,
    };
    let done = requested[1].recording_id;
    transcriptions::finish(&mut tx, session.account_id, done, 1, &outcome)
        .await
        .expect("finished");
    tx.commit().await.expect("commit");

    let db = harness.db(Process::Maintenance);
    let claimed = reconcile(&db, after(AGE), AGE).await.expect("nothing");
    assert_eq!(claimed, 0);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_job_runs_in_one_process_at_a_time() {
    let harness = Harness::start().await;
    let mut first = harness.begin(Process::Maintenance, ROLE).await;
    assert!(jobs::try_lock(&mut first, "relay").await.expect("a query"));
    let mut second = harness.begin(Process::Maintenance, ROLE).await;
    assert!(!jobs::try_lock(&mut second, "relay").await.expect("a query"));
    assert!(
        jobs::try_lock(&mut second, "reconcile")
            .await
            .expect("a query")
    );
    // The process dies, and with it its connection.
    drop(first);
    let third = Mutex::new(harness.begin(Process::Maintenance, ROLE).await);
    eventually("the lock is free", || async {
        jobs::try_lock(&mut *third.lock().await, "relay")
            .await
            .expect("a query")
    })
    .await;
    harness.finish().await;
}

#[tokio::test]
async fn dead_letters_are_filed_once() {
    let harness = Harness::start().await;
    let subject =
        "dead.store-recording.events.recording.uploaded.0198c0de-0000-7000-8000-000000000001";
    let headers = [
        ("aftercall-handler", "store-recording"),
        ("aftercall-class", "rejected"),
        ("aftercall-reason", "no audio"),
        ("aftercall-attempts", "1"),
        ("aftercall-sequence", "7"),
        ("aftercall-stream", "EVENTS"),
        ("aftercall-stream-created", "2026-11-21T10:00:00Z"),
    ];
    for id in ["a", "b"] {
        harness
            .bus
            .publish(subject, headers, "{}", id)
            .await
            .expect("stored");
    }
    let handler = FileDeadLetter::new(harness.db(Process::Maintenance));
    let worker = harness
        .worker("maintenance", WorkerRole::Maintenance, Process::Maintenance)
        .handler(handler);
    let running = harness.run(worker);
    harness.idle().await;

    let mut tx = harness.begin(Process::Maintenance, ROLE).await;
    let filed = dead_letters::list(&mut tx, None, 10).await.expect("a list");
    assert_eq!(filed.len(), 1);
    assert_eq!(
        (
            filed[0].letter.class.as_str(),
            filed[0].letter.stream_sequence
        ),
        ("rejected", 7)
    );
    drop(tx);
    running.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_letter_that_cannot_be_filed_yet_is_delivered_again() {
    let harness = Harness::start().await;
    harness.break_table("dead_letters", "insert", 1).await;
    harness
        .bus
        .publish("dead.x.events.y", [("aftercall-handler", "x")], "{}", "a")
        .await
        .expect("stored");
    let handler = FileDeadLetter::new(harness.db(Process::Maintenance));
    let worker = harness
        .worker("maintenance", WorkerRole::Maintenance, Process::Maintenance)
        .handler(handler);
    let running = harness.run(worker);
    harness.idle().await;

    assert_eq!(harness.deliveries("file-dead-letter").await, 2);
    let mut tx = harness.begin(Process::Maintenance, ROLE).await;
    assert_eq!(
        dead_letters::list(&mut tx, None, 10)
            .await
            .expect("a list")
            .len(),
        1
    );
    drop(tx);
    running.stop().await;
    harness.finish_as_it_is().await;
}
