//! Calls that are sent again and again, in any order, also when the broker has forgotten that it saw
//! them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "the other tests use the rest of it")]
mod support;

use std::time::Duration;

use aftercall::bus::Parameters;
use aftercall::db::provision::Process;
use aftercall::embedded::agent;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::recount;
use aftercall::ids::CallId;
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use support::{Program, free_port};

const CALLS: usize = 5_000;
const TIMES: usize = 5;
const LINES: usize = 250;
const SEED: u64 = 5;
const WINDOW: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_call_counts_once_however_often_it_is_sent() {
    let harness = Harness::start().await;
    let parameters = Parameters {
        duplicate_window: WINDOW,
        ..Parameters::default()
    };
    harness.bus.provision(parameters).await.unwrap();
    let agent = agent::agent(&harness, 3).await;
    let port = free_port();
    let env = harness
        .env(Process::Ingress)
        .with([("PORT", port.to_string())]);
    let ingress = Program::start("ingress", &env, port).await;
    // Two workers, so that one call is folded by both at once.
    let mut workers = Vec::new();
    for _ in 0..2 {
        let port = free_port();
        let env = harness
            .env(Process::Analytics)
            .with([("WORKER_PORT", port.to_string())]);
        workers.push(Program::start("analytics", &env, port).await);
    }

    let now = Timestamp::now();
    let records =
        (0..CALLS).map(|number| agent.record(CallId::generate(), number, now).to_string());
    let mut lines: Vec<_> = records
        .flat_map(|record| std::iter::repeat_n(record, TIMES))
        .collect();
    lines.shuffle(&mut StdRng::seed_from_u64(SEED));
    let batches: Vec<_> = lines.chunks(LINES).map(|lines| lines.join("\n")).collect();
    let (before, after) = batches.split_at(batches.len() * 4 / 5);
    let url = format!("{}/api/v1/calls/batch", ingress.url());
    let key = agent.key.expose_secret();
    futures::future::join_all(before.iter().map(|batch| send(&url, key, batch))).await;
    tokio::time::sleep(WINDOW * 2).await;
    futures::future::join_all(after.iter().map(|batch| send(&url, key, batch))).await;

    harness.idle_of("fold-calls").await;
    let mut admin = harness.admin().await;
    let rows: i64 = sqlx::query_scalar("select count(*) from calls")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(rows, i64::try_from(CALLS).unwrap());
    let conflicts: i64 = sqlx::query_scalar("select count(*) from call_conflicts")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(conflicts, 0, "the same body is no conflict");
    recount::assert_exact(&mut admin).await;
    ingress.stop().await;
    for worker in workers {
        worker.stop().await;
    }
    harness.finish_of("fold-calls").await;
}

async fn send(url: &str, key: &str, batch: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(url)
        .header("x-api-key", key)
        .header("content-type", "application/x-ndjson")
        .body(batch.to_owned());
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["accepted"], batch.lines().count(), "{answer}");
}
