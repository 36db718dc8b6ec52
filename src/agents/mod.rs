//! Voice agents that publish their calls over NATS.
//!
//! [`admission`] answers the broker when an agent connects, [`connections`] cuts agents off whose key may
//! act no more, [`service`] takes their calls. Not here: what a call record is (`calls`), and how it is
//! stored (`http::calls`, the same as over HTTP).
//!
//! Invariant: an agent publishes on the subject of its client and listens on that client's inbox, and the
//! broker enforces it. What it cannot enforce, where an answer goes, is checked here, and answers are sent
//! by a user who may write to inboxes of agents alone.

mod admission;
mod connections;
mod jwt;
mod service;
mod sign_in;
mod subjects;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use metrics::{Unit, describe_counter};
use tokio_util::task::TaskTracker;

use crate::bus;
use crate::config;
use crate::http::AppState;
use jwt::Issuer;

/// The account of everything but the broker's own, as `nats/users.conf` names it.
const ACCOUNT: &str = "AFTERCALL";

/// How long a stop waits for what is on its way through the broker.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

const SIGN_INS: &str = "aftercall_agent_sign_ins_total";
const CUT_OFF: &str = "aftercall_agents_cut_off_total";
const REQUESTS: &str = "aftercall_agent_requests_total";

/// The connections that agents are served on, as two users.
pub struct Connections {
    /// In the broker's system account.
    system: Client,
    ingest: Client,
    issuer: Arc<Issuer>,
}

impl Connections {
    /// The broker need not be up yet.
    pub async fn open(settings: &config::Agents) -> anyhow::Result<Self> {
        let issuer = Issuer::of(&settings.issuer_seed).context("NATS_AGENT_ISSUER_SEED")?;
        let options = ConnectOptions::new().name("ingress for agents");
        let system = bus::connect(&settings.system_url, options)
            .await
            .context("NATS_SYSTEM_URL")?;
        let ingest = bus::connect(&settings.ingest_url, service::options())
            .await
            .context("NATS_INGEST_URL")?;
        Ok(Self {
            system,
            ingest,
            issuer: Arc::new(issuer),
        })
    }

    /// Why agents cannot sign in or publish.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let users = [
            ("nats is not connected to let agents in", &self.system),
            ("nats is not connected to answer agents", &self.ingest),
        ];
        let lost = |client: &Client| client.connection_state() != State::Connected;
        users
            .into_iter()
            .filter(move |(_, client)| lost(client))
            .map(|(problem, _)| problem.to_owned())
    }
}

/// What runs for agents, until the stop.
pub struct Agents(TaskTracker);

impl Agents {
    /// Serves until the soft stop.
    pub fn start(state: &AppState, connections: &Connections) -> Self {
        describe();
        let Connections {
            system,
            ingest,
            issuer,
        } = connections;
        let stop = state.shutdown.soft();
        let tasks = TaskTracker::new();
        tasks.spawn(admission::serve(
            state.clone(),
            system.clone(),
            Arc::clone(issuer),
            stop.clone(),
        ));
        tasks.spawn(connections::watch(
            state.clone(),
            system.clone(),
            stop.clone(),
        ));
        tasks.spawn(service::serve(state.clone(), ingest.clone(), stop.clone()));
        Self(tasks)
    }

    /// Waits for what was begun before the stop.
    pub async fn finish(self) {
        self.0.close();
        self.0.wait().await;
    }
}

fn describe() {
    describe_counter!(SIGN_INS, Unit::Count, "agents that asked to connect");
    describe_counter!(
        CUT_OFF,
        Unit::Count,
        "connections of keys that may act no more"
    );
    describe_counter!(REQUESTS, Unit::Count, "calls that agents published");
}
