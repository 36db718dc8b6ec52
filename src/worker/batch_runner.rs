//! The loop of one batch handler: gather frames, handle them together, acknowledge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull::Batch;
use futures::stream::Fuse;
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::batch::{Alone, BatchHandler, Frame, Origin};
use super::context::Context;
use super::delivery::Delivery;
use super::handler::Failure;
use super::incoming::Incoming;
use super::metrics;
use super::process::{ConsumerState, Shared};
use super::settle::Settling;
use super::source::{Source, pause_before_reopening};
use crate::lifecycle::Shutdown;
use crate::telemetry::{TraceContext, chain};

/// See [`super::runner`]. Shorter than there, because a pull that got lost is a gap in what dashboards
/// show.
const PULL_LIFETIME: Duration = Duration::from_secs(2);
/// A pull that has told nothing for its lifetime and this is lost; the client itself waits for longer.
const PULL_LATENESS: Duration = Duration::from_millis(500);
/// Most frames of a pull. What is pulled waits in memory and is not kept alive until it is taken in hand,
/// so all of it must be handled well within `ack_wait`; and the broker cuts off whoever is sent much more
/// than it reads. At half a megabyte a frame this is 16 MiB.
const MAX_FRAMES: usize = 32;
/// A batch is closed once it holds this many bytes of frames.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Batches that are handled at once: one is read while another waits for Postgres.
const AT_ONCE: usize = 2;
/// How long a batch waits to grow after its first frame: a transaction costs the same for one call and
/// for hundreds.
const LINGER: Duration = Duration::from_millis(100);
/// A frame that comes for the third time is looked at alone: it may be what kills the process.
const ALONE_FROM: i64 = 3;

/// Runs one batch handler.
pub(super) struct BatchRunner<B> {
    handler: Arc<B>,
    shared: Arc<Shared>,
    state: Arc<ConsumerState>,
}

/// Messages that were asked for, as they come.
type Pull = Fuse<Batch>;

/// Frames in hand, and what tells the broker about each.
struct InHand<F> {
    frames: Vec<F>,
    deliveries: Vec<Delivery>,
}

impl<B> Clone for BatchRunner<B> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            shared: Arc::clone(&self.shared),
            state: Arc::clone(&self.state),
        }
    }
}

impl<B: BatchHandler> BatchRunner<B> {
    pub(super) fn new(handler: B, shared: Arc<Shared>, state: Arc<ConsumerState>) -> Self {
        Self {
            handler: Arc::new(handler),
            shared,
            state,
        }
    }

