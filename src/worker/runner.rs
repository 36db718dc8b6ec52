//! The loop of one handler: pull a few messages, settle each, pull again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::delivery::Delivery;
use super::handler::Handler;
use super::metrics;
use super::process::{ConsumerState, Shared, stream_of};
use super::settle::Settling;
use crate::bus::BusError;
use crate::lifecycle::Shutdown;

/// A pull asks for no longer than this, and the client gives it up soon after, whatever it heard. A
/// pull that got lost (the server restarted, the connection broke) is thus renewed by itself.
const PULL_LIFETIME: Duration = Duration::from_secs(10);
/// A consumer that is missing or does not answer is asked for this often.
const REOPEN_EVERY: Duration = Duration::from_secs(1);
/// How often the waiting messages are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// Runs one handler.
pub(super) struct Runner<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    state: Arc<ConsumerState>,
}

/// A consumer that messages are pulled from.
#[derive(Debug)]
pub(super) struct Source {
    consumer: PullConsumer,
    /// Which stream of this name it is: sequences start again in a new one.
    pub(super) stream_created: Timestamp,
    pub(super) ack_wait: Duration,
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
        while let Some(source) = self.open(&shutdown).await {
            self.state.set_open(true);
            let counting = self.count_pending(&source);
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
                pause(&shutdown, REOPEN_EVERY).await;
            }
        }
        while in_hand.join_next().await.is_some() {}
    }

    /// The consumer, as soon as it is there; `None` when the process stops.
    async fn open(&self, shutdown: &Shutdown) -> Option<Arc<Source>> {
        let mut said = false;
        while !shutdown.soft().is_cancelled() {
            match self.try_open().await {
                Ok(source) => return Some(Arc::new(source)),
                Err(error) if !said => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::info!(handler = H::NAME, error, "waits for its consumer");
                    said = true;
                }
                Err(_) => {}
            }
            pause(shutdown, REOPEN_EVERY).await;
        }
        None
    }

    async fn try_open(&self) -> Result<Source, BusError> {
        let failed = |e: async_nats::Error| BusError::of(H::NAME, e);
        let stream = self
            .shared
            .bus
            .jetstream()
            .get_stream(stream_of::<H>())
            .await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let consumer = stream
            .get_consumer::<pull::Config>(H::NAME)
            .await
            .map_err(failed)?;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        Ok(Source {
            ack_wait: consumer.cached_info().config.ack_wait,
            stream_created: Timestamp::from_nanosecond(created).map_err(|e| failed(e.into()))?,
            consumer,
        })
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

    async fn count_pending(&self, source: &Source) -> std::convert::Infallible {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        loop {
            tick.tick().await;
            if let Ok(info) = source.consumer.get_info().await {
                metrics::pending(H::NAME, info.num_pending);
            }
        }
    }
}

/// Waits for `duration` or the stop.
async fn pause(shutdown: &Shutdown, duration: Duration) {
    tokio::select! {
        () = shutdown.soft().cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
