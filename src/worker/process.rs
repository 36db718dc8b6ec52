//! A worker as a whole: its handlers, what they share, and their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::batch::BatchHandler;
use super::batch_runner::BatchRunner;
use super::dependencies::{Dependencies, Probe};
use super::handler::Handler;
use super::health::Health;
use super::incoming::Incoming;
use super::runner::Runner;
use crate::bus::Bus;
use crate::db::{Db, Principal, WorkerRole};
use crate::lifecycle::Shutdown;
use crate::telemetry::fold_samples;

/// What a worker is given.
#[derive(Debug)]
pub struct Settings {
    /// For example `storage`; facts name it as their source.
    pub name: &'static str,
    /// The database role that its transactions act in.
    pub role: WorkerRole,
    pub bus: Bus,
    pub db: Db,
    /// What it depends on beside the broker and Postgres, for example the object store.
    pub probes: Vec<Probe>,
    /// So many messages a handler has in hand at once.
    pub concurrency: usize,
}

/// Handlers that run in one process, pause together and stop together.
pub struct Worker {
    shared: Arc<Shared>,
    consumers: Vec<Arc<ConsumerState>>,
    runners: Vec<Run>,
}

type Run = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, ()> + Send>;

/// What the handlers of a worker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) source: Arc<str>,
    pub(super) principal: Principal,
    pub(super) bus: Bus,
    pub(super) db: Db,
    pub(super) dependencies: Dependencies,
    pub(super) concurrency: usize,
    /// Read by messages that run beside others, written by one that runs alone.
    pub(super) gate: RwLock<()>,
}

/// What readiness knows of a handler.
#[derive(Debug)]
pub(super) struct ConsumerState {
    pub(super) handler: &'static str,
    open: AtomicBool,
}

impl ConsumerState {
    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

impl Worker {
    pub fn new(settings: Settings) -> Self {
        let Settings {
            name,
            role,
            bus,
            db,
            mut probes,
            concurrency,
        } = settings;
        let pinged = db.clone();
        probes.push(Probe::new("postgres", move || {
            let db = pinged.clone();
            async move { db.ping().await.context("ping") }
        }));
        let shared = Shared {
            source: format!("aftercall/{name}").into(),
            principal: Principal::Worker(role),
            bus,
            db,
            dependencies: Dependencies::new(probes),
            concurrency: concurrency.max(1),
            gate: RwLock::new(()),
        };
        Self {
            shared: Arc::new(shared),
            consumers: Vec::new(),
            runners: Vec::new(),
        }
    }

    /// Adds a handler. Its consumer, [`Handler::NAME`], must be declared in `nats/consumers/`.
    #[must_use]
    pub fn handler<H: Handler>(mut self, handler: H) -> Self {
        let state = Arc::new(ConsumerState {
            handler: H::NAME,
            open: AtomicBool::new(false),
        });
        self.consumers.push(Arc::clone(&state));
        let runner = Runner::new(handler, Arc::clone(&self.shared), state);
        self.runners
            .push(Box::new(move |shutdown| runner.run(shutdown).boxed()));
        self
    }

    /// Adds a handler of frames, likewise.
    #[must_use]
    pub fn batch_handler<B: BatchHandler>(mut self, handler: B) -> Self {
        let state = Arc::new(ConsumerState {
            handler: B::NAME,
            open: AtomicBool::new(false),
        });
        self.consumers.push(Arc::clone(&state));
        let runner = BatchRunner::new(handler, Arc::clone(&self.shared), state);
        self.runners
            .push(Box::new(move |shutdown| runner.run(shutdown).boxed()));
        self
    }

    /// What `/health`, `/ready` and `/metrics` of this worker answer.
    pub fn health(&self) -> Health {
        Health::new(Arc::clone(&self.shared), self.consumers.clone())
    }

    /// Runs the worker as a process does: handles messages, and answers `/health`, `/ready` and
    /// `/metrics` on `address`.
    pub async fn serve(
        self,
        address: SocketAddr,
        metrics: PrometheusHandle,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("bind {address}"))?;
        let health_address = listener.local_addr()?;
        tracing::info!(worker = %self.shared.source, %health_address, "started");
        let health = self.health();
        let folding = fold_samples(metrics.clone(), shutdown.soft().clone());
        tokio::try_join!(
            health.serve(listener, metrics, &shutdown),
            self.run(shutdown.clone()),
            folding.map(Ok)
        )?;
        Ok(())
    }

    /// Handles messages until the stop; what is in hand then is finished or goes back to the broker.
    ///
    /// Dropping the future ends everything at once, as the death of the process would.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut running = JoinSet::new();
        for run in self.runners {
            running.spawn(run(shutdown.clone()));
        }
        while let Some(ended) = running.join_next().await {
            ended.context("a handler's loop broke")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("consumers", &self.consumers)
            .finish_non_exhaustive()
    }
}

/// The stream that a handler consumes.
pub(super) const fn stream_of<H: Handler>() -> &'static str {
    <H::Consumes as Incoming>::STREAM
}
