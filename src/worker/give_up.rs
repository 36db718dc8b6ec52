//! The end of a message that will not be tried again: failure fact, dead letter, termination.

use std::time::Duration;

use anyhow::Context as _;

use super::attempt::Report;
use super::context::publish;
use super::dead_letter::Death;
use super::handler::Handler;
use super::metrics;
use super::process::stream_of;
use super::settle::{Answer, Settling, unsettled};
use super::verdict::{Class, Counts, History};
use crate::bus;
use crate::db::timeline::{self, RecordError};
use crate::events::{Fact, Publishes};

/// What the desk's own handler cannot do has nowhere further to go.
const NOWHERE_TO_GO_DELAY: Duration = Duration::from_hours(1);

impl<H: Handler> Settling<H> {
    /// Commits the failure fact, publishes it, and hands the message to the desk.
    pub(super) async fn give_up(
        &self,
        class: Class,
        report: Report,
        message: Option<H::Consumes>,
        history: &History,
    ) -> Answer {
        if stream_of::<H>() == bus::DEAD {
            tracing::error!(%class, error = report.detail, "a dead letter cannot be filed");
            return Answer::Nak {
                delay: NOWHERE_TO_GO_DELAY,
                counts: Counts::Nothing,
            };
        }
        let reason = report.reason.unwrap_or_else(|| H::GAVE_UP.to_owned());
        let sentence = reason.clone();
        let fact = message
            .and_then(|message| self.handler.failed(&message, self.redrive(), reason))
            .map(Publishes::into_fact);
        let death = Death {
            handler: H::NAME,
            class,
            detail: &report.detail,
            attempts: history
                .retries
                .saturating_add(u32::from(class != Class::Crashed)),
            stream: stream_of::<H>(),
            stream_created: self.ledger.key.stream_created_at,
            stream_sequence: self.delivery.stream_sequence,
            line: 0,
            trace: self.trace,
        };
        match self.bury(fact, &death).await {
            Ok(()) => {
                // The detail is in the dead letter only: a vendor may repeat what was said.
                tracing::error!(%class, reason = sentence, "given up");
                metrics::failed(H::NAME, class);
                Answer::Term
            }
            Err(error) => {
                tracing::warn!(%class, error = format!("{error:#}"), "was not given up yet");
                unsettled(&self.limits)
            }
        }
    }

    async fn bury(&self, fact: Option<Fact>, death: &Death<'_>) -> anyhow::Result<()> {
        if let Some(fact) = fact {
            let recorded = self.persist(|| self.record_failure(&fact)).await;
            if recorded.context("the failure fact was not recorded")? {
                publish(&self.shared.bus, &fact, &self.shared.source, self.trace).await?;
            }
        }
        death
            .publish(&self.shared.bus, &self.delivery.received())
            .await?;
        Ok(())
    }

    /// Whether there was a session to record it on.
    async fn record_failure(&self, fact: &Fact) -> Result<bool, RecordError> {
        let mut tx = self.shared.db.begin(self.shared.principal).await?;
        let Some(session) = timeline::lock(&mut tx, fact.session_id()).await? else {
            return Ok(false);
        };
        timeline::record(&mut tx, &session, std::slice::from_ref(fact)).await?;
        tx.commit().await?;
        Ok(true)
    }
}
