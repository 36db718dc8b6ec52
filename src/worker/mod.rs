//! The runtime that all workers share: pulls messages, runs handlers, settles what came of it.
//!
//! [`Handler`], or [`BatchHandler`] for frames, is what a worker writes, [`Worker`] is what its `main`
//! starts. For each message:
//! **commit** (the handler's own transaction), **publish** (the facts it returned), **acknowledge**.
//! What a process that dies in between leaves is delivered again, and "already done" returns the same
//! facts. [`verdict`] decides what becomes of a message that fails.
//!
//! Not here: any handler, and any knowledge of what a fact means.
//!
//! Invariant: only `delivery` answers the broker, and every message is answered or delivered again. A
//! message leaves the stream unprocessed only after its failure fact is committed and its dead letter
//! is stored.

mod attempt;
mod batch;
mod batch_runner;
mod context;
mod dead_letter;
mod delivery;
mod dependencies;
mod failures;
mod give_up;
mod handler;
mod health;
mod incoming;
mod metrics;
mod process;
mod runner;
mod settle;
mod source;
pub mod verdict;

pub use batch::{BatchHandler, CallFrame, Frame, Refused};
pub use context::Context;
pub use dead_letter::{Redrive, redrive_message};
pub use dependencies::Probe;
pub use handler::{Failure, Handler};
pub use health::Health;
pub use incoming::{Incoming, Received};
pub use metrics::describe as describe_metrics;
pub use process::{Settings, Worker};
pub use verdict::Class;

#[cfg(all(test, feature = "embedded"))]
mod tests;
