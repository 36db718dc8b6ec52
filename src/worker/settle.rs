//! One message from its delivery to its answer: run, publish, acknowledge.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};
use tracing::Instrument;

use super::attempt::{Report, attempt};
use super::context::{Context, publish};
use super::delivery::Delivery;
use super::failures::Ledger;
use super::handler::Handler;
use super::incoming::Incoming;
use super::metrics;
use super::process::Shared;
use super::verdict::{self, Counts, History, Limits, Outcome, Start, Verdict};
use crate::db::deliveries::Key;
use crate::events::Fact;
use crate::lifecycle::Shutdown;
use crate::telemetry::{TraceContext, chain};

/// An access to Postgres that fails though Postgres answers is tried this often.
const ACCESSES: u32 = 3;
/// At the hard limit of a stop there is no time to wait for Postgres.
const LAST_RECORD_LIMIT: Duration = Duration::from_secs(2);

/// A message in hand.
pub(super) struct Settling<H> {
    pub(super) handler: Arc<H>,
    pub(super) shared: Arc<Shared>,
    pub(super) shutdown: Shutdown,
    pub(super) delivery: Delivery,
    pub(super) ledger: Ledger,
    pub(super) limits: Limits,
    pub(super) trace: TraceContext,
}

/// What to tell the broker.
pub(super) enum Answer {
    Ack,
    Nak { delay: Duration, counts: Counts },
    Term,
}

