//! Runs each job again and again, in one process at a time.

use std::time::Duration;

use aftercall::db::{Db, Principal, WorkerRole, jobs};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// A piece of work that is repeated.
pub struct Job {
    pub name: &'static str,
    /// Pause between two runs.
    pub every: Duration,
    /// Does the work; answers how many things it did.
    pub run: Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<u64>> + Send + Sync>,
}

impl Job {
    /// Runs until the stop. A run that fails is logged and tried again at its next turn.
    pub async fn repeat(self, db: Db, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.run_alone(&db).await {
                Ok(Some(0) | None) => {}
                Ok(Some(count)) => tracing::info!(job = self.name, count, "done"),
                Err(error) => {
                    tracing::warn!(job = self.name, error = format!("{error:#}"), "failed");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    /// Runs the job unless another process is at it. The lock ends with the connection, so a process
    /// that dies hands the job over.
    async fn run_alone(&self, db: &Db) -> anyhow::Result<Option<u64>> {
        let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
        if !jobs::try_lock(&mut tx, self.name).await? {
            return Ok(None);
        }
        let count = (self.run)().await?;
        tx.commit().await?;
        Ok(Some(count))
    }
}
