//! The ingress and every worker in this process.
//!
//! Each reads an environment of its own and runs exactly as its binary does.

use std::time::Duration;

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::http;
use aftercall::lifecycle::{GRACE, Shutdown};
use aftercall::telemetry::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is given up has this long to be handed back, so that servers can still stop within the 30 s
/// that supervisors wait.
const HARD_LIMIT: Duration = Duration::from_secs(4);

/// Everything that runs; dropping it is like killing it.
#[derive(Debug)]
pub struct Pipeline {
    shutdown: Shutdown,
    running: JoinSet<anyhow::Result<()>>,
}

impl Pipeline {
    /// Starts the ingress on `listener`, and one of each worker.
    ///
    /// Reads all settings first, so that nothing has started when one is wrong.
    pub fn start(
        environment: impl Fn(Process) -> Env,
        listener: TcpListener,
        metrics: &PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let ingress = http::Config::read(&environment(Process::Ingress))?;
        let storage = aftercall_storage::Config::read(&environment(Process::Storage))?;
        let transcription =
            aftercall_transcription::Config::read(&environment(Process::Transcription))?;
        let analysis = aftercall_analysis::Config::read(&environment(Process::Analysis))?;
        let analytics = aftercall_analytics::Config::read(&environment(Process::Analytics))?;
        let maintenance = aftercall_maintenance::Config::read(&environment(Process::Maintenance))?;

        let shutdown = Shutdown::new();
        let (metrics, stop) = (|| metrics.clone(), || shutdown.clone());
        let mut running = JoinSet::new();
        running.spawn(http::start(ingress, listener, metrics(), stop()));
        running.spawn(aftercall_storage::start(storage, metrics(), stop()));
        running.spawn(aftercall_transcription::start(
            transcription,
            metrics(),
            stop(),
        ));
        running.spawn(aftercall_analysis::start(analysis, metrics(), stop()));
        running.spawn(aftercall_analytics::start(analytics, metrics(), stop()));
        running.spawn(aftercall_maintenance::start(maintenance, metrics(), stop()));
        Ok(Self { shutdown, running })
    }

    /// Waits until a process ends that nobody stopped, and says why it did.
    pub async fn broken(&mut self) -> anyhow::Error {
        match self.running.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => {
                anyhow::Error::new(error).context("a process of the pipeline broke")
            }
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a process of the pipeline ended by itself"),
        }
    }

    /// Lets what is in hand be finished; `hurry` ends the patience.
    pub async fn stop(mut self, hurry: impl Future) {
        self.shutdown.stop();
        let patience = async {
            tokio::select! {
                _ = hurry => {}
                () = tokio::time::sleep(GRACE) => {}
            }
        };
        tokio::select! {
            () = ended(&mut self.running) => return,
            () = patience => {}
        }
        tracing::warn!("giving up what still runs");
        self.shutdown.stop_now();
        let given_up = tokio::time::timeout(HARD_LIMIT, ended(&mut self.running));
        if given_up.await.is_err() {
            self.running.shutdown().await;
        }
    }
}

async fn ended(running: &mut JoinSet<anyhow::Result<()>>) {
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = format!("{error:#}"), "did not stop well"),
            Err(error) => tracing::warn!(%error, "did not stop well"),
        }
    }
}