    /// Until the stop has begun and every frame in hand is answered.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let (shared, stream) = (&*self.shared, stream_of::<B>());
        while let Some(source) = Source::open(shared, stream, B::NAME, &shutdown).await {
            self.state.set_open(true);
            let counting = source.count_pending();
            let lost = tokio::select! {
                lost = self.pull(&source, &shutdown) => lost,
                never = counting => match never {},
            };
            self.state.set_open(false);
            if let Err(error) = lost {
                let error = format!("{error:#}");
                tracing::warn!(handler = B::NAME, error, "lost the consumer");
                pause_before_reopening(&shutdown).await;
            }
        }
    }

    /// Pulls until the stop (`Ok`) or until the consumer is lost, and settles everything in hand.
    async fn pull(&self, source: &Arc<Source>, shutdown: &Shutdown) -> anyhow::Result<()> {
        let mut settling = JoinSet::new();
        let lost = self.pull_into(&mut settling, source, shutdown).await;
        while let Some(settled) = settling.join_next().await {
            settled?;
        }
        lost
    }

    /// While batches are handled, the next frames of the pull arrive.
    async fn pull_into(
        &self,
        settling: &mut JoinSet<()>,
        source: &Arc<Source>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = shutdown.soft().cancelled() => return Ok(()),
                () = self.shared.dependencies.reachable() => {}
            }
            let mut pull = open(source).await?;
            while let Some(in_hand) = self.gather(&mut pull, source, shutdown).await? {
                let (runner, source, shutdown) =
                    (self.clone(), Arc::clone(source), shutdown.clone());
                settling.spawn(async move { runner.settle(in_hand, &source, &shutdown).await });
                while let Some(settled) = settling.try_join_next() {
                    settled?;
                }
                if settling.len() >= AT_ONCE
                    && let Some(settled) = settling.join_next().await
                {
                    settled?;
                }
            }
        }
    }

    /// The next frames; `None` when a pull brought none.
    async fn gather(
        &self,
        pull: &mut Pull,
        source: &Source,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Option<InHand<B::Consumes>>> {
        let mut in_hand = InHand {
            frames: Vec::new(),
            deliveries: Vec::new(),
        };
        let mut bytes = 0;
        let mut until = None;
        while bytes < MAX_BYTES {
            let next = async {
                match until {
                    None => {
                        let lost = PULL_LIFETIME + PULL_LATENESS;
                        timeout(lost, pull.next()).await.ok()
                    }
                    Some(until) => timeout_at(until, pull.next()).await.ok(),
                }
            };
            let next = tokio::select! {
                next = next => next,
                // What has arrived is taken, to be handled or handed back properly.
                () = shutdown.soft().cancelled() => pull.next().now_or_never(),
            };
            let message = match next {
                Some(Some(message)) => message.map_err(anyhow::Error::from_boxed)?,
                // The end of the pull is not that of the batch.
                Some(None)
                    if until.is_some_and(|until| tokio::time::Instant::now() < until)
                        && !shutdown.soft().is_cancelled() =>
                {
                    *pull = open(source).await?;
                    continue;
                }
                // No more for now.
                Some(None) | None => break,
            };
            let delivery = Delivery::take(message, source.ack_wait, source.stream_created)
                .map_err(anyhow::Error::from_boxed)?;
            metrics::pending(B::NAME, delivery.pending);
            let frame = B::Consumes::read(&delivery.received());
            let (Ok(frame), true) = (frame, delivery.delivered < ALONE_FROM) else {
                self.settle_alone(delivery, source, shutdown).await;
                continue;
            };
            until.get_or_insert_with(|| tokio::time::Instant::now() + LINGER);
            bytes += frame.data().len();
            in_hand.frames.push(frame);
            in_hand.deliveries.push(delivery);
        }
        Ok((!in_hand.frames.is_empty()).then_some(in_hand))
    }

    /// Handles frames together, and acknowledges them.
    async fn settle(&self, in_hand: InHand<B::Consumes>, source: &Source, shutdown: &Shutdown) {
        let began = Instant::now();
        let context = Context {
            bus: self.shared.bus.clone(),
            source: Arc::clone(&self.shared.source),
            trace: TraceContext::start(),
            redrive: 0,
            stopping: shutdown.soft().clone(),
        };
        let InHand { frames, deliveries } = in_hand;
        let handled = tokio::select! {
            biased;
            handled = self.handle(&frames, &context) => handled,
            // Not answered, they come again after `ack_wait`.
            () = shutdown.hard().cancelled() => return,
        };
        metrics::took(B::NAME, began.elapsed());
        let refused = match handled {
            Ok(refused) => refused,
            Err(failure) => {
                let error = failure.detail();
                tracing::warn!(
                    handler = B::NAME,
                    frames = frames.len(),
                    error,
                    "batch is taken apart"
                );
                return self.settle_each(deliveries, source, shutdown).await;
            }
        };
        for refused in &refused {
            let of = |delivery: &&Delivery| delivery.stream_sequence == refused.stream_sequence;
            let Some(delivery) = deliveries.iter().find(of) else {
                continue;
            };
            let origin = Origin::of(stream_of::<B>(), &delivery.received());
            if let Err(error) = origin.give_up(B::NAME, refused, &context).await {
                // Everything is committed; the frames come again and find that.
                tracing::warn!(%error, "a record was not given up yet");
                return;
            }
        }
        for delivery in deliveries {
            metrics::handled(B::NAME);
            delivery.ack_unconfirmed().await;
        }
    }

    /// Runs the handler. What an unreachable dependency causes is not its failure: the frames stay in
    /// hand, and run again when everything answers.
    async fn handle(
        &self,
        frames: &[B::Consumes],
        context: &Context,
    ) -> Result<Vec<super::Refused>, Failure> {
        loop {
            self.shared.dependencies.reachable().await;
            let _turn = self.shared.gate.read().await;
            let run = std::panic::AssertUnwindSafe(self.handler.handle(frames, context));
            let handled = run.catch_unwind().await;
            let handled = handled.unwrap_or_else(|_| Err(anyhow::anyhow!("panicked").into()));
            let Err(Failure::Retry(error)) = handled else {
                return handled;
            };
            if !self.shared.dependencies.are_down().await {
                return Err(Failure::Retry(error));
            }
            let error = chain(error.as_ref());
            tracing::warn!(handler = B::NAME, error, "waits for what it depends on");
        }
    }

    async fn settle_each(&self, deliveries: Vec<Delivery>, source: &Source, shutdown: &Shutdown) {
        for delivery in deliveries {
            self.settle_alone(delivery, source, shutdown).await;
        }
    }

    /// Handles one frame as any message is, with its failures counted.
    async fn settle_alone(&self, delivery: Delivery, source: &Source, shutdown: &Shutdown) {
        let alone = Alone {
            handler: Arc::clone(&self.handler),
            origin: Origin::of(stream_of::<B>(), &delivery.received()),
        };
        let settling = Settling::new(
            Arc::new(alone),
            Arc::clone(&self.shared),
            shutdown.clone(),
            source.stream_created,
            delivery,
        );
        settling.settle().await;
    }
}

async fn open(source: &Source) -> anyhow::Result<Pull> {
    let pull = source
        .consumer
        .batch()
        .max_messages(MAX_FRAMES)
        .expires(PULL_LIFETIME);
    Ok(pull.messages().await?.fuse())
}

const fn stream_of<B: BatchHandler>() -> &'static str {
    <B::Consumes as Incoming>::STREAM
}
