//! What a worker is made of: a [`Handler`] for one kind of message.

use std::future::Future;
use std::time::Duration;

use super::context::Context;
use super::incoming::Incoming;
use crate::events::Publishes;
use crate::telemetry::chain;

/// Handles one kind of message.
///
/// A handler never acknowledges. It makes its effects, in one transaction that also holds what makes
/// them unique, and returns the facts that follow; the runtime publishes them and then acknowledges. A
/// message may come again after any of these steps, so "already done" returns the same facts as the
/// first time.
pub trait Handler: Send + Sync + 'static {
    /// Verb and object, for example `store-recording`: the name of its consumer in `nats/consumers/`.
    const NAME: &'static str;

    /// So many counted failures ([`Failure::Retry`], panics) and it is given up.
    const ATTEMPTS: u32 = 8;

    /// A message that is [`Failure::NotYet`] for this long is given up.
    const NOT_YET_DEADLINE: Duration = Duration::from_hours(24);

    /// What a person reads when the retries are used up: one sentence without internals.
    const GAVE_UP: &'static str;

    type Consumes: Incoming;

    /// The facts that follow; [`Infallible`](std::convert::Infallible) when there are none.
    type Publishes: Publishes;

    /// The fact that says that the stage failed for good; `Infallible` when there is none.
    type Fails: Publishes;

    fn handle(
        &self,
        message: Self::Consumes,
        context: &Context,
    ) -> impl Future<Output = Result<Vec<Self::Publishes>, Failure>> + Send;

    /// The fact to record when `message` is given up. `redrive` counts its redrives, `reason` is a
    /// sentence for the person who waits.
    fn failed(&self, message: &Self::Consumes, redrive: u32, reason: String)
    -> Option<Self::Fails>;
}

/// Why a message is not done. `?` on any error is a [`Failure::Retry`]; what is permanent is written
/// out.
#[derive(Debug)]
pub enum Failure {
    /// It may work later: tried again with growing delays, [`Handler::ATTEMPTS`] times in all. While a
    /// dependency of the worker is unreachable it does not count.
    Retry(anyhow::Error),
    /// Nothing is wrong, it is only too early: tried again after the delay, and not counted.
    NotYet(Duration),
    /// It can never work: given up at once.
    Reject {
        /// A sentence for the person who waits.
        reason: String,
        /// What an operator should know beyond the sentence.
        source: Option<anyhow::Error>,
    },
}

impl Failure {
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject {
            reason: reason.into(),
            source: None,
        }
    }

    pub fn reject_because(reason: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self::Reject {
            reason: reason.into(),
            source: Some(source.into()),
        }
    }

    /// For logs and the desk.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Retry(error) => chain(error.as_ref()),
            Self::NotYet(_) => "not yet".to_owned(),
            Self::Reject {
                reason,
                source: None,
            } => reason.clone(),
            Self::Reject {
                reason,
                source: Some(error),
            } => format!("{reason}: {}", chain(error.as_ref())),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_means_retry() {
        fn read() -> Result<u8, Failure> {
            Ok("many".parse::<u8>()?)
        }
        assert!(
            matches!(read(), Err(Failure::Retry(error)) if error.to_string().contains("digit"))
        );
    }
}
