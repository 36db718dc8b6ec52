//! Whether what a worker depends on can be reached, and waiting until it can.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::{Mutex, watch};

/// A probe that takes longer has failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// While a dependency is down it is asked this often.
const POLL: Duration = Duration::from_secs(1);

/// Asks one dependency whether it answers.
pub struct Probe {
    name: &'static str,
    check: Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>,
}

impl Probe {
    pub fn new<F>(name: &'static str, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            name,
            check: Box::new(move || check().boxed()),
        }
    }

    async fn fails(&self) -> Option<String> {
        match tokio::time::timeout(PROBE_TIMEOUT, (self.check)()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::debug!(
                    dependency = self.name,
                    error = format!("{error:#}"),
                    "unreachable"
                );
                Some(format!("{} is unreachable", self.name))
            }
            Err(_) => Some(format!("{} does not answer", self.name)),
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

/// The dependencies of a worker, shared by its handlers: when one is down, all of them pause.
#[derive(Debug)]
pub(super) struct Dependencies {
    probes: Vec<Probe>,
    down: watch::Sender<bool>,
    /// One task polls for all that wait.
    polling: Mutex<()>,
}

impl Dependencies {
    pub(super) fn new(probes: Vec<Probe>) -> Self {
        Self {
            probes,
            down: watch::Sender::new(false),
            polling: Mutex::new(()),
        }
    }

    /// What fails now, in words.
    pub(super) async fn failing(&self) -> Vec<String> {
        join_all(self.probes.iter().map(Probe::fails))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Asks all; while this says "down", [`Self::reachable`] waits.
    pub(super) async fn are_down(&self) -> bool {
        let failing = self.failing().await;
        let down = !failing.is_empty();
        if down && !self.down.send_replace(true) {
            tracing::warn!(failing = failing.join(", "), "paused");
        }
        down
    }

    /// Waits while a dependency is known to be down. Dropping it is safe at any time.
    pub(super) async fn reachable(&self) {
        if !*self.down.borrow() {
            return;
        }
        let _polling = self.polling.lock().await;
        while *self.down.borrow() {
            if self.failing().await.is_empty() {
                self.down.send_replace(false);
                tracing::info!("resumed");
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
