//! One run of a handler, and how it ended.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::context::Context;
use super::handler::{Failure, Handler};
use super::verdict::{Class, Outcome};
use crate::events::{DecodeError, Fact, Publishes};
use crate::telemetry::chain;

/// How a run ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// What follows, when it is done.
    pub(super) facts: Vec<Fact>,
    /// A sentence for the person who waits, where the handler has one.
    pub(super) reason: Option<String>,
    /// For logs and the desk.
    pub(super) detail: String,
}

impl Report {
    pub(super) fn of(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            facts: Vec::new(),
            reason: None,
            detail: detail.into(),
        }
    }

    pub(super) fn stopped() -> Self {
        Self::of(Outcome::Stopped, "the process stops")
    }

    /// A message that the handler cannot read.
    pub(super) fn unreadable(error: &DecodeError) -> Self {
        let outcome = match error {
            DecodeError::NewerVersion { .. } => Outcome::NewerVersion,
            _ => Outcome::Undecodable,
        };
        Self::of(outcome, chain(error))
    }

    /// A message that is given up for what happened before.
    pub(super) fn without_run(class: Class) -> Self {
        let detail = match class {
            Class::Crashed => "every process that ran it alone died",
            _ => "the retries were used up before",
        };
        Self::of(Outcome::Retry, detail)
    }
}

/// Runs the handler once. A panic ends the run, not the process.
pub(super) async fn attempt<H: Handler>(
    handler: &H,
    message: &H::Consumes,
    context: &Context,
) -> Report {
    // In a box, because the layout of futures this deep is more than the compiler computes.
    let run = Box::pin(async { handler.handle(message.clone(), context).await });
    let run = AssertUnwindSafe(run);
    match run.catch_unwind().await {
        Ok(Ok(published)) => Report {
            facts: published.into_iter().map(Publishes::into_fact).collect(),
            ..Report::of(Outcome::Done, "done")
        },
        // What a panic says may quote the text it stumbled over.
        Err(_) => Report::of(Outcome::Panicked, "panicked"),
        Ok(Err(failure)) => {
            let detail = failure.detail();
            match failure {
                Failure::Reject { reason, .. } => Report {
                    reason: Some(reason),
                    ..Report::of(Outcome::Rejected, detail)
                },
                _ if context.stopping().is_cancelled() => Report::stopped(),
                Failure::Retry(_) => Report::of(Outcome::Retry, detail),
                Failure::NotYet(delay) => Report::of(Outcome::NotYet(delay), detail),
            }
        }
    }
}
