//! One run of a handler, and how it ended.

use std::error::Error;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::context::Context;
use super::handler::{Failure, Handler};
use super::verdict::{Class, Outcome};
use crate::events::{DecodeError, Fact, Publishes};

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
    let run = AssertUnwindSafe(async { handler.handle(message.clone(), context).await });
    match run.catch_unwind().await {
        Ok(Ok(published)) => Report {
            facts: published.into_iter().map(Publishes::into_fact).collect(),
            ..Report::of(Outcome::Done, "done")
        },
        Ok(Err(Failure::Reject { reason, source })) => {
            let detail = source.map_or_else(
                || reason.clone(),
                |e| format!("{reason}: {}", chain(e.as_ref())),
            );
            Report {
                reason: Some(reason),
                ..Report::of(Outcome::Rejected, detail)
            }
        }
        // What a panic says may quote the text it stumbled over.
        Err(_) => Report::of(Outcome::Panicked, "panicked"),
        Ok(Err(_)) if context.stopping().is_cancelled() => Report::stopped(),
        Ok(Err(Failure::Retry(error))) => Report::of(Outcome::Retry, chain(error.as_ref())),
        Ok(Err(Failure::NotYet(delay))) => Report::of(Outcome::NotYet(delay), "not yet"),
    }
}

/// An error and what caused it, on one line. Of those that quote the value they could not take, which
/// may be what somebody said, only kind and position are told.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = without_values(error);
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&without_values(error));
        source = error.source();
    }
    text
}

fn without_values(error: &(dyn Error + 'static)) -> String {
    if let Some(json) = error.downcast_ref::<serde_json::Error>() {
        let (line, column) = (json.line(), json.column());
        return format!("json: {:?}, line {line} column {column}", json.classify());
    }
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Decode(_)) => return "a row cannot be decoded".to_owned(),
        Some(sqlx::Error::ColumnDecode { index, .. }) => {
            return format!("column {index} cannot be decoded");
        }
        _ => {}
    }
    if error.is::<tokio::task::JoinError>() {
        return "a task panicked or was cancelled".to_owned();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_repeat_what_was_said() {
        let json = serde_json::from_str::<u8>("\"my knee hurts\"").unwrap_err();
        let error = sqlx::Error::Decode(Box::new(json));
        let text = chain(anyhow::Error::from(error).context("transcript").as_ref());
        assert!(!text.contains("knee"), "{text}");
        assert!(text.contains("line 1"), "{text}");
    }

    #[tokio::test]
    async fn a_panic_of_a_task_does_not_repeat_what_was_said() {
        let task = tokio::task::spawn_blocking(|| panic!("my knee hurts"));
        let error = task.await.map(|()| ()).unwrap_err();
        assert!(!chain(&error).contains("knee"));
    }
}
