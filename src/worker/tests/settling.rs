//! What becomes of a message, for each way a run can end.

use std::time::Duration;

use jiff::Timestamp;

use super::bench::{Bench, Recorded};
use super::script::{GAVE_UP, Scripted};
use crate::embedded::harness::eventually;
use crate::events::{Fact, Message};
use crate::telemetry::TraceContext;
use crate::worker::Failure;

#[tokio::test]
async fn a_message_is_handled_and_what_follows_is_published() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move { run.done() });
    let trace = TraceContext::start();
    let fact = bench.uploaded();
    let message = Message::of(
        &fact,
        "aftercall/test",
        Timestamp::now(),
        Some(&trace.to_string()),
    );
    bench.publish_message(message, "1").await;
    let working = bench.work(handler.clone());
    eventually("handled", || async { handler.runs() == 1 }).await;
    bench.harness.idle().await;

    let published = bench.published("recording.stored").await;
    assert_eq!(published.len(), 1);
    let header = |name| published[0].headers.get(name).expect("set").to_string();
    assert_eq!(header("ce-source"), "aftercall/storage");
    let follows: TraceContext = header("traceparent").parse().expect("valid");
    assert_eq!(follows.trace_id(), trace.trace_id(), "the trace goes on");
    assert_eq!(bench.recorded().await, None);
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_fact_that_arrives_twice_has_one_consequence() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move { run.done() });
    let fact = bench.uploaded();
    for message_id in ["1", "2"] {
        let message = Message::of(&fact, "aftercall/test", Timestamp::now(), None);
        bench.publish_message(message, message_id).await;
    }
    let working = bench.work(handler.clone());
    eventually("handled twice", || async { handler.runs() == 2 }).await;
    bench.harness.idle().await;
    assert_eq!(bench.published("recording.stored").await.len(), 1);
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_failure_is_counted_and_delivered_again() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move {
        match run.number {
            1 => Err(anyhow::anyhow!("a hiccup").into()),
            _ => run.done(),
        }
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("counted", || async {
        bench
            .recorded()
            .await
            .is_some_and(|recorded| recorded.retries == 1)
    })
    .await;
    eventually("tried again", || async { handler.runs() == 2 }).await;
    bench.harness.idle().await;
    assert_eq!(bench.deliveries().await, 2);
    eventually("forgotten", || async { bench.recorded().await.is_none() }).await;
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn used_up_retries_end_as_a_failure_fact_and_a_dead_letter() {
    let bench = Bench::start().await;
    let handler = Scripted::<2>::new(|_| async { Err(anyhow::anyhow!("broken\nfor good").into()) });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("given up", || async { bench.harness.dead().await == 1 }).await;
    eventually("terminated", || async {
        bench.consumer().await.num_ack_pending == 0
    })
    .await;
    assert_eq!(handler.runs(), 2);
    let letter = bench.dead_letter().await;
    let header = |name| letter.headers.get(name).expect("set").to_string();
    assert_eq!(header("aftercall-class"), "exhausted");
    assert_eq!(header("aftercall-reason"), "broken for good");
    assert_eq!(header("aftercall-attempts"), "2");
    let [Fact::RecordingFailed(failed)] = &bench.timeline().await[..] else {
        panic!("one failure fact")
    };
    assert_eq!(failed.reason, GAVE_UP, "internals do not reach people");
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_rejected_message_is_given_up_at_once() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|_| async {
        Err(Failure::reject_because(
            "The file is empty.",
            anyhow::anyhow!("0 bytes"),
        ))
    });
    let fact = bench.uploaded();
    bench.publish(&fact).await;
    let working = bench.work(handler.clone());
    eventually("given up", || async { bench.harness.dead().await == 1 }).await;
    eventually("terminated", || async {
        bench.consumer().await.num_ack_pending == 0
    })
    .await;

    let [Fact::RecordingFailed(failed)] = &bench.timeline().await[..] else {
        panic!("one failure fact")
    };
    assert_eq!(
        (failed.reason.as_str(), failed.redrive),
        ("The file is empty.", 0)
    );
    assert_eq!(bench.published("recording.failed").await.len(), 1);
    let letter = bench.dead_letter().await;
    let expected = format!(
        "dead.store-recording.events.recording.uploaded.{}",
        bench.session
    );
    assert_eq!(letter.subject.as_str(), expected);
    let header = |name| letter.headers.get(name).expect("set").to_string();
    assert_eq!(header("ce-type"), "aftercall.recording.uploaded.v1");
    assert_eq!(header("aftercall-handler"), "store-recording");
    assert_eq!(header("aftercall-class"), "rejected");
    assert_eq!(header("aftercall-reason"), "The file is empty.: 0 bytes");
    assert_eq!(
        (header("aftercall-stream"), header("aftercall-sequence")),
        ("EVENTS".into(), "1".into())
    );
    assert_eq!(header("aftercall-trace-id").len(), 32);
    assert_eq!(header("Nats-Msg-Id"), "store-recording:1");
    assert_eq!((handler.runs(), bench.deliveries().await), (1, 1));
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_is_too_early_waits_and_is_not_counted() {
    let bench = Bench::start().await;
    let handler = Scripted::<1>::new(|run| async move {
        match run.number {
            1 => Err(Failure::NotYet(Duration::from_millis(10))),
            2 => Err(Failure::NotYet(Duration::from_hours(1))),
            _ => run.done(),
        }
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("asked twice", || async {
        bench
            .recorded()
            .await
            .is_some_and(|recorded| recorded.explained_through == 2)
    })
    .await;
    let waits = Recorded {
        retries: 0,
        is_waiting: true,
        explained_through: 2,
        alone_runs: 0,
    };
    assert_eq!(bench.recorded().await, Some(waits));
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_panic_ends_the_run_and_not_the_process() {
    let bench = Bench::start().await;
    let handler = Scripted::<2>::new(|run| async move {
        assert!(run.number > 2, "a bug");
        run.done()
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("given up", || async { bench.harness.dead().await == 1 }).await;
    let letter = bench.dead_letter().await;
    let header = |name| letter.headers.get(name).expect("set").to_string();
    assert_eq!(header("aftercall-class"), "panicked");
    assert_eq!(header("aftercall-reason"), "panicked");
    // The same process goes on.
    bench.publish(&bench.uploaded()).await;
    eventually("handled", || async { handler.runs() == 3 }).await;
    eventually("answered", || async {
        bench.consumer().await.num_ack_pending == 0
    })
    .await;
    assert_eq!(bench.published("recording.stored").await.len(), 1);
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_message_that_is_no_fact_is_kept_and_blocks_nobody() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move { run.done() });
    let good = Message::of(&bench.uploaded(), "aftercall/test", Timestamp::now(), None);
    let mut body = good.clone();
    body.data = b"{\"session_id\": 7}".to_vec();
    bench.publish_message(body, "1").await;
    let none: [(&str, &str); 0] = [];
    let bus = &bench.harness.bus;
    bus.publish(&good.subject, none, "", "2")
        .await
        .expect("stored");
    bench.publish_message(good, "3").await;
    let working = bench.work(handler.clone());
    eventually("two are dead", || async { bench.harness.dead().await == 2 }).await;
    eventually("one is handled", || async { handler.runs() == 1 }).await;
    let letter = bench.dead_letter().await;
    assert_eq!(
        letter.headers.get("aftercall-class").expect("set").as_str(),
        "undecodable"
    );
    assert!(
        bench.timeline().await.is_empty(),
        "of whom it is, is not known"
    );
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_newer_version_waits_for_the_rest_of_the_deployment() {
    let bench = Bench::start().await;
    let handler = Scripted::<1>::new(|run| async move { run.done() });
    let mut newer = Message::of(&bench.uploaded(), "aftercall/test", Timestamp::now(), None);
    newer.envelope.version = 2;
    bench.publish_message(newer, "1").await;
    let working = bench.work(handler.clone());
    eventually("waits", || async {
        bench
            .recorded()
            .await
            .is_some_and(|recorded| recorded.is_waiting)
    })
    .await;
    assert_eq!((handler.runs(), bench.harness.dead().await), (0, 0));
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn two_workers_share_the_work() {
    let bench = Bench::start().await;
    // The first run of each waits for the other's: neither can take everything.
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let handlers: [Scripted; 2] = std::array::from_fn(|_| {
        let barrier = barrier.clone();
        Scripted::new(move |run| {
            let barrier = barrier.clone();
            async move {
                if run.number == 1 {
                    barrier.wait().await;
                }
                run.done()
            }
        })
    });
    for _ in 0..20 {
        bench.publish(&bench.uploaded()).await;
    }
    let working = handlers.clone().map(|handler| bench.work(handler));
    bench.harness.idle().await;
    let runs = handlers.map(|handler| handler.runs());
    assert!(runs[0] > 0 && runs[1] > 0, "{runs:?}");
    assert_eq!(runs[0] + runs[1], 20);
    assert_eq!(bench.published("recording.stored").await.len(), 20);
    for worker in working {
        worker.stop().await;
    }
    bench.harness.finish().await;
}
