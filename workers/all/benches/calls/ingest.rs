//! The other ways in: batches over HTTP, and calls over NATS.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use aftercall::db::provision::Process;
use aftercall::embedded::agent::{self, Agent};
use aftercall::embedded::harness::Harness;
use aftercall::ids::CallId;
use anyhow::ensure;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::Args;
use crate::figures::{Quantiles, Times, real};
use crate::load::Connection;
use crate::records;
use crate::support::free_port;
use crate::systems::program;

/// Lines of a batch: as many as one may have.
const LINES: usize = 10_000;

/// Calls of one way in.
#[derive(Debug)]
pub struct Ingest {
    way: &'static str,
    calls: u64,
    per_s: f64,
    answers: Quantiles,
    lag: Duration,
}

pub async fn run(harness: &Harness, args: &Args) -> anyhow::Result<Vec<Ingest>> {
    let agent = agent::agent(harness, args.clients).await;
    let port = free_port();
    let ingress = program(harness, Process::Ingress, port).await;
    let analytics = program(harness, Process::Analytics, free_port()).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let batches = batches(harness, address, &agent, args.duration()).await?;
    ingress.stop().await;
    analytics.stop().await;
    Ok(vec![batches])
}

/// One batch after another.
async fn batches(
    harness: &Harness,
    address: SocketAddr,
    agent: &Agent,
    duration: Duration,
) -> anyhow::Result<Ingest> {
    eprintln!("batches of {LINES} lines");
    let records: Vec<_> = records::records(agent).collect();
    let mut connection = Connection::open(address).await?;
    let (mut times, mut calls) = (Times::default(), 0);
    let mut sending = Duration::ZERO;
    let mut last_answer = Instant::now();
    while sending < duration {
        let request = batch(address, agent, &records);
        let before = Instant::now();
        let (status, body) = connection.send(&request).await?;
        last_answer = Instant::now();
        ensure!(
            status == 200,
            "answered {status}: {}",
            String::from_utf8_lossy(body)
        );
        let answer: Value = serde_json::from_slice(body)?;
        ensure!(
            answer["accepted"] == LINES,
            "{} lines were taken",
            answer["accepted"]
        );
        times.add(last_answer - before);
        sending += last_answer - before;
        calls += LINES as u64;
    }
    Ok(Ingest {
        way: "batches of 10,000 lines, one at a time",
        calls,
        per_s: real(calls) / sending.as_secs_f64(),
        answers: times.quantiles(),
        lag: counted(harness, calls, last_answer).await?,
    })
}

fn batch(address: SocketAddr, agent: &Agent, records: &[String]) -> Vec<u8> {
    let nil = Uuid::nil().to_string();
    let mut lines = String::new();
    for record in records.iter().cycle().take(LINES) {
        lines.push_str(&record.replacen(&nil, &CallId::generate().to_string(), 1));
        lines.push('\n');
    }
    let path = "/api/v1/calls/batch";
    let head = records::head(address, agent, path, "application/x-ndjson", lines.len());
    [head, lines].concat().into_bytes()
}

/// The time since the last answer at which everything is counted.
async fn counted(harness: &Harness, calls: u64, last_answer: Instant) -> anyhow::Result<Duration> {
    let mut admin = harness.admin().await;
    loop {
        let visible: i64 =
            sqlx::query_scalar("select coalesce(sum(calls), 0)::bigint from call_rollups")
                .fetch_one(&mut admin)
                .await?;
        if u64::try_from(visible)? == calls {
            return Ok(last_answer.elapsed());
        }
        let waited = last_answer.elapsed();
        ensure!(
            waited < Duration::from_secs(60),
            "{visible} of {calls} calls are counted"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Ingest {
    pub fn json(&self) -> Value {
        json!({
            "way": self.way,
            "calls": self.calls,
            "calls_per_s": self.per_s,
            "answers": self.answers.json(),
            "lag_ms": self.lag.as_secs_f64() * 1_000.0,
        })
    }
}

impl fmt::Display for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles { p50_ms, p99_ms, .. } = self.answers;
        write!(
            f,
            "{}: {:.0} calls/s, an answer after {p50_ms:.1} ms (p99 {p99_ms:.1}), counted {} ms after the last",
            self.way,
            self.per_s,
            self.lag.as_millis(),
        )
    }
}
