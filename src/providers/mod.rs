//! One file per vendor: wire types, signature checks, clients.
//!
//! Not what is done with the answers: nothing here knows the domain, SQL or the bus.
//!
//! Invariant: a provider's answer is bounded in size and in time, and nothing that was said in a
//! conversation is logged.

pub mod openai_audio;
