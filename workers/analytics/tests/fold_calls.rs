//! `FoldCalls` on a real Postgres and a real nats-server.

use std::collections::BTreeMap;

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole};
use aftercall::embedded::harness::{Harness, Running, eventually};
use aftercall::embedded::seed::{self, SeededClient};
use aftercall::ids::{CallId, ClientId};
use aftercall_analytics::FoldCalls;
use serde_json::{Value, json};
use sqlx::Row as _;

const HANDLER: &str = "fold-calls";

fn start(harness: &Harness) -> Running {
    let (db, bus) = (harness.db(Process::Analytics), harness.bus.clone());
    let sessions = config::Sessions {
        auto_complete: true,
    };
    let handler = FoldCalls::new(db, bus, sessions);
    let worker = harness.worker("analytics", WorkerRole::Analytics, Process::Analytics);
    harness.run(worker.batch_handler(handler))
}

fn record(client: SeededClient, number: usize) -> Value {
    json!({
        "client_id": client.client_id,
        "started_at": format!("2026-11-20T{:02}:{:02}:00Z", number / 60 % 24, number % 60),
        "duration_seconds": 30 + number % 60,
        "stt_latency_ms": 100 + number % 50,
        "llm_latency_ms": 400 + number % 300,
        "tts_latency_ms": 90,
        "sentiment": (["positive", "neutral", "negative"][number % 3]),
        "success": !number.is_multiple_of(4),
        "ended_reason": "caller_hangup",
        "transcript": "Hello, I would like to book a table.",
    })
}

