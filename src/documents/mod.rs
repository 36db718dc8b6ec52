//! The versioned documents that are stored in Postgres and shown over HTTP.
//!
//! Not events (those carry references to documents), and not database rows. A document is written
//! once and never changed: a new result is a new generation.

pub mod analysis;
pub mod call_findings;
pub mod correction;
pub mod schema;
pub mod subtitles;
pub mod transcript;
pub mod transcription_options;
