//! The engine with a language model: a stub that misbehaves, hostile transcripts, what it costs, long
//! transcripts, and peers that nobody here wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod cost;
mod fields;
mod hostile;
mod long;
mod memory;
mod misbehaving;
mod model;
mod peer;
mod redaction;
mod stub;
