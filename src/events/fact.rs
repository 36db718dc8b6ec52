//! What makes a struct a fact, and the closed set of them.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    AnalysisCompleted, AnalysisFailed, AnalysisRequested, AnalysisSkipped, DecodeError, Envelope,
    ErasureRequested, Message, RecordingFailed, RecordingRequested, RecordingStored,
    RecordingTranscribed, RecordingUploaded, SessionCompleted, SessionCreated, SessionEnded,
    SessionStarted, StageRedriven, TranscriptCompleted, TranscriptProgressed, TranscriptionFailed,
    TranscriptionRequested, TranscriptionSkipped, TranscriptionStarted,
};
use crate::ids::{EventId, SessionId};

/// A fact about a session, as it travels on the stream EVENTS.
pub trait Event: Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// `<noun>.<verb>`, for example `recording.uploaded`; the middle of the subject.
    const TYPE: &'static str;
    /// The version of the body, from 1.
    const VERSION: u16 = 1;

    fn session_id(&self) -> SessionId;

    /// What tells this fact apart from others of its type.
    fn key(&self) -> String;

    fn event_id(&self) -> EventId {
        EventId::derived(Self::TYPE, &self.key())
    }

    fn subject(&self) -> String {
        format!("events.{}.{}", Self::TYPE, self.session_id())
    }

    /// Turns the body of an older `version` into this one.
    fn upgrade(version: u16, data: Value) -> Result<Self, DecodeError> {
        let _ = data;
        Err(DecodeError::UnknownVersion {
            event_type: Self::TYPE,
            version,
        })
    }

    /// Reads the fact from a message.
    fn decode(envelope: &Envelope, data: &[u8]) -> Result<Self, DecodeError> {
        if envelope.event_type != Self::TYPE {
            return Err(DecodeError::WrongType {
                expected: Self::TYPE,
                actual: envelope.event_type.clone(),
            });
        }
        let data = serde_json::from_slice(data).map_err(|source| DecodeError::Body {
            event_type: Self::TYPE,
            source,
        })?;
        decode_data(envelope.version, data)
    }
}

/// Reads a fact from its stored body and version.
pub fn decode_data<E: Event>(version: u16, data: Value) -> Result<E, DecodeError> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match version.cmp(&E::VERSION) {
        Equal => serde_json::from_value(data).map_err(|source| DecodeError::Body {
            event_type: E::TYPE,
            source,
        }),
        Less => E::upgrade(version, data),
        Greater => Err(DecodeError::NewerVersion {
            event_type: E::TYPE,
            version,
        }),
    }
}

/// What a handler publishes: one fact, an enum of facts ([`publishes!`](crate::publishes)), or
/// [`Nothing`](std::convert::Infallible).
pub trait Publishes: Send + 'static {
    /// The types of these facts, in flow order.
    const TYPES: &'static [&'static str];

    fn into_fact(self) -> Fact;
}

impl<E: Event + Into<Fact>> Publishes for E {
    const TYPES: &'static [&'static str] = &[E::TYPE];

    fn into_fact(self) -> Fact {
        self.into()
    }
}

/// For handlers that publish nothing.
impl Publishes for std::convert::Infallible {
    const TYPES: &'static [&'static str] = &[];

    fn into_fact(self) -> Fact {
        match self {}
    }
}

/// Defines the enum of facts that a handler publishes.
///
/// ```
/// aftercall::publishes! {
///     /// What follows when a recording is stored.
///     pub enum Published { RecordingStored, TranscriptionRequested }
/// }
/// ```
#[macro_export]
macro_rules! publishes {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($fact:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis enum $name { $($fact($crate::events::$fact)),+ }

        impl $crate::events::Publishes for $name {
            const TYPES: &'static [&'static str] =
                &[$(<$crate::events::$fact as $crate::events::Event>::TYPE),+];

            fn into_fact(self) -> $crate::events::Fact {
                match self { $(Self::$fact(fact) => fact.into()),+ }
            }
        }

        $(impl From<$crate::events::$fact> for $name {
            fn from(fact: $crate::events::$fact) -> Self {
                Self::$fact(fact)
            }
        })+
    };
}

macro_rules! facts {
    ($($fact:ident),+ $(,)?) => {
        /// Every fact there is.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Fact { $($fact($fact)),+ }

        impl Fact {
            /// The types of all facts, in flow order.
            pub const TYPES: &'static [&'static str] = &[$($fact::TYPE),+];

            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$fact(_) => $fact::TYPE),+ }
            }

            pub fn version(&self) -> u16 {
                match self { $(Self::$fact(_) => $fact::VERSION),+ }
            }

            pub fn session_id(&self) -> SessionId {
                match self { $(Self::$fact(fact) => fact.session_id()),+ }
            }

            pub fn event_id(&self) -> EventId {
                match self { $(Self::$fact(fact) => fact.event_id()),+ }
            }

            /// The body of the message.
            pub fn data(&self) -> Value {
                match self {
                    $(Self::$fact(fact) => serde_json::to_value(fact).expect("a fact is plain data")),+
                }
            }

            /// The message of this fact, published by `source`.
            pub fn message(
                &self,
                source: &str,
                time: jiff::Timestamp,
                traceparent: Option<&str>,
            ) -> Message {
                match self { $(Self::$fact(fact) => Message::of(fact, source, time, traceparent)),+ }
            }

            /// Reads a fact from its type, version and body, as the timeline keeps them.
            pub fn decode(event_type: &str, version: u16, data: Value) -> Result<Self, DecodeError> {
                match event_type {
                    $($fact::TYPE => decode_data::<$fact>(version, data).map(Self::$fact),)+
                    other => Err(DecodeError::UnknownFact(other.to_owned())),
                }
            }

            /// The JSON Schema of each fact's body, by type.
            pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($fact::TYPE, schemars::schema_for!($fact))),+]
            }
        }

        $(impl From<$fact> for Fact {
            fn from(fact: $fact) -> Self {
                Self::$fact(fact)
            }
        })+
    };
}

facts! {
    SessionCreated,
    SessionStarted,
    SessionEnded,
    RecordingRequested,
    RecordingUploaded,
    RecordingStored,
    RecordingFailed,
    TranscriptionRequested,
    TranscriptionStarted,
    TranscriptProgressed,
    RecordingTranscribed,
    TranscriptionFailed,
    TranscriptionSkipped,
    TranscriptCompleted,
    AnalysisRequested,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisSkipped,
    SessionCompleted,
    StageRedriven,
    ErasureRequested,
}
