//! From the first signal to the end of the process.
//!
//! A stop is soft first: nothing new begins, what runs may finish. After [`GRACE`] it is hard: what
//! still runs is given up (a message goes back to the broker). [`EXIT_LIMIT`] later the process is
//! left even if something hangs. A second signal makes the stop hard at once.
//!
//! Not here: what starts and stops; that is for the binaries.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What still runs this long after the stop began is given up.
pub const GRACE: Duration = Duration::from_secs(20);

/// What is given up has this long to be handed back; with [`GRACE`] it stays under the 30 s that
/// process supervisors wait before they kill.
pub const EXIT_LIMIT: Duration = Duration::from_secs(8);

/// Tells tasks that the process stops; clones share one stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when nothing new may begin.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when what still runs is given up.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Gives up what still runs.
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }
}

/// Chooses ring for TLS, once for the process; only binaries and tests call it.
pub fn install_tls() {
    // An error says that it was chosen before, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs `main` until it ends by itself or by a signal, with the limits of this module.
///
/// `main` must watch the [`Shutdown`] it is given.
pub async fn run<F>(main: impl FnOnce(Shutdown) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut signals = Signals::listen()?;
    let shutdown = Shutdown::new();
    let main = main(shutdown.clone());
    tokio::pin!(main);
    tokio::select! {
        ended = &mut main => return ended,
        () = signals.next() => shutdown.stop(),
    }
    tracing::info!(grace_s = GRACE.as_secs(), "stopping");
    tokio::select! {
        ended = &mut main => return ended,
        () = signals.next() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    tracing::warn!("giving up what still runs");
    shutdown.stop_now();
    tokio::time::timeout(EXIT_LIMIT, main)
        .await
        .context("did not stop in time")?
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_by_itself_ends_the_run() {
        run(|_| async { Ok(()) }).await.expect("ended well");
        let failed = run(|_| async { anyhow::bail!("broken") }).await;
        assert_eq!(failed.expect_err("passed on").to_string(), "broken");
    }

    #[test]
    fn a_hard_stop_is_a_soft_one_too() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        shutdown.stop();
        assert!(other.soft().is_cancelled() && !other.hard().is_cancelled());
        shutdown.stop_now();
        assert!(other.hard().is_cancelled());
    }
}
