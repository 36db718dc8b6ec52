//! A session that goes as a whole.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use aftercall::bus::{EVENTS, Parameters};
use aftercall::db::erasure_sessions::Step;
use aftercall::embedded::harness::eventually;
use aftercall::embedded::seed;
use aftercall::events::Event;
use futures::future::poll_fn;

use crate::bench::Bench;

const HANDLER: &str = "erase-session";

#[tokio::test]
async fn everything_of_a_session_goes() {
    let bench = Bench::start().await;
    let other = seed::session(&bench.harness).await;
    let asked = bench.ask_for_all().await;
    let running = bench.run();
    let own = seed::publish(&bench.harness, &asked).await;
    bench.harness.idle_of(HANDLER).await;

    assert_eq!(bench.rows().await, []);
    bench.assert_no_objects().await;
    assert_eq!(bench.messages().await, [asked.subject()]);
    assert_eq!(bench.work(&asked).await.step, Step::Settling);

    assert_eq!(bench.go_on(Duration::ZERO).await, 0, "too early");
    assert_eq!(bench.settle().await, 1);
    assert_eq!(bench.messages().await, Vec::<String>::new());
    let stream = bench.harness.bus.jetstream().get_stream(EVENTS).await;
    let read = stream.expect("the stream").get_raw_message(own).await;
    read.expect_err("its own event is destroyed too");
    let work = bench.work(&asked).await;
    // The facts that the seeds put on the timeline were never published.
    assert_eq!((work.step, work.messages.len()), (Step::Pending, 0));
    assert!(!work.missing.is_empty());
    bench.harness.session(other).await;
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_event_that_comes_twice_counts_once() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    let running = bench.run();
    seed::publish(&bench.harness, &asked).await;
    bench.harness.idle_of(HANDLER).await;
    let once = bench.destroyed(&asked).await;
    seed::publish(&bench.harness, &asked).await;
    bench.harness.idle_of(HANDLER).await;
    assert_eq!(bench.destroyed(&asked).await, once);
    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_a_speech_service_writes_meanwhile_goes_too() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    bench.begin(&asked).await;
    bench.assert_no_objects().await;
    bench.write_job_file().await;
    assert_eq!(bench.settle().await, 1);
    bench.assert_no_objects().await;
    let destroyed = bench.destroyed(&asked).await;
    assert_eq!(destroyed["object store: files of transcription jobs"], 2);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_fails_is_tried_again() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    bench
        .harness
        .break_table("erasure_sessions", "update", 2)
        .await;
    let running = bench.run();
    seed::publish(&bench.harness, &asked).await;
    bench.harness.idle_of(HANDLER).await;
    // The desk, which finds the dead letter of an erased session, may have met a fault too.
    assert!(bench.harness.deliveries(HANDLER).await >= 2);
    assert_eq!(bench.rows().await, []);
    bench.assert_no_objects().await;
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_filed() {
    let bench = Bench::start().await;
    let running = bench.run();
    let subject = "events.erasure.requested.0198c0de-0000-7000-8000-000000000001";
    let sent = bench.harness.bus.publish(subject, [("x", "y")], "{}", "1");
    sent.await.expect("stored");
    eventually("it is filed", || async {
        bench.harness.dead().await == 2 && bench.harness.deliveries("file-dead-letter").await == 2
    })
    .await;
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_erasure_that_does_not_exist_is_nothing_to_do() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    let mut other = asked.clone();
    other.erasure_id = aftercall::ids::ErasureId::generate();
    bench.begin(&other).await;
    assert_eq!(bench.work(&asked).await.step, Step::Requested);
    bench.harness.finish_as_it_is().await;
}

/// The process dies at every point at which it waits for something, each time a little later.
#[tokio::test]
async fn it_goes_on_after_any_crash_and_counts_everything_once() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    let begin = || bench.eraser.begin(asked.erasure_id, asked.session_id);
    let mut polls = 1;
    while cut_off(begin(), polls).await.is_none() {
        polls += 1;
    }
    assert!(polls > 20, "only {polls} crashes");
    assert_eq!(bench.rows().await, []);
    bench.assert_no_objects().await;
    assert_eq!(bench.work(&asked).await.step, Step::Settling);
    let expected = [
        ("object store: files of transcription jobs", 1),
        ("object store: open uploads", 1),
        ("object store: recordings", 2),
        ("postgres: analyses", 1),
        ("postgres: dead letters", 1),
        ("postgres: recordings", 2),
        ("postgres: sessions", 1),
        ("postgres: timeline entries", 8),
        ("postgres: transcriptions", 1),
        ("postgres: transcripts", 1),
        ("postgres: uploads", 1),
        ("stream DEAD: messages", 1),
        ("stream EVENTS: messages", 2),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(what, n)| (what.to_owned(), n)).into();
    assert_eq!(bench.destroyed(&asked).await, expected);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_erasure_whose_event_was_lost_is_begun_by_the_job() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    assert_eq!(bench.go_on(Duration::ZERO).await, 0);
    assert_eq!(bench.go_on(Duration::from_secs(61)).await, 1);
    assert_eq!(bench.rows().await, []);
    assert_eq!(bench.work(&asked).await.step, Step::Settling);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn while_the_broker_is_down_rows_and_objects_go_all_the_same() {
    let bench = Bench::start().await;
    let asked = bench.ask_for_all().await;
    bench.harness.nats.lock().await.kill().await;
    let begun = bench.eraser.begin(asked.erasure_id, asked.session_id).await;
    begun.expect_err("no broker");
    assert_eq!(bench.rows().await, []);
    bench.assert_no_objects().await;
    assert_eq!(bench.work(&asked).await.step, Step::Requested);
    let restarted = bench.harness.nats.lock().await.restart().await;
    restarted.expect("it comes back");
    bench.begin(&asked).await;
    assert_eq!(bench.messages().await, Vec::<String>::new());
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_was_trimmed_before_is_pending_until_its_file_is_gone() {
    let bench = Bench::start().await;
    let bus = &bench.harness.bus;
    let stream = bus.jetstream().get_stream(EVENTS).await.expect("there");
    stream.purge().await.expect("trimmed");
    let asked = bench.ask_for_all().await;
    bench.begin(&asked).await;
    assert_eq!(bench.settle().await, 1);
    let work = bench.work(&asked).await;
    assert_eq!((work.step, work.missing.len()), (Step::Pending, 8));

    let hours = Duration::from_hours(2);
    assert_eq!(bench.go_on(hours).await, 1);
    assert_eq!(bench.work(&asked).await.step, Step::Pending);
    bus.jetstream().delete_stream(EVENTS).await.expect("gone");
    bus.provision(Parameters::default()).await.expect("anew");
    assert_eq!(bench.go_on(hours).await, 1);
    assert_eq!(bench.work(&asked).await.step, Step::Done);
    assert_eq!(bench.go_on(hours).await, 0);
    bench.harness.finish_as_it_is().await;
}

/// Drops `work` when it has been polled so often.
async fn cut_off<F: Future>(work: F, polls: usize) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
