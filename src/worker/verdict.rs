//! The policy: what becomes of a message, as pure functions.
//!
//! `delivered` of the server counts every delivery, also after a stop or an early "not yet", so it is
//! no count of attempts. What went wrong is counted in Postgres ([`History`]); a delivery that nothing
//! there explains means that a process died with the message in hand.

use std::fmt;
use std::time::Duration;

/// From so many unexplained deliveries on, a message runs alone in its process.
const ALONE_FROM: u64 = 2;
/// So many deaths alone, and the message is what kills.
const DEATHS_ALONE: u32 = 3;

/// The first delay after a counted failure; each further one is three times as long.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_mins(5);
/// A version that this program does not know waits for the rest of the deployment.
const NEWER_VERSION_DELAY: Duration = Duration::from_secs(30);
/// The broker or the database did not take the result.
const UNSETTLED_DELAY: Duration = Duration::from_secs(10);

/// What is known of earlier deliveries of a message to a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Which delivery this is, from 1.
    pub delivered: u64,
    /// The last delivery that ended in a way that was recorded; 0 when none did.
    pub explained_through: u64,
    /// Counted failures before this delivery.
    pub retries: u32,
    /// How long it has been too early; `None` when it never was.
    pub waiting: Option<Duration>,
    /// Runs alone that were begun since the last recorded end.
    pub alone_runs: u32,
}

impl History {
    /// Earlier deliveries since the last recorded end that nothing explains.
    fn unexplained(&self) -> u64 {
        self.delivered
            .saturating_sub(1)
            .saturating_sub(self.explained_through)
    }
}

/// The limits of a handler.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub attempts: u32,
    pub not_yet_deadline: Duration,
}

/// How a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Beside others.
    Together,
    /// With nothing else in the process, and recorded before: if the process dies, it was this one.
    Alone,
    GiveUp(Class),
}

/// How the handling of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Retry,
    Panicked,
    NotYet(Duration),
    Rejected,
    /// The message is not what the handler consumes.
    Undecodable,
    NewerVersion,
    /// The process stops.
    Stopped,
    /// The result could not be handed over to the broker or the database.
    Unsettled,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ack,
    /// Back to the broker, to be delivered again after the delay.
    Nak {
        delay: Duration,
        counts: Counts,
    },
    GiveUp(Class),
}

/// What a message that goes back is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    Retry,
    NotYet,
    /// Explained, and nobody's fault.
    Nothing,
}

/// Why a message is given up; the class of its dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The handler said that it can never work.
    Rejected,
    /// The retries are used up.
    Exhausted,
    /// The retries are used up, and the last one panicked.
    Panicked,
    /// It was too early until the deadline.
    Deadline,
    Undecodable,
    /// No program that knows the version came until the deadline.
    NewerVersion,
    /// It killed its process.
    Crashed,
}

impl Class {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Panicked => "panicked",
            Self::Deadline => "deadline",
            Self::Undecodable => "undecodable",
            Self::NewerVersion => "newer_version",
            Self::Crashed => "crashed",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a delivery begins.
pub fn start(history: &History, limits: &Limits) -> Start {
    if history.alone_runs >= DEATHS_ALONE {
        Start::GiveUp(Class::Crashed)
    } else if history.retries >= limits.attempts {
        // It was to be given up already, and the dead letter did not arrive.
        Start::GiveUp(Class::Exhausted)
    } else if history.unexplained() >= ALONE_FROM {
        Start::Alone
    } else {
        Start::Together
    }
}

/// What becomes of a message after `outcome`. `jitter` is random in `0.0..1.0`, so that messages that
/// failed together do not come back together.
pub fn verdict(outcome: Outcome, history: &History, limits: &Limits, jitter: f64) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Ack,
        Outcome::Rejected => Verdict::GiveUp(Class::Rejected),
        Outcome::Undecodable => Verdict::GiveUp(Class::Undecodable),
        Outcome::Retry => again(Class::Exhausted, history, limits, jitter),
        Outcome::Panicked => again(Class::Panicked, history, limits, jitter),
        Outcome::NotYet(delay) => wait(delay, Class::Deadline, history, limits),
        Outcome::NewerVersion => wait(NEWER_VERSION_DELAY, Class::NewerVersion, history, limits),
        Outcome::Stopped => Verdict::Nak {
            delay: Duration::ZERO,
            counts: Counts::Nothing,
        },
        Outcome::Unsettled => Verdict::Nak {
            delay: UNSETTLED_DELAY,
            counts: Counts::Nothing,
        },
    }
}

fn again(class: Class, history: &History, limits: &Limits, jitter: f64) -> Verdict {
    if history.retries.saturating_add(1) >= limits.attempts {
        return Verdict::GiveUp(class);
    }
    let longest = 3_u32
        .checked_pow(history.retries)
        .and_then(|factor| FIRST_DELAY.checked_mul(factor))
        .map_or(LONGEST_DELAY, |delay| delay.min(LONGEST_DELAY));
    let delay = longest.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    Verdict::Nak {
        delay,
        counts: Counts::Retry,
    }
}

