//! What every handler shares, and the start of the ingress.

use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::anonymous::Anonymous;
use super::api_keys::KnownKeys;
use super::calls::{self, ClientsOfCallers, Recent};
use super::limits::Limits;
use super::oidc::Providers;
use super::wakes::Wakes;
use crate::agents::Agents;
use crate::auth::{Passwords, SecretKey, Tokens};
use crate::bus::{Bus, Frames, subjects};
use crate::config::{self, ConfigError, Env};
use crate::db::Db;
use crate::events::calls_ended;
use crate::ids::{AccountId, SessionId};
use crate::lifecycle::Shutdown;
use crate::providers::object_store::ObjectStore;
use crate::telemetry::{PrometheusHandle, fold_samples};

/// What the ingress reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub http: config::Http,
    pub auth: config::Auth,
    pub oidc: config::Oidc,
    pub limits: config::RateLimits,
    pub sessions: config::Sessions,
    pub redaction: config::Redaction,
    pub nats: config::Nats,
    /// Nothing: agents cannot publish over NATS.
    pub agents: Option<config::Agents>,
    pub database: config::Database,
    pub object_store: config::ObjectStore,
}

/// Shared by all handlers; clones share one.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What [`AppState`] holds.
pub struct Shared {
    pub config: Config,
    pub db: Db,
    pub bus: Bus,
    pub store: ObjectStore,
    pub auth: Auth,
    pub oidc: Providers,
    pub anonymous: Anonymous,
    pub limits: Arc<Limits>,
    pub keys: KnownKeys,
    pub clients: ClientsOfCallers,
    pub frames: Frames,
    /// Calls that were accepted a moment ago.
    pub recent: Recent,
    /// Work that outlives its request: publishing after a commit, cleaning up after a broken upload.
    /// A stop waits for it.
    pub tasks: TaskTracker,
    /// Something happened in a session.
    pub session_wakes: Wakes<SessionId>,
    /// The figures of an account changed.
    pub account_wakes: Wakes<AccountId>,
    pub metrics: PrometheusHandle,
    pub shutdown: Shutdown,
}

/// Sign-in.
pub struct Auth {
    pub tokens: Arc<Tokens>,
    pub passwords: Passwords,
    pub secret_key: SecretKey,
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            http: config::Http::read(env)?,
            auth: config::Auth::read(env)?,
            oidc: config::Oidc::read(env)?,
            limits: config::RateLimits::read(env)?,
            sessions: config::Sessions::read(env)?,
            redaction: config::Redaction::read(env)?,
            nats: config::Nats::read(env)?,
            agents: config::Agents::read(env)?,
            database: config::Database::read(env)?,
            object_store: config::ObjectStore::read(env)?,
        })
    }
}

/// Connects and serves on `listener` until the stop; then waits for what was begun.
///
/// Nothing needs to be up yet: readiness says what is missing.
pub async fn start(
    config: Config,
    listener: TcpListener,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let db = Db::connect_lazy(&config.database.url, config.database.max_connections)?;
    let bus = Bus::connect(&config.nats, "ingress").await?;
    let store = ObjectStore::connect(&config.object_store).await?;
    let auth = Auth {
        tokens: Arc::new(Tokens::load(&config.auth)?),
        passwords: Passwords::new(),
        secret_key: SecretKey::new(config.auth.secret_key.clone()),
    };
    let oidc = Providers::of(&config.oidc, &config.http)?;
    let limits = Arc::new(Limits::new(&config.limits));
    let session_wakes = Wakes::of("events.>");
    let account_wakes = Wakes::of(subjects::ANALYTICS_WAKES);
    let tasks = TaskTracker::new();
    let (client, stop) = (bus.client(), shutdown.soft());
    tasks.spawn(session_wakes.clone().listen(client.clone(), stop.clone()));
    tasks.spawn(account_wakes.clone().listen(client.clone(), stop.clone()));
    tasks.spawn(fold_samples(metrics.clone(), shutdown.soft().clone()));
    tasks.spawn(Arc::clone(&auth.tokens).follow(shutdown.soft().clone()));
    tasks.spawn(Arc::clone(&limits).forget_idle(shutdown.soft().clone()));
    let keys = KnownKeys::new();
    let uses = keys.uses.clone();
    tasks.spawn(uses.write_until(db.clone(), shutdown.soft().clone()));
    // Requests that run at the stop still store their calls.
    let served = CancellationToken::new();
    let (frames, publishing) =
        Frames::start(&bus, calls_ended::SUBJECT, calls::frame_headers, &served);
    tasks.spawn(publishing);
    let state = AppState(Arc::new(Shared {
        config,
        db,
        bus,
        store,
        auth,
        oidc,
        anonymous: Anonymous::default(),
        limits,
        keys,
        clients: ClientsOfCallers::new(),
        frames,
        recent: Recent::default(),
        tasks,
        session_wakes,
        account_wakes,
        metrics,
        shutdown: shutdown.clone(),
    }));
    let agents = if let Some(settings) = &state.config.agents {
        Some(Agents::start(&state, settings).await?)
    } else {
        tracing::info!("agents cannot publish over NATS: NATS_INGEST_URL is not set");
        None
    };
    super::serve(
        listener,
        super::router(state.clone()),
        &state.config.http,
        &shutdown,
    )
    .await?;
    if let Some(agents) = agents {
        agents.finish().await;
    }
    served.cancel();
    state.tasks.close();
    state.tasks.wait().await;
    state.keys.uses.write(&state.db).await;
    Ok(())
}
