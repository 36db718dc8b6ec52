//! Analysis worker: turns transcripts into analyses.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`AnalyzeSession`] | `analysis.requested` | `analysis.completed`, `analysis.skipped` | `analyses`, `model_requests` | with [`llm`] a server with `POST /chat/completions`; with [`local`] nothing |
//!
//! Not here: the document itself (`aftercall::documents::analysis`).
//!
//! Invariant: no engine reads what the account's policy or the session's consent forbids; a generation
//! that is written is never changed.

mod analyze_session;
mod engine;
pub mod llm;
pub mod local;
pub mod permission;

pub use analyze_session::AnalyzeSession;
pub use engine::Engine;

use aftercall::bus::Bus;
use aftercall::config::{self, ConfigError, Env};
use aftercall::db::{Db, WorkerRole};
use aftercall::lifecycle::Shutdown;
use aftercall::telemetry::PrometheusHandle;
use aftercall::worker::{Settings, Worker};

/// What this worker reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: config::Worker,
    pub nats: config::Nats,
    pub database: config::Database,
    pub analysis: config::Analysis,
    pub redaction: config::Redaction,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            analysis: config::Analysis::read(env)?,
            redaction: config::Redaction::read(env)?,
        })
    }
}

/// Runs the worker until the stop.
pub async fn start(
    config: Config,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let db = Db::connect_lazy(&config.database.url, config.database.max_connections)?;
    let engine = Engine::build(&config.analysis, config.redaction)?;
    tracing::info!(engine = engine.name(), "analyses");
    let bus = Bus::connect(&config.nats, "analysis").await?;
    Worker::new(Settings {
        name: "analysis",
        role: WorkerRole::Analysis,
        bus,
        db: db.clone(),
        probes: Vec::new(),
        concurrency: config.worker.concurrency,
    })
    .handler(AnalyzeSession::new(db, engine))
    .serve(config.worker.address, metrics, shutdown)
    .await
}
