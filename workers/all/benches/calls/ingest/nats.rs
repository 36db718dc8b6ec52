//! Calls over NATS: agents that ask `ingest.v1.<client id>.call-ended` and wait for the answer.

use std::sync::Arc;
use std::time::Instant;

use aftercall::embedded::agent::Agent;
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::ids::{CallId, ClientId};
use anyhow::ensure;
use async_nats::{Client, ConnectOptions};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Ingest, counted};
use crate::args::Args;
use crate::figures::{Times, real};
use crate::records;

/// Requests that are under way at once, over the connections of all agents.
const IN_FLIGHT: usize = 64;

/// One agent: its connection, the subject it publishes on, and records of its client.
struct Speaker {
    client: Client,
    subject: String,
    records: Vec<String>,
}

/// `before` calls are there already.
pub async fn run(
    harness: &Harness,
    agent: &Agent,
    before: u64,
    args: &Args,
) -> anyhow::Result<Ingest> {
    eprintln!("calls over NATS");
    let url = harness.nats.lock().await.agent_url();
    let mut speakers = Vec::new();
    for &client in &agent.clients {
        speakers.push(Arc::new(Speaker::sign_in(&url, agent, client).await?));
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..IN_FLIGHT {
        let speaker = Arc::clone(&speakers[number % speakers.len()]);
        running.spawn(speak(speaker, number, began + args.duration()));
    }
    let mut times = Times::default();
    while let Some(part) = running.join_next().await {
        times.extend(part??);
    }
    let last_answer = Instant::now();
    let calls = times.count();
    Ok(Ingest {
        way: format!(
            "NATS, {IN_FLIGHT} requests at once of {} agents",
            speakers.len()
        ),
        calls,
        per_s: real(calls) / (last_answer - began).as_secs_f64(),
        answers: times.quantiles(),
        lag: counted(harness, before + calls, last_answer).await?,
    })
}

impl Speaker {
    async fn sign_in(url: &str, agent: &Agent, client_id: ClientId) -> anyhow::Result<Self> {
        let options = || {
            let key = agent.key.expose_secret().to_owned();
            ConnectOptions::with_user_and_password(client_id.to_string(), key)
                .custom_inbox_prefix(format!("_INBOX.agent.{client_id}"))
        };
        // The ingress lets agents in from a moment after its start on.
        eventually("an agent gets in", || async {
            options().connect(url).await.is_ok()
        })
        .await;
        let name = client_id.to_string();
        let records = records::records(agent).filter(|record| record.contains(&name));
        Ok(Self {
            client: options().connect(url).await?,
            subject: format!("ingest.v1.{client_id}.call-ended"),
            records: records.collect(),
        })
    }
}

async fn speak(speaker: Arc<Speaker>, first: usize, until: Instant) -> anyhow::Result<Times> {
    let nil = Uuid::nil().to_string();
    let mut times = Times::default();
    for number in first.. {
        if Instant::now() >= until {
            break;
        }
        let record = &speaker.records[number % speaker.records.len()];
        let record = record.replacen(&nil, &CallId::generate().to_string(), 1);
        let before = Instant::now();
        let subject = speaker.subject.clone();
        let answer = speaker.client.request(subject, record.into()).await?;
        times.add(before.elapsed());
        let answer: Value = serde_json::from_slice(&answer.payload)?;
        ensure!(answer["status"] == "accepted", "{answer}");
    }
    Ok(times)
}
