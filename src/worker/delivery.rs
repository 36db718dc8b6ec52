//! One delivery of a message, and the only place that answers the broker.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{AckKind, Message};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::incoming::Received;

/// A message in hand. It is kept alive until it is answered or dropped; dropped without an answer, it
/// is delivered again after `ack_wait`.
#[derive(Debug)]
pub(super) struct Delivery {
    message: Message,
    /// Stands in where a message has none.
    no_headers: HeaderMap,
    pub(super) stream_sequence: i64,
    stream_created: Timestamp,
    /// Counts deliveries of this message to the consumer, from 1.
    pub(super) delivered: i64,
    /// Messages of the consumer that wait for their first delivery.
    pub(super) pending: u64,
    /// One task, which ends with this.
    _keep_alive: JoinSet<()>,
}

impl Delivery {
    /// Takes a message in hand, and tells the broker every third of `ack_wait` that it is worked on.
    pub(super) fn take(
        message: Message,
        ack_wait: Duration,
        stream_created: Timestamp,
    ) -> Result<Self, async_nats::Error> {
        let info = message.info()?;
        let stream_sequence = i64::try_from(info.stream_sequence)?;
        let (delivered, pending) = (info.delivered, info.pending);
        // A task of its own: a handler that computes for long must not starve it.
        let mut kept_alive = JoinSet::new();
        kept_alive.spawn(keep_alive(message.clone(), ack_wait / 3));
        Ok(Self {
            message,
            no_headers: HeaderMap::new(),
            stream_sequence,
            stream_created,
            delivered,
            pending,
            _keep_alive: kept_alive,
        })
    }

    pub(super) fn received(&self) -> Received<'_> {
        Received {
            subject: &self.message.subject,
            headers: self.message.headers.as_ref().unwrap_or(&self.no_headers),
            payload: &self.message.payload,
            stream_sequence: self.stream_sequence,
            stream_created: self.stream_created,
        }
    }

    /// Done. Waits for the broker's answer; without one the message may come again, which is safe.
    pub(super) async fn ack(self) {
        self.answer(AckKind::Ack).await;
    }

    /// Done, without waiting for the broker's answer: for what costs little when it comes again.
    pub(super) async fn ack_unconfirmed(self) {
        if let Err(error) = self.message.ack().await {
            tracing::debug!(%error, "acknowledgement was not sent");
        }
    }

    /// Back to the broker, to be delivered again after `delay`.
    pub(super) async fn nak(self, delay: Duration) {
        let delay = (!delay.is_zero()).then_some(delay);
        self.answer(AckKind::Nak(delay)).await;
    }

    /// Given up: never delivered to this consumer again.
    pub(super) async fn term(self) {
        self.answer(AckKind::Term).await;
    }

    async fn answer(self, kind: AckKind) {
        if let Err(error) = self.message.double_ack_with(kind).await {
            tracing::debug!(%error, "answer was not confirmed");
        }
    }
}

async fn keep_alive(message: Message, every: Duration) {
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    loop {
        tick.tick().await;
        if let Err(error) = message.ack_with(AckKind::Progress).await {
            tracing::debug!(%error, "progress was not sent");
        }
    }
}
