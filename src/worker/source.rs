//! The consumer of a handler: waiting for it, and counting what waits there.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use jiff::Timestamp;

use super::metrics;
use super::process::Shared;
use crate::bus::BusError;
use crate::lifecycle::Shutdown;

/// A consumer that is missing or does not answer is asked for this often.
const REOPEN_EVERY: Duration = Duration::from_secs(1);
/// How often the waiting messages are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// A consumer that messages are pulled from.
#[derive(Debug)]
pub(super) struct Source {
    handler: &'static str,
    pub(super) consumer: PullConsumer,
    /// Which stream of this name it is: sequences start again in a new one.
    pub(super) stream_created: Timestamp,
    pub(super) ack_wait: Duration,
}

impl Source {
    /// The consumer of a handler, as soon as it is there; `None` when the process stops.
    pub(super) async fn open(
        shared: &Shared,
        stream: &str,
        handler: &'static str,
        shutdown: &Shutdown,
    ) -> Option<Arc<Self>> {
        let mut said = false;
        while !shutdown.soft().is_cancelled() {
            match Self::try_open(shared, stream, handler).await {
                Ok(source) => return Some(Arc::new(source)),
                Err(error) if !said => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::info!(handler, error, "waits for its consumer");
                    said = true;
                }
                Err(_) => {}
            }
            pause(shutdown, REOPEN_EVERY).await;
        }
        None
    }

    async fn try_open(
        shared: &Shared,
        stream: &str,
        handler: &'static str,
    ) -> Result<Self, BusError> {
        let failed = |e: async_nats::Error| BusError::of(handler, e);
        let stream = shared.bus.jetstream().get_stream(stream).await;
        let stream = stream.map_err(|e| failed(e.into()))?;
        let consumer = stream
            .get_consumer::<pull::Config>(handler)
            .await
            .map_err(failed)?;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        Ok(Self {
            handler,
            ack_wait: consumer.cached_info().config.ack_wait,
            stream_created: Timestamp::from_nanosecond(created).map_err(|e| failed(e.into()))?,
            consumer,
        })
    }

    /// Shows how much waits, for as long as it is polled.
    pub(super) async fn count_pending(&self) -> std::convert::Infallible {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        loop {
            tick.tick().await;
            if let Ok(info) = self.consumer.get_info().await {
                metrics::pending(self.handler, info.num_pending);
            }
        }
    }
}

/// Waits before a lost consumer is opened again, or for the stop.
pub(super) async fn pause_before_reopening(shutdown: &Shutdown) {
    pause(shutdown, REOPEN_EVERY).await;
}

async fn pause(shutdown: &Shutdown, duration: Duration) {
    tokio::select! {
        () = shutdown.soft().cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}
