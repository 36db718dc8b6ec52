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

pub async fn run(
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
        let text = || String::from_utf8_lossy(body);
        ensure!(status == 200, "answered {status}: {}", text());
        let answer: Value = serde_json::from_slice(body)?;
        ensure!(
            answer["accepted"] == LINES,
            "took {} lines",
            answer["accepted"]
        );
        times.add(last_answer - before);
        sending += last_answer - before;
        calls += LINES as u64;
    }
    Ok(Ingest {
        way: format!("batches of {LINES} lines, one at a time"),
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
