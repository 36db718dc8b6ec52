//! Analytics worker: keeps calls and counts them.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`FoldCalls`] | frames of `calls.ended` | `session.created` and what a session of a call begins with | `calls`, `call_rollups`, `call_latencies`, `sessions` | nothing |
//! | [`AdjustCall`] | `analysis.completed` | nothing | `calls`, `call_rollups` | nothing |
//!
//! Not here: what is counted (`aftercall::rollups`), and how a dashboard reads it.
//!
//! Invariant: a call is counted in the transaction that keeps it, and only when that one inserted it.

mod adjust_call;
mod fold_calls;
mod lexicon;
mod wake;

pub use adjust_call::AdjustCall;
pub use fold_calls::FoldCalls;

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
    pub sessions: config::Sessions,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            sessions: config::Sessions::read(env)?,
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
    let bus = Bus::connect(&config.nats, "analytics").await?;
    Worker::new(Settings {
        name: "analytics",
        role: WorkerRole::Analytics,
        bus: bus.clone(),
        db: db.clone(),
        probes: Vec::new(),
        concurrency: config.worker.concurrency,
    })
    .batch_handler(FoldCalls::new(db.clone(), bus.clone(), config.sessions))
    .handler(AdjustCall::new(db, bus))
    .serve(config.worker.address, metrics, shutdown)
    .await
}
