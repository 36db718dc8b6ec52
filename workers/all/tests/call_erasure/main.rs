//! Erasing calls and clients: nothing of them is left in Postgres and in the broker's files, everything of
//! others is, and rollups are exact at every step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod client;
mod late;
mod one;
mod retention;
#[path = "../erasure_support/search.rs"]
mod search;
mod streams;
