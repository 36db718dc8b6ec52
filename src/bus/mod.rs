//! NATS JetStream: connect, publish, provision, readiness.
//!
//! Not here: what a message means. The bus takes a subject, headers and bytes, and knows no event;
//! consuming is for [`crate::worker`].
//!
//! Invariant: [`Bus::publish`] returns only when the stream has stored the message or when it is known
//! that this is uncertain. A message that is sent again has the same `Nats-Msg-Id`, so
//! within the duplicate window it is stored once.

mod address;
mod connection;
mod declared;
mod erase;
mod frames;
mod provision;
mod readiness;
pub mod subjects;
mod trim;

pub use async_nats::HeaderMap;
pub use connection::{Bus, BusError, Published, connect};
pub use declared::{Declared, DeclaredConsumer, declared};
pub use erase::{Extent, Stored};
pub use frames::{FrameError, FrameHeaders, Frames, Receipt};
pub use provision::{Parameters, Provisioned};
pub use readiness::Readiness;
pub use trim::{Consumed, Fill};

/// The stream of facts.
pub const EVENTS: &str = "EVENTS";
/// The stream of call records, in frames.
pub const CALLS: &str = "CALLS";
/// The stream of what handlers gave up on.
pub const DEAD: &str = "DEAD";

#[cfg(all(test, feature = "embedded"))]
mod tests;
