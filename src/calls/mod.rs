//! The call record, as an agent sends it.
//!
//! [`CallRecord`] reads it without copying its text, [`check`] says what is wrong with it in full,
//! [`CallRecord::counted`] says what it contributes to the rollups, [`Conversation`] what session it
//! becomes. Not here: how it travels
//! (`events::calls_ended`) and where it is kept (`db::calls`).
//!
//! Invariant: what was checked once is passed on and kept as the bytes that came.

mod check;
mod conversation;
mod counted;
mod record;

pub use check::{FieldFault, MAX_RECORD_BYTES, check};
pub use conversation::{Conversation, GIVEN, GivenText};
pub use counted::SentimentBy;
pub use record::{Agent, CallRecord, Cost, Direction, Text, Tool, Transcript, Transfer, Turn};
