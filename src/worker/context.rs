//! What a handler is told beside the message.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError};
use crate::events::Fact;
use crate::telemetry::TraceContext;

/// Everything about a delivery that is not in the message.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) bus: Bus,
    pub(super) source: Arc<str>,
    pub(super) trace: TraceContext,
    pub(super) redrive: u32,
    pub(super) stopping: CancellationToken,
}

impl Context {
    /// How often an operator sent this message again: 0 at first.
    pub fn redrive(&self) -> u32 {
        self.redrive
    }

    /// Where in its trace this run is; outgoing requests carry it as `traceparent`.
    pub fn trace(&self) -> TraceContext {
        self.trace
    }

    /// Cancelled when the process stops. Long work may end at its next safe point with any
    /// [`Failure`](super::Failure): during a stop nothing is counted, and the message goes to the next
    /// process. Work that does not look is dropped at the hard limit ([`crate::lifecycle::GRACE`]).
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Publishes a fact while the work goes on, for example progress.
    pub async fn publish(&self, fact: &Fact) -> Result<(), BusError> {
        publish(&self.bus, fact, &self.source, self.trace).await
    }
}

/// Publishes a fact. Its id is also its `Nats-Msg-Id`, so that sending it twice stores it once.
pub(super) async fn publish(
    bus: &Bus,
    fact: &Fact,
    source: &str,
    trace: TraceContext,
) -> Result<(), BusError> {
    let message = fact.message(source, Timestamp::now(), Some(&trace.to_string()));
    let id = message.envelope.id.to_string();
    bus.publish(
        &message.subject,
        message.envelope.headers(),
        message.data,
        &id,
    )
    .await?;
    Ok(())
}
