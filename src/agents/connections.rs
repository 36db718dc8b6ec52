//! Cuts agents off whose key may act no more.
//!
//! The broker admits a connection once, and keeps it. So each ingress looks through the connections every
//! second, and has those ended whose key is gone; the agent that comes back is refused like any other.
//!
//! Invariant: what is not known, because Postgres or the broker does not answer, ends no connection.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use futures::StreamExt as _;
use jiff::Timestamp;
use metrics::counter;
use serde::Deserialize;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{ACCOUNT, CUT_OFF};
use crate::auth::Scope;
use crate::http::AppState;
use crate::ids::ApiKeyId;

/// What is known of a key is up to 3 s old; together they stay within the 5 s of a revocation.
const EVERY: Duration = Duration::from_secs(1);
/// Servers of a cluster answer each for itself, and how many there are is not known.
const SILENCE: Duration = Duration::from_millis(200);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections of one answer; each takes some 700 bytes of it.
const PAGE: usize = 512;
/// Keys that are looked up at the same time.
const AT_ONCE: usize = 4;

/// One page of a server's connections.
#[derive(Deserialize)]
struct Connz {
    server: Server,
    data: Page,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    connections: Option<Vec<Connection>>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    /// What the user's token is named, for an agent the id of its key.
    #[serde(default)]
    authorized_user: String,
}

/// An agent's connection: the server, and its number there.
type Place = (String, u64);

/// Looks through the connections until the stop.
pub async fn watch(state: AppState, client: Client, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let swept = sweep(&state, &client).await;
        // Told once, not every second while the broker is away.
        if let Err(error) = &swept
            && !failing
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "connections of agents cannot be looked through"
            );
        }
        failing = swept.is_err();
    }
}

async fn sweep(state: &AppState, client: &Client) -> anyhow::Result<()> {
    let agents = agents(client).await?;
    let mut judged = futures::stream::iter(agents)
        .map(|(key, places)| async move { (may_act(state, key).await, key, places) })
        .buffer_unordered(AT_ONCE);
    while let Some((may_act, key, places)) = judged.next().await {
        if !may_act {
            end(client, key, places).await?;
        }
    }
    Ok(())
}

async fn end(client: &Client, key: ApiKeyId, places: Vec<Place>) -> anyhow::Result<()> {
    for (server, cid) in places {
        let kick = json!({ "cid": cid }).to_string();
        ask(client, format!("$SYS.REQ.SERVER.{server}.KICK"), kick).await?;
        counter!(CUT_OFF).increment(1);
        tracing::info!(key = %key, "an agent is cut off, its key may act no more");
    }
    Ok(())
}

/// Unless it is known that the key may not, it may.
async fn may_act(state: &AppState, key: ApiKeyId) -> bool {
    match state.keys.find(&state.db, key).await {
        Ok(Some(known)) => {
            let has_ended = known.expires_at.is_some_and(|at| at <= Timestamp::now());
            !has_ended && known.scopes.contains(&Scope::WriteCalls)
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Connections of agents on all servers, by key.
async fn agents(client: &Client) -> anyhow::Result<HashMap<ApiKeyId, Vec<Place>>> {
    let mut found: HashMap<ApiKeyId, Vec<Place>> = HashMap::new();
    let mut note = |page: &Connz| {
        for connection in page.data.connections.iter().flatten() {
            if let Ok(key) = connection.authorized_user.parse() {
                let places = found.entry(key).or_default();
                places.push((page.server.id.clone(), connection.cid));
            }
        }
    };
    for first in first_pages(client).await? {
        note(&first);
        let server = &first.server.id;
        for offset in (PAGE..first.data.total).step_by(PAGE) {
            let subject = format!("$SYS.REQ.SERVER.{server}.CONNZ");
            let page = ask(client, subject, wanted(offset)).await?;
            note(&serde_json::from_slice(&page).context("CONNZ is not understood")?);
        }
    }
    Ok(found)
}

/// The first page of every server that answers.
async fn first_pages(client: &Client) -> anyhow::Result<Vec<Connz>> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let subject = "$SYS.REQ.SERVER.PING.CONNZ";
    client
        .publish_with_reply(subject, inbox, wanted(0).into())
        .await?;
    let mut pages = Vec::new();
    let mut patience = ANSWER_TIMEOUT;
    while let Ok(Some(answer)) = tokio::time::timeout(patience, answers.next()).await {
        pages.push(serde_json::from_slice(&answer.payload).context("CONNZ is not understood")?);
        patience = SILENCE;
    }
    anyhow::ensure!(!pages.is_empty(), "no server answers");
    Ok(pages)
}

fn wanted(offset: usize) -> String {
    json!({ "auth": true, "acc": ACCOUNT, "limit": PAGE, "offset": offset }).to_string()
}

async fn ask(client: &Client, subject: String, body: String) -> anyhow::Result<bytes::Bytes> {
    let answer = client.request(subject, body.into());
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
    Ok(answer.context("a server does not answer")??.payload)
}
