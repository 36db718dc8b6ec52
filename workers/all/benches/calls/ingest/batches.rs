//! `POST /calls/batch`, one batch after another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aftercall::embedded::agent::Agent;
use aftercall::embedded::harness::Harness;
use aftercall::ids::CallId;
use anyhow::ensure;
use serde_json::Value;
use uuid::Uuid;

use super::{Ingest, counted};
use crate::figures::{Times, real};
use crate::load::Connection;
use crate::records;

/// Lines of a batch: as many as one may have.
const LINES: usize = 10_000;

/// Batches that are awaited until they are counted, each.
const AWAITED: u64 = 5;

pub async fn run(
    harness: &Harness,
    address: SocketAddr,
    agent: &Agent,
    duration: Duration,
) -> anyhow::Result<[Ingest; 2]> {
    eprintln!("batches of {LINES} lines");
    let mut sender = Sender {
        address,
        agent,
        records: records::records(agent).collect(),
        connection: Connection::open(address).await?,
        calls: 0,
    };
    let awaited = sender.awaited(harness).await?;
    let before = sender.calls;
    let (mut times, mut sending) = (Times::default(), Duration::ZERO);
    let mut last_answer = Instant::now();
    while sending < duration {
        let took = sender.send().await?;
        last_answer = Instant::now();
        times.add(took);
        sending += took;
    }
    let full_speed = Ingest {
        way: format!("batches of {LINES} lines, one at a time"),
        calls: sender.calls - before,
        per_s: real(sender.calls - before) / sending.as_secs_f64(),
        answers: times.quantiles(),
        lag: counted(harness, sender.calls, last_answer).await?,
    };
    Ok([awaited, full_speed])
}

struct Sender<'a> {
    address: SocketAddr,
    agent: &'a Agent,
    records: Vec<String>,
    connection: Connection,
    /// All that were accepted.
    calls: u64,
}

impl Sender<'_> {
    /// Sends batches, each once the one before is counted; the lag is the longest.
    async fn awaited(&mut self, harness: &Harness) -> anyhow::Result<Ingest> {
        let (mut times, mut lag) = (Times::default(), Duration::ZERO);
        let mut sending = Duration::ZERO;
        for _ in 0..AWAITED {
            let took = self.send().await?;
            lag = lag.max(counted(harness, self.calls, Instant::now()).await?);
            times.add(took);
            sending += took;
        }
        Ok(Ingest {
            way: format!("batches of {LINES} lines, each after the one before is counted"),
            calls: self.calls,
            per_s: real(self.calls) / sending.as_secs_f64(),
            answers: times.quantiles(),
            lag,
        })
    }

    /// Sends a batch; answers how long that took.
    async fn send(&mut self) -> anyhow::Result<Duration> {
        let request = batch(self.address, self.agent, &self.records);
        let before = Instant::now();
        let (status, body) = self.connection.send(&request).await?;
        let took = before.elapsed();
        let text = || String::from_utf8_lossy(body);
        ensure!(status == 200, "answered {status}: {}", text());
        let answer: Value = serde_json::from_slice(body)?;
        let accepted = &answer["accepted"];
        ensure!(accepted == LINES, "took {accepted} lines");
        self.calls += LINES as u64;
        Ok(took)
    }
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
