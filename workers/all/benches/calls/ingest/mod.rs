//! The other ways in: batches over HTTP, and calls over NATS.

mod batches;
mod nats;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use aftercall::db::provision::Process;
use aftercall::embedded::agent;
use aftercall::embedded::harness::Harness;
use anyhow::ensure;
use serde_json::{Value, json};

use crate::args::Args;
use crate::figures::Quantiles;
use crate::support::free_port;
use crate::systems::program;

/// Calls of one way in.
#[derive(Debug)]
pub struct Ingest {
    way: String,
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
    // It trims the stream, which would refuse calls once it is full.
    let maintenance = program(harness, Process::Maintenance, free_port()).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let [awaited, batches] = batches::run(harness, address, &agent, args.duration()).await?;
    let before = awaited.calls + batches.calls;
    let nats = nats::run(harness, &agent, before, args).await?;
    for program in [ingress, analytics, maintenance] {
        program.stop().await;
    }
    Ok(vec![awaited, batches, nats])
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
