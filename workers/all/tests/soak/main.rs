//! What is measured rather than tested: long recordings, large uploads and memory.
//!
//! Each case runs twice: small and without limits among the tests, and at full size in `make soak`,
//! which prints the figures and holds them against the limits.

mod big_upload;
mod calls;
mod export;
mod figures;
mod flac;
mod long_call;
mod long_recording;
mod pipeline;
mod proxy;
mod silence;
#[path = "../support/mod.rs"]
mod support;