fn wait(delay: Duration, class: Class, history: &History, limits: &Limits) -> Verdict {
    match history.waiting {
        Some(waited) if waited >= limits.not_yet_deadline => Verdict::GiveUp(class),
        _ => Verdict::Nak {
            delay,
            counts: Counts::NotYet,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        attempts: 8,
        not_yet_deadline: Duration::from_mins(1),
    };

    fn after(retries: u32) -> History {
        History {
            delivered: 1,
            retries,
            ..History::default()
        }
    }

    #[test]
    fn what_is_settled_is_settled_whatever_came_before() {
        for retries in [0, 7, u32::MAX] {
            let of = |outcome| verdict(outcome, &after(retries), &LIMITS, 0.5);
            assert_eq!(of(Outcome::Done), Verdict::Ack);
            assert_eq!(of(Outcome::Rejected), Verdict::GiveUp(Class::Rejected));
            assert_eq!(
                of(Outcome::Undecodable),
                Verdict::GiveUp(Class::Undecodable)
            );
        }
    }

    #[test]
    fn delays_grow_to_a_bound_and_then_it_is_given_up() {
        let delay =
            |retries, jitter| match verdict(Outcome::Retry, &after(retries), &LIMITS, jitter) {
                Verdict::Nak {
                    delay,
                    counts: Counts::Retry,
                } => delay,
                other => panic!("{other:?}"),
            };
        let longest: Vec<_> = (0..7).map(|n| delay(n, 1.0).as_millis()).collect();
        assert_eq!(
            longest,
            [500, 1_500, 4_500, 13_500, 40_500, 121_500, 300_000]
        );
        for n in 0..7 {
            assert_eq!(
                delay(n, 0.0) * 2,
                delay(n, 1.0),
                "jitter takes off up to a half"
            );
        }
        for retries in [7, 8, u32::MAX] {
            let of = |outcome| verdict(outcome, &after(retries), &LIMITS, 0.0);
            assert_eq!(of(Outcome::Retry), Verdict::GiveUp(Class::Exhausted));
            assert_eq!(of(Outcome::Panicked), Verdict::GiveUp(Class::Panicked));
        }
        let patient = Limits {
            attempts: u32::MAX,
            ..LIMITS
        };
        let after_long = verdict(Outcome::Retry, &after(1_000_000), &patient, 1.0);
        assert_eq!(
            after_long,
            Verdict::Nak {
                delay: LONGEST_DELAY,
                counts: Counts::Retry
            }
        );
    }

    #[test]
    fn a_single_attempt_is_given_up_at_once() {
        let once = Limits {
            attempts: 1,
            ..LIMITS
        };
        assert_eq!(
            verdict(Outcome::Retry, &after(0), &once, 0.5),
            Verdict::GiveUp(Class::Exhausted)
        );
    }

    #[test]
    fn waiting_has_a_deadline_and_no_count() {
        let waited = |seconds| History {
            waiting: Some(Duration::from_secs(seconds)),
            ..after(99)
        };
        let delay = Duration::from_secs(7);
        let wait = Verdict::Nak {
            delay,
            counts: Counts::NotYet,
        };
        assert_eq!(
            verdict(Outcome::NotYet(delay), &after(99), &LIMITS, 0.5),
            wait
        );
        assert_eq!(
            verdict(Outcome::NotYet(delay), &waited(59), &LIMITS, 0.5),
            wait
        );
        let late = verdict(Outcome::NotYet(delay), &waited(60), &LIMITS, 0.5);
        assert_eq!(late, Verdict::GiveUp(Class::Deadline));
        let newer = |history| verdict(Outcome::NewerVersion, &history, &LIMITS, 0.5);
        let wait = Verdict::Nak {
            delay: NEWER_VERSION_DELAY,
            counts: Counts::NotYet,
        };
        assert_eq!(newer(after(99)), wait);
        assert_eq!(newer(waited(60)), Verdict::GiveUp(Class::NewerVersion));
    }

    #[test]
    fn nobodys_fault_is_never_counted() {
        for history in [
            after(0),
            after(u32::MAX),
            History {
                alone_runs: 9,
                ..after(0)
            },
        ] {
            for outcome in [Outcome::Stopped, Outcome::Unsettled] {
                let verdict = verdict(outcome, &history, &LIMITS, 0.5);
                assert!(
                    matches!(
                        verdict,
                        Verdict::Nak {
                            counts: Counts::Nothing,
                            ..
                        }
                    ),
                    "{verdict:?}"
                );
            }
        }
    }

    #[test]
    fn a_message_that_kills_runs_alone_and_is_given_up() {
        let at = |delivered, explained_through, alone_runs| {
            start(
                &History {
                    delivered,
                    explained_through,
                    alone_runs,
                    ..History::default()
                },
                &LIMITS,
            )
        };
        assert_eq!(at(1, 0, 0), Start::Together);
        assert_eq!(at(2, 0, 0), Start::Together);
        assert_eq!(at(3, 0, 0), Start::Alone);
        assert_eq!(at(4, 0, 1), Start::Alone);
        assert_eq!(at(5, 0, 2), Start::Alone);
        assert_eq!(at(6, 0, 3), Start::GiveUp(Class::Crashed));
        // What was recorded explains what came before it.
        assert_eq!(at(9, 8, 0), Start::Together);
        assert_eq!(at(9, 7, 0), Start::Together);
        assert_eq!(at(9, 6, 0), Start::Alone);
        // A stale process may record a later delivery than this one.
        assert_eq!(at(2, 9, 0), Start::Together);
    }

    #[test]
    fn a_message_past_its_retries_is_given_up_without_running() {
        assert_eq!(start(&after(8), &LIMITS), Start::GiveUp(Class::Exhausted));
        assert_eq!(start(&after(7), &LIMITS), Start::Together);
    }
}
