//! What a call contributes to the rollups.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{AccountId, ClientId};

/// A call as far as it is counted. Everything here is kept in the row of the call, so that the same
/// contribution can be made again and taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    pub account_id: AccountId,
    pub client_id: ClientId,
    /// Where it counts.
    pub at: Timestamp,
    pub duration_ms: Option<i64>,
    /// A call without it is in no rate.
    pub success: Option<bool>,
    pub ended_reason: Option<EndedReason>,
    pub sentiment: Sentiment,
    pub latencies: Latencies,
}

/// Latencies of a call in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    pub stt_ms: Option<f64>,
    pub llm_ms: Option<f64>,
    pub tts_ms: Option<f64>,
}

impl Latencies {
    /// The sum, where all three are known.
    pub fn total_ms(&self) -> Option<f64> {
        Some(self.stt_ms? + self.llm_ms? + self.tts_ms?)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(stringify!($name), text.to_owned())),
                }
            }
        }
    };
}

/// A word that is none of a closed set.
#[derive(Debug, thiserror::Error)]
#[error("{1:?} is no {0}")]
pub struct UnknownWord(&'static str, String);

words! {
    /// How a caller felt.
    Sentiment {
        Positive = "positive",
        Neutral = "neutral",
        Negative = "negative",
        Mixed = "mixed",
        /// Nobody said, or in words that are none of the others.
        Unknown = "unknown",
    }
}

words! {
    /// How a call ended.
    EndedReason {
        CallerHangup = "caller_hangup",
        AgentHangup = "agent_hangup",
        Transferred = "transferred",
        Voicemail = "voicemail",
        NoAnswer = "no_answer",
        Busy = "busy",
        Timeout = "timeout",
        Error = "error",
        Other = "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_everywhere() {
        for reason in EndedReason::ALL {
            assert_eq!(reason.as_str().parse::<EndedReason>().unwrap(), *reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        for sentiment in Sentiment::ALL {
            assert_eq!(sentiment.as_str().parse::<Sentiment>().unwrap(), *sentiment);
            assert_eq!(serde_json::to_value(sentiment).unwrap(), sentiment.as_str());
        }
        assert!("hung_up".parse::<EndedReason>().is_err());
    }

    #[test]
    fn a_total_needs_all_three() {
        let latencies = Latencies {
            stt_ms: Some(1.5),
            llm_ms: Some(2.0),
            tts_ms: None,
        };
        assert_eq!(latencies.total_ms(), None);
        let whole = Latencies {
            tts_ms: Some(3.0),
            ..latencies
        };
        assert_eq!(whole.total_ms(), Some(6.5));
    }
}
