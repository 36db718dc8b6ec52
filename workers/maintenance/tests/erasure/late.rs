//! What arrives after an erasure.

use aftercall::bus::subjects;
use aftercall::db::erasure_sessions::Step;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, uploads};
use aftercall::embedded::seed;
use aftercall::events::{Event, SessionStarted};
use aftercall_maintenance::reconcile;
use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::bench::{Bench, is_gone};

#[tokio::test]
async fn a_message_that_was_on_its_way_goes_too() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    bench.begin(&asked).await;
    assert_eq!(bench.messages().await, Vec::<String>::new());
    let late = SessionStarted {
        session_id: bench.seeded.session_id,
    };
    seed::publish(&bench.harness, &late).await;
    assert_eq!(bench.messages().await.len(), 1);
    assert_eq!(bench.settle().await, 1);
    assert_eq!(bench.messages().await, Vec::<String>::new());
    assert_eq!(bench.destroyed(&asked).await["stream EVENTS: messages"], 3);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_object_that_was_finished_meanwhile_goes_too() {
    let bench = Bench::start().await;
    let account = bench.account().await;
    let asked = bench.ask_for_all().await;
    bench.begin(&asked).await;
    let prefix = uploads::object_prefix(account, bench.seeded.session_id);
    let (key, bytes) = (format!("{prefix}late"), Bytes::from_static(b"RIFF"));
    let put = bench.store.put(&key, "audio/wav", bytes).await;
    put.expect("stored");
    assert_eq!(bench.settle().await, 1);
    assert!(is_gone(&bench.store.head(&key).await));
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_late_dead_letter_is_not_filed_and_its_message_goes() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    bench.begin(&asked).await;
    bench.settle().await;
    bench.settle().await;
    let running = bench.run();
    let subject = format!("events.session.ended.{}", bench.seeded.session_id);
    let (dead, id) = (subjects::dead("x", &subject), Uuid::now_v7().to_string());
    let sent = bench
        .harness
        .bus
        .publish(&dead, [("ce-id", "x")], "{}", &id);
    sent.await.expect("stored");
    bench.harness.idle_of("file-dead-letter").await;
    assert_eq!(bench.rows().await, []);
    assert_eq!(bench.work(&asked).await.step, Step::Settling, "once more");
    bench.settle().await;
    assert_eq!(bench.messages().await, Vec::<String>::new());
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn nobody_sees_or_asks_for_what_is_being_erased() {
    let bench = Bench::start().await;
    bench.ask_for_all().await;
    let now = Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1));
    let (db, age) = (
        bench.harness.db(Process::Maintenance),
        std::time::Duration::from_secs(60),
    );
    reconcile(&db, now.expect("soon"), age)
        .await
        .expect("it runs");
    let mut admin = bench.harness.admin().await;
    let waiting: Vec<String> = sqlx::query_scalar("select event_type from outbox")
        .fetch_all(&mut admin)
        .await
        .expect("Postgres answers");
    assert_eq!(waiting, [aftercall::events::ErasureRequested::TYPE]);

    let user = Principal::user(bench.seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, user).await;
    let seen: i64 = sqlx::query_scalar(
        "select (select count(*) from sessions) + (select count(*) from recordings)
            + (select count(*) from transcripts) + (select count(*) from analyses)
            + (select count(*) from session_events) + (select count(*) from uploads)",
    )
    .fetch_one(&mut *tx)
    .await
    .expect("a query");
    assert_eq!(seen, 0);
    drop(tx);
    bench.harness.finish_as_it_is().await;
}
