//! The loop of one handler: pull a few messages, settle each, pull again.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::delivery::Delivery;
use super::handler::Handler;
use super::metrics;
use super::process::{ConsumerState, Shared, stream_of};
use super::settle::Settling;
use super::source::{Source, pause_before_reopening};
use crate::lifecycle::Shutdown;

/// A pull asks for no longer than this, and the client gives it up soon after, whatever it heard. A
/// pull that got lost (the server restarted, the connection broke) is thus renewed by itself.
const PULL_LIFETIME: Duration = Duration::from_secs(10);

/// Runs one handler.
pub(super) struct Runner<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    state: Arc<ConsumerState>,
}

impl<H: Handler> Runner<H> {
    pub(super) fn new(handler: H, shared: Arc<Shared>, state: Arc<ConsumerState>) -> Self {
        Self {
            handler: Arc::new(handler),
            shared,
            state,
        }
    }

    /// Until the stop has begun and every message in hand is answered. Each message is a task that
    /// ends with this future, so that dropping it leaves nothing behind.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let slots = Arc::new(Semaphore::new(self.shared.concurrency));
        let mut in_hand = JoinSet::new();
        let (shared, stream) = (&*self.shared, stream_of::<H>());
        while let Some(source) = Source::open(shared, stream, H::NAME, &shutdown).await {
            self.state.set_open(true);
            let counting = source.count_pending();
            let pulling = self.pull(&source, &slots, &mut in_hand, &shutdown);
            let lost = tokio::select! {
                lost = pulling => lost,
                never = counting => match never {},
            };
            self.state.set_open(false);
            if let Err(error) = lost {
                tracing::warn!(
                    handler = H::NAME,
                    error = format!("{error:#}"),
                    "lost the consumer"
                );
                pause_before_reopening(&shutdown).await;
            }
        }
        while in_hand.join_next().await.is_some() {}
    }

    /// Pulls until the stop (`Ok`) or until the consumer is lost.
    async fn pull(
        &self,
        source: &Arc<Source>,
        slots: &Arc<Semaphore>,
        in_hand: &mut JoinSet<()>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        loop {
            let mut slots = tokio::select! {
                () = shutdown.soft().cancelled() => return Ok(()),
                slots = self.free_slots(slots) => slots,
            };
            while in_hand.try_join_next().is_some() {}
            let batch = source
                .consumer
                .batch()
                .max_messages(slots.len())
                .expires(PULL_LIFETIME);
            let mut batch = batch.messages().await?;
            loop {
                let next = tokio::select! {
                    next = batch.next() => next,
                    () = shutdown.soft().cancelled() => {
                        // What has arrived is taken, to be handed back properly.
                        batch.next().now_or_never().flatten()
                    }
                };
                let Some(message) = next else { break };
                let message = message.map_err(anyhow::Error::from_boxed)?;
                let delivery = Delivery::take(message, source.ack_wait, source.stream_created)
                    .map_err(anyhow::Error::from_boxed)?;
                metrics::pending(H::NAME, delivery.pending);
                let slot = slots.pop();
                let settling = Settling::new(
                    Arc::clone(&self.handler),
                    Arc::clone(&self.shared),
                    shutdown.clone(),
                    source.stream_created,
                    delivery,
                );
                in_hand.spawn(async move {
                    settling.settle().await;
                    drop(slot);
                });
            }
        }
    }

    /// Waits until a message may be taken in hand, and takes every slot that is free then.
    ///
    /// Nothing is pulled while a dependency is down or a message runs alone.
    async fn free_slots(&self, slots: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
        self.shared.dependencies.reachable().await;
        drop(self.shared.gate.read().await);
        let first = Arc::clone(slots).acquire_owned().await;
        let mut free = vec![first.expect("the semaphore is never closed")];
        while let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            free.push(slot);
        }
        free
    }
}