/// The right to run, beside others or alone in the process.
#[derive(Debug)]
enum Turn<'a> {
    #[expect(dead_code, reason = "held, not read")]
    Together(RwLockReadGuard<'a, ()>),
    #[expect(dead_code, reason = "held, not read")]
    Alone(RwLockWriteGuard<'a, ()>),
}

impl<H: Handler> Settling<H> {
    pub(super) fn new(
        handler: Arc<H>,
        shared: Arc<Shared>,
        shutdown: Shutdown,
        stream_created: Timestamp,
        delivery: Delivery,
    ) -> Self {
        let key = Key {
            handler: H::NAME,
            stream_created_at: stream_created,
            stream_sequence: delivery.stream_sequence,
        };
        let delivered = delivery.delivered;
        let ledger = Ledger {
            db: shared.db.clone(),
            principal: shared.principal,
            key,
            delivered,
        };
        let trace = TraceContext::following(delivery.received().header("traceparent"));
        let limits = Limits {
            attempts: H::ATTEMPTS,
            not_yet_deadline: H::NOT_YET_DEADLINE,
        };
        Self {
            handler,
            shared,
            shutdown,
            delivery,
            ledger,
            limits,
            trace,
        }
    }

    /// Handles the message and answers the broker.
    pub(super) async fn settle(self) {
        let span = tracing::info_span!(
            "message",
            handler = H::NAME,
            event = self.delivery.received().header("ce-id"),
            session = tracing::field::Empty,
            trace = self.trace.trace_id(),
            sequence = self.delivery.stream_sequence,
            delivered = self.delivery.delivered,
        );
        self.work_and_answer().instrument(span).await;
    }

    async fn work_and_answer(self) {
        let began = Instant::now();
        let hard = self.shutdown.hard().clone();
        let answer = tokio::select! {
            biased;
            answer = self.work() => answer,
            () = hard.cancelled() => {
                tracing::info!("goes back: the process stops");
                Answer::Nak { delay: Duration::ZERO, counts: Counts::Nothing }
            }
        };
        metrics::took(H::NAME, began.elapsed());
        match answer {
            Answer::Ack => {
                metrics::handled(H::NAME);
                self.delivery.ack().await;
                forget(&self.ledger).await;
            }
            Answer::Nak { delay, counts } => {
                metrics::returned(H::NAME);
                self.record_end(counts).await;
                self.delivery.nak(delay).await;
            }
            Answer::Term => {
                self.delivery.term().await;
                forget(&self.ledger).await;
            }
        }
    }

    /// Everything but the answer. It may be dropped at any point: each step can be repeated.
    async fn work(&self) -> Answer {
        let Some(history) = self.persist(|| self.ledger.history()).await else {
            return unsettled(&self.limits);
        };
        let message = H::Consumes::read(&self.delivery.received());
        if let Some(session) = message.as_ref().ok().and_then(Incoming::session_id) {
            tracing::Span::current().record("session", tracing::field::display(session));
        }
        let report = match (verdict::start(&history, &self.limits), &message) {
            (Start::GiveUp(class), _) => {
                let report = Report::without_run(class);
                return self.give_up(class, report, message.ok(), &history).await;
            }
            (start, Ok(message)) => self.run(message, start == Start::Alone).await,
            (_, Err(error)) => Report::unreadable(error),
        };
        match verdict::verdict(report.outcome, &history, &self.limits, rand::random()) {
            Verdict::Ack => self.finish(&report.facts).await,
            Verdict::GiveUp(class) => self.give_up(class, report, message.ok(), &history).await,
            Verdict::Nak { delay, counts } => {
                let (outcome, delay_ms) = (report.outcome, delay.as_millis());
                if counts == Counts::Retry {
                    tracing::warn!(delay_ms, error = report.detail, "tried again later");
                } else {
                    tracing::info!(?outcome, delay_ms, detail = report.detail, "goes back");
                }
                Answer::Nak { delay, counts }
            }
        }
    }

    /// Runs the handler. What an unreachable dependency causes is not its failure: the message stays
    /// in hand, and runs again when everything answers.
    async fn run(&self, message: &H::Consumes, alone: bool) -> Report {
        let context = Context {
            bus: self.shared.bus.clone(),
            source: Arc::clone(&self.shared.source),
            trace: self.trace,
            redrive: self.redrive(),
            stopping: self.shutdown.soft().clone(),
        };
        let mut recorded = false;
        loop {
            let Some(_turn) = self.turn(alone).await else {
                return Report::stopped();
            };
            if alone && !recorded {
                if self.persist(|| self.ledger.begin_alone()).await.is_none() {
                    return Report::of(Outcome::Unsettled, "a run alone was not recorded");
                }
                recorded = true;
            }
            let report = attempt(&*self.handler, message, &context).await;
            if report.outcome != Outcome::Retry || !self.shared.dependencies.are_down().await {
                return report;
            }
            tracing::warn!(error = report.detail, "waits for what it depends on");
        }
    }

    /// Waits until the message may run; `None` when the process stops first.
    async fn turn(&self, alone: bool) -> Option<Turn<'_>> {
        let turn = async {
            self.shared.dependencies.reachable().await;
            if alone {
                Turn::Alone(self.shared.gate.write().await)
            } else {
                Turn::Together(self.shared.gate.read().await)
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.soft().cancelled() => None,
            turn = turn => Some(turn),
        }
    }

    /// The handler's effects are committed: publishes what follows, in its order.
    async fn finish(&self, facts: &[Fact]) -> Answer {
        for fact in facts {
            let published = publish(&self.shared.bus, fact, &self.shared.source, self.trace).await;
            if let Err(error) = published {
                tracing::warn!(error = chain(&error), "what follows was not published");
                return unsettled(&self.limits);
            }
        }
        tracing::info!(published = facts.len(), "done");
        Answer::Ack
    }

    /// Accesses Postgres for the runtime itself, waiting while it is down. `None` when it fails all
    /// the same, or when the process stops first.
    pub(super) async fn persist<T, E, F>(&self, access: impl Fn() -> F) -> Option<T>
    where
        E: std::error::Error + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let mut failed = 0;
        loop {
            let error = match access().await {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            if self.shared.dependencies.are_down().await {
                tokio::select! {
                    () = self.shutdown.soft().cancelled() => return None,
                    () = self.shared.dependencies.reachable() => {}
                }
                continue;
            }
            failed += 1;
            if failed == ACCESSES {
                tracing::error!(error = chain(&error), "the runtime's record failed");
                return None;
            }
        }
    }

    async fn record_end(&self, counts: Counts) {
        let record = self.persist(|| self.ledger.end(counts));
        if self.shutdown.hard().is_cancelled() {
            let _ = tokio::time::timeout(LAST_RECORD_LIMIT, record).await;
        } else {
            record.await;
        }
    }

    pub(super) fn redrive(&self) -> u32 {
        self.delivery
            .received()
            .envelope()
            .map_or(0, |envelope| envelope.redrive)
    }
}

pub(super) fn unsettled(limits: &Limits) -> Answer {
    match verdict::verdict(Outcome::Unsettled, &History::default(), limits, 0.0) {
        Verdict::Nak { delay, counts } => Answer::Nak { delay, counts },
        Verdict::Ack | Verdict::GiveUp(_) => Answer::Nak {
            delay: Duration::ZERO,
            counts: Counts::Nothing,
        },
    }
}

/// What is left behind when this fails is swept by maintenance.
async fn forget(ledger: &Ledger) {
    if ledger.delivered > 1
        && let Err(error) = ledger.forget().await
    {
        tracing::debug!(error = chain(&error), "a record stays behind");
    }
}
