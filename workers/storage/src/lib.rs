//! Storage worker: fetches recordings, verifies those that were uploaded and marks them stored.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`FetchRecording`] | `recording.requested` | `recording.uploaded` | `recording_fetches`, `uploads`, `recordings` | the recording's address, the object store |
//! | [`StoreRecording`] | `recording.uploaded` | `recording.stored`, `transcription.requested` | `recordings`, `transcriptions` | the object store |
//!
//! Not here: receiving the upload (the ingress), and what is said in the recording.
//!
//! Invariant: a recording that is stored is what was sent, and it decodes. Nothing is fetched from inside
//! a private network.

mod check;
mod fetch_recording;
mod refusals;
mod store_recording;
mod unfinished;

pub use fetch_recording::FetchRecording;
pub use store_recording::{Published, StoreRecording};

use aftercall::bus::Bus;
use aftercall::config::{self, ConfigError, Env};
use aftercall::db::{Db, WorkerRole};
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::providers::web_file::WebFiles;
use aftercall::telemetry::PrometheusHandle;
use aftercall::worker::{Probe, Settings, Worker};

/// What this worker reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: config::Worker,
    pub nats: config::Nats,
    pub database: config::Database,
    pub object_store: config::ObjectStore,
    pub storage: config::Storage,
    pub fetch: config::Fetch,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            object_store: config::ObjectStore::read(env)?,
            storage: config::Storage::read(env)?,
            fetch: config::Fetch::read(env)?,
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
    let bus = Bus::connect(&config.nats, "storage").await?;
    let store = ObjectStore::connect(&config.object_store).await?;
    let web = WebFiles::build(&config.fetch)?;
    Worker::new(Settings {
        name: "storage",
        role: WorkerRole::Storage,
        bus,
        db: db.clone(),
        probes: vec![reachable(&store)],
        concurrency: config.worker.concurrency,
    })
    .handler(FetchRecording::new(db.clone(), store.clone(), web))
    .handler(StoreRecording::new(db, store, config.storage.max_audio))
    .serve(config.worker.address, metrics, shutdown)
    .await
}

/// Asks whether the object store answers.
pub fn reachable(store: &ObjectStore) -> Probe {
    let store = store.clone();
    Probe::new("object store", move || {
        let store = store.clone();
        async move { Ok(store.ping().await?) }
    })
}
