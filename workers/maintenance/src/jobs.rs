//! Runs each job again and again, in one process at a time.

use std::sync::Arc;
use std::time::Duration;

use aftercall::db::{Db, Principal, WorkerRole, jobs};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// So many jobs of a process run at once: each holds a connection for its lock and takes more for its
/// work, and all at once would empty the pool.
pub const AT_ONCE: usize = 2;

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
    pub async fn repeat(self, db: Db, turns: Arc<Semaphore>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.run_alone(&db, &turns).await {
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
    async fn run_alone(&self, db: &Db, turns: &Semaphore) -> anyhow::Result<Option<u64>> {
        let _turn = turns.acquire().await?;
        let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
        if !jobs::try_lock(&mut tx, self.name).await? {
            return Ok(None);
        }
        let count = (self.run)().await?;
        tx.commit().await?;
        Ok(Some(count))
    }
}
