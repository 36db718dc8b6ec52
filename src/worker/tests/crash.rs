//! A message that kills its process, and its neighbours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::bench::{Bench, Recorded};
use super::script::{GAVE_UP, Scripted};
use crate::embedded::harness::eventually;
use crate::events::Fact;

/// Short, so that what a dead worker had in hand comes again soon.
const ACK_WAIT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_message_that_kills_three_processes_alone_is_given_up() {
    let bench = Bench::start().await;
    bench.set_ack_wait(ACK_WAIT).await;
    let handler = Scripted::<8>::new(|_| std::future::pending());
    bench.publish(&bench.uploaded()).await;
    let mut alone = Vec::new();
    while bench.harness.dead().await == 0 {
        let before = handler.runs();
        let working = bench.work(handler.clone());
        eventually("runs or is given up", || async {
            handler.runs() > before || bench.harness.dead().await == 1
        })
        .await;
        if handler.runs() > before {
            alone.push(
                bench
                    .recorded()
                    .await
                    .map_or(0, |recorded| recorded.alone_runs),
            );
            working.die().await;
        } else {
            eventually("terminated", || async {
                bench.consumer().await.num_ack_pending == 0
            })
            .await;
            working.stop().await;
        }
    }
    assert_eq!(
        alone,
        [0, 0, 1, 2, 3],
        "twice together, then three times alone"
    );
    let letter = bench.dead_letter().await;
    assert_eq!(
        letter.headers.get("aftercall-class").expect("set").as_str(),
        "crashed"
    );
    let [Fact::RecordingFailed(failed)] = &bench.timeline().await[..] else {
        panic!("one failure fact")
    };
    assert_eq!(failed.reason, GAVE_UP);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn suspects_run_alone_and_the_innocent_pass() {
    let bench = Bench::start().await;
    bench.set_ack_wait(ACK_WAIT).await;
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let handler = Scripted::<8>::new({
        let (inside, most) = (inside.clone(), most.clone());
        move |run| {
            let (inside, most) = (inside.clone(), most.clone());
            async move {
                if run.number <= 4 {
                    std::future::pending::<()>().await;
                }
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                run.done()
            }
        }
    });
    for _ in 0..2 {
        bench.publish(&bench.uploaded()).await;
    }
    for deaths in 1..=2 {
        let working = bench.work(handler.clone());
        eventually("both run", || async { handler.runs() == deaths * 2 }).await;
        working.die().await;
    }
    let working = bench.work(handler.clone());
    bench.harness.idle().await;
    assert_eq!((handler.runs(), most.load(Ordering::SeqCst)), (6, 1));
    eventually("forgotten", || async { bench.recorded().await.is_none() }).await;
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_recorded_end_clears_the_suspicion() {
    let bench = Bench::start().await;
    bench.set_ack_wait(ACK_WAIT).await;
    let handler = Scripted::<8>::new(|run| async move {
        match run.number {
            1..=3 => std::future::pending().await,
            4 => Err(crate::worker::Failure::NotYet(Duration::from_hours(1))),
            _ => run.done(),
        }
    });
    bench.publish(&bench.uploaded()).await;
    for deaths in 1..=3 {
        let working = bench.work(handler.clone());
        eventually("runs", || async { handler.runs() == deaths }).await;
        working.die().await;
    }
    let suspected = bench.recorded().await.expect("the third ran alone");
    assert_eq!((suspected.alone_runs, suspected.explained_through), (1, 0));
    let working = bench.work(handler.clone());
    eventually("ended well", || async {
        bench
            .recorded()
            .await
            .is_some_and(|recorded| recorded.explained_through == 4)
    })
    .await;
    let cleared = Recorded {
        retries: 0,
        is_waiting: true,
        explained_through: 4,
        alone_runs: 0,
    };
    assert_eq!(bench.recorded().await, Some(cleared));
    working.stop().await;
    bench.harness.finish_as_it_is().await;
}
