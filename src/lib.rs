//! aftercall: the backend for voice conversations.
//!
//! A thin ingress turns what happens in a conversation into events on NATS JetStream; independent
//! workers turn events into stored recordings, transcripts and analyses in Postgres.
//!
//! # Code map
//! - [`config`]: every setting, one struct per concern; the only place that reads the environment
//! - [`telemetry`]: logs, metrics, trace context
//! - [`lifecycle`]: start, graceful stop, the hard limit
//! - [`ids`]: typed identifiers
//! - [`media`]: the accepted kinds of recording, by their first bytes
//! - [`pace`]: how fast somebody must be who sends a file
//! - [`documents`]: the versioned documents that are stored and shown: transcript, analysis
//! - [`events`]: the contracts, one file per fact, in flow order
//! - [`bus`]: NATS, and nothing of the domain
//! - [`outbox`]: publishes the events of a transaction right after its commit
//! - [`worker`]: the runtime that all workers share
//! - [`db`]: every SQL statement
//! - [`auth`]: access tokens, passwords, API keys
//! - [`calls`]: the call record: its fields, what is wrong with one, what it counts
//! - [`custom_fields`]: the fields that a session wants an analysis to fill
//! - [`rollups`]: counts and latency sketches of calls, as pure code
//! - [`lexicon`]: how English text feels
//! - [`policy`]: what may be done with a session's recordings and text
//! - [`redaction`]: personal data out of text, and back in
//! - [`session`]: the status of a session as a pure function of its facts
//! - [`providers`]: one file per vendor
//! - [`server`]: serves a router until the stop, with time-outs
//! - [`http`]: routes of the ingress
//! - `agents`: the ingress for voice agents over NATS: who may connect, and their calls
//! - [`client`]: a client of the HTTP API, for the command line and the demo
//! - `audio`: decoding and probing (feature `audio`)
//! - `embedded`: private servers for development and tests (feature `embedded`)
//!
//! # Invariants
//! Events depend on nothing but ids · bus knows no event · worker knows no handler · providers know
//! neither events nor db · db knows no HTTP · only `http`, `agents`, `outbox` and the workers join them · only
//! `worker::delivery` acks · only `config` reads the environment · only `db` writes SQL · libraries
//! hold no globals, never exit the process, never install a subscriber.

mod agents;
#[cfg(feature = "audio")]
pub mod audio;
pub mod auth;
pub mod bus;
pub mod calls;
pub mod client;
pub mod config;
pub mod custom_fields;
pub mod db;
pub mod documents;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod events;
pub mod http;
pub mod ids;
pub mod lexicon;
pub mod lifecycle;
pub mod media;
pub mod outbox;
pub mod pace;
pub mod policy;
pub mod providers;
pub mod redaction;
pub mod rollups;
pub mod server;
pub mod session;
pub mod telemetry;
pub mod worker;
