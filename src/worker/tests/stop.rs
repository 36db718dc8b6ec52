//! Stops: what is in hand is finished or goes back, and is nobody's fault.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::bench::{Bench, Recorded};
use super::script::Scripted;
use crate::embedded::harness::eventually;
use crate::lifecycle::EXIT_LIMIT;
use crate::worker::Failure;

const STOPPED: Recorded = Recorded {
    retries: 0,
    is_waiting: false,
    explained_through: 1,
    alone_runs: 0,
};

#[tokio::test]
async fn what_runs_is_finished() {
    let bench = Bench::start().await;
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let handler = Scripted::<8>::new({
        let gate = gate.clone();
        move |run| {
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                run.done()
            }
        }
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("runs", || async { handler.runs() == 1 }).await;
    working.shutdown.stop();
    gate.add_permits(1);
    working.ended().await;
    assert_eq!(bench.deliveries().await, 1);
    bench.harness.finish().await;
}

#[tokio::test]
async fn long_work_may_end_early_and_goes_on_elsewhere() {
    let bench = Bench::start().await;
    let handler = Scripted::<1>::new(|run| async move {
        if run.number == 1 {
            run.context.stopping().cancelled().await;
            return Err(Failure::NotYet(Duration::from_hours(1)));
        }
        run.done()
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("runs", || async { handler.runs() == 1 }).await;
    working.stop().await;
    assert_eq!(bench.recorded().await, Some(STOPPED));
    let working = bench.work(handler.clone());
    bench.harness.idle().await;
    assert_eq!((handler.runs(), bench.deliveries().await), (2, 2));
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn what_does_not_end_goes_back_at_the_hard_limit() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move {
        match run.number {
            1 => std::future::pending().await,
            _ => run.done(),
        }
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("runs", || async { handler.runs() == 1 }).await;
    working.shutdown.stop_now();
    working.ended().await;
    assert_eq!(bench.recorded().await, Some(STOPPED), "not a death");
    // It comes at once, not after ack_wait.
    let working = bench.work(handler.clone());
    bench.harness.idle().await;
    assert_eq!(handler.runs(), 2);
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_worker_without_messages_stops_at_once() {
    let bench = Bench::start().await;
    let working = bench.work(Scripted::<8>::new(|run| async move { run.done() }));
    eventually("pulls", || async {
        bench.consumer().await.num_waiting == 1
    })
    .await;
    tokio::time::timeout(Duration::from_secs(5), working.stop())
        .await
        .expect("at once");
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_stop_without_a_broker_ends_in_time() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move {
        match run.number {
            1 => std::future::pending().await,
            _ => run.done(),
        }
    });
    bench.publish(&bench.uploaded()).await;
    let working = bench.work(handler.clone());
    eventually("runs", || async { handler.runs() == 1 }).await;
    bench.harness.nats.lock().await.kill().await;
    working.shutdown.stop_now();
    tokio::time::timeout(EXIT_LIMIT, working.ended())
        .await
        .expect("in time");
    assert_eq!(bench.recorded().await, Some(STOPPED));
    bench.harness.finish_as_it_is().await;
}