/// How many rows there are, and what the rollups add up to: calls, successes, duration.
async fn totals(harness: &Harness) -> (i64, i64, i64, i64) {
    let mut admin = harness.admin().await;
    let row = sqlx::query(
        "select (select count(*) from calls), coalesce(sum(calls), 0)::bigint,
            coalesce(sum(succeeded), 0)::bigint, coalesce(sum(duration_ms), 0)::bigint from call_rollups",
    )
    .fetch_one(&mut admin)
    .await
    .expect("a row");
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

/// What the rows themselves add up to.
async fn truth(harness: &Harness) -> (i64, i64, i64, i64) {
    let mut admin = harness.admin().await;
    let row = sqlx::query(
        "select count(*), count(*), count(*) filter (where success), coalesce(sum(duration_ms), 0)::bigint
        from calls",
    )
    .fetch_one(&mut admin)
    .await
    .expect("a row");
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

#[tokio::test]
async fn calls_are_kept_and_counted() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let worker = start(&harness);
    let lines: Vec<_> = (0..300)
        .map(|number| seed::call_line(client, CallId::generate(), &record(client, number)))
        .collect();
    for frame in lines.chunks(7) {
        seed::frame(&harness, frame).await;
    }
    harness.idle_of(HANDLER).await;
    let totals = totals(&harness).await;
    assert_eq!(totals.0, 300);
    assert_eq!(totals, truth(&harness).await);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn a_call_that_comes_again_is_counted_once_and_another_body_is_a_conflict() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let worker = start(&harness);
    let id = CallId::generate();
    let first = seed::call_line(client, id, &record(client, 1));
    let mut other = record(client, 1);
    other["notes"] = json!("another");
    let other = seed::call_line(client, id, &other);
    // In one frame, and in others later.
    seed::frame(&harness, &[first.clone(), first.clone(), other.clone()]).await;
    harness.idle_of(HANDLER).await;
    seed::frame(&harness, &[other, first]).await;
    harness.idle_of(HANDLER).await;

    assert_eq!(totals(&harness).await.0, 1);
    assert_eq!(totals(&harness).await, truth(&harness).await);
    let mut admin = harness.admin().await;
    let sequences: Vec<i64> = sqlx::query_scalar("select stream_sequences from calls")
        .fetch_one(&mut admin)
        .await
        .expect("a row");
    assert_eq!(sequences, [1, 2], "every message that carried it");
    let conflicts: Vec<(String, Vec<i64>)> =
        sqlx::query_as("select record::jsonb ->> 'notes', stream_sequences from call_conflicts")
            .fetch_all(&mut admin)
            .await
            .expect("rows");
    assert_eq!(conflicts, [("another".to_owned(), vec![1, 2])]);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn one_id_of_two_clients_is_two_calls() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let other = SeededClient {
        client_id: seed::another_client(&harness, client.user_id).await,
        ..client
    };
    let worker = start(&harness);
    let id = CallId::generate();
    let lines = [client, other].map(|of| seed::call_line(of, id, &record(of, 1)));
    seed::frame(&harness, &lines).await;
    harness.idle_of(HANDLER).await;
    assert_eq!(totals(&harness).await.0, 2);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn a_bad_line_is_given_up_alone() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let nobody = SeededClient {
        client_id: ClientId::generate(),
        ..client
    };
    let worker = start(&harness);
    let good = |number| seed::call_line(client, CallId::generate(), &record(client, number));
    let of_nobody = seed::call_line(nobody, CallId::generate(), &record(nobody, 1));
    let strange = seed::call_line(client, CallId::generate(), &json!({ "client_id": 7 }));
    let frame = [good(1), b"not a call".to_vec(), of_nobody, strange, good(2)];
    seed::frame(&harness, &frame).await;
    harness.idle_of(HANDLER).await;
    assert_eq!(totals(&harness).await.0, 2);
    assert_eq!(harness.dead().await, 3);
    worker.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_postgres_refuses_of_a_batch_is_given_up_alone() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let mut admin = harness.admin().await;
    // Stands for whatever nobody thought of.
    sqlx::query("alter table calls add constraint never check (duration_ms <> 31000)")
        .execute(&mut admin)
        .await
        .expect("altered");
    let worker = start(&harness);
    let lines: Vec<_> = (0..4)
        .map(|number| seed::call_line(client, CallId::generate(), &record(client, number)))
        .collect();
    seed::frame(&harness, &lines).await;
    eventually("the others are kept", || async {
        totals(&harness).await.0 == 3
    })
    .await;
    harness.idle_of(HANDLER).await;
    assert_eq!(totals(&harness).await, truth(&harness).await);
    assert_eq!(harness.dead().await, 1);
    worker.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_failing_database_loses_and_doubles_nothing() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    harness.break_table("call_latencies", "insert", 3).await;
    let worker = start(&harness);
    let lines: Vec<_> = (0..50)
        .map(|number| seed::call_line(client, CallId::generate(), &record(client, number)))
        .collect();
    for frame in lines.chunks(10) {
        seed::frame(&harness, frame).await;
    }
    eventually("all are kept", || async { totals(&harness).await.0 == 50 }).await;
    harness.idle_of(HANDLER).await;
    assert_eq!(totals(&harness).await, truth(&harness).await);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn two_workers_with_overlapping_frames_are_exact() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let workers = [start(&harness), start(&harness)];
    let lines: Vec<_> = (0..400)
        .map(|number| seed::call_line(client, CallId::generate(), &record(client, number)))
        .collect();
    for step in [7, 11, 13] {
        for frame in lines.chunks(step) {
            let mut frame = frame.to_vec();
            frame.reverse();
            seed::frame(&harness, &frame).await;
        }
    }
    harness.idle_of(HANDLER).await;
    assert_eq!(totals(&harness).await.0, 400);
    assert_eq!(totals(&harness).await, truth(&harness).await);
    for worker in workers {
        worker.stop().await;
    }
    harness.finish_of(HANDLER).await;
}

/// More waits than the broker sends to somebody who does not read it (64 MiB), and than is handled within
/// `ack_wait` if all of it were asked for at once.
#[tokio::test]
async fn a_backlog_of_large_frames_is_delivered_once() {
    const FRAMES: u64 = 80;
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let mut large = record(client, 1);
    large["notes"] = json!("so it was said ".repeat(16_000));
    for _ in 0..FRAMES {
        let lines = [(); 4].map(|()| seed::call_line(client, CallId::generate(), &large));
        seed::frame(&harness, &lines).await;
    }
    let worker = start(&harness);
    let kept = i64::try_from(FRAMES * 4).expect("a few");
    eventually("all are kept", || async {
        totals(&harness).await.0 == kept
    })
    .await;
    harness.idle_of(HANDLER).await;
    assert_eq!(harness.deliveries(HANDLER).await, FRAMES);
    assert_eq!(totals(&harness).await, truth(&harness).await);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn followers_of_the_account_are_woken() {
    use futures::StreamExt as _;
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let subject = format!("wake.analytics.{}", client.account_id);
    let subscribed = harness.bus.client().subscribe(subject).await;
    let mut wakes = subscribed.expect("a subscription");
    let worker = start(&harness);
    let line = seed::call_line(client, CallId::generate(), &record(client, 1));
    seed::frame(&harness, std::slice::from_ref(&line)).await;
    wakes.next().await.expect("woken after the commit");
    assert_eq!(totals(&harness).await.0, 1);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn quarters_and_hours_are_those_of_the_calls() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let worker = start(&harness);
    let lines: Vec<_> = (0..120)
        .map(|number| seed::call_line(client, CallId::generate(), &record(client, number)))
        .collect();
    seed::frame(&harness, &lines).await;
    harness.idle_of(HANDLER).await;
    let principal = Principal::user(client.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let quarters: Vec<(jiff_sqlx::Timestamp, i64)> =
        sqlx::query_as("select quarter, calls from call_rollups order by quarter")
            .fetch_all(&mut *tx)
            .await
            .expect("rows");
    let quarters: BTreeMap<String, i64> = quarters
        .into_iter()
        .map(|(at, calls)| (jiff::Timestamp::from(at).to_string(), calls))
        .collect();
    assert_eq!(quarters.len(), 8);
    assert!(quarters.values().all(|calls| *calls == 15), "{quarters:?}");
    assert!(quarters.contains_key("2026-11-20T01:45:00Z"));
    let hours: Vec<Vec<u8>> = sqlx::query_scalar("select total from call_latencies order by hour")
        .fetch_all(&mut *tx)
        .await
        .expect("rows");
    let counts = hours.iter().map(|bytes| {
        aftercall::rollups::Sketch::decode(bytes)
            .expect("a sketch")
            .count()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [60, 60]);
    drop(tx);
    worker.stop().await;
    harness.finish_of(HANDLER).await;
}
