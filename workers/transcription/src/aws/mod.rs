//! Amazon Transcribe: jobs that are started, asked about, and read.
//!
//! | file | what |
//! | --- | --- |
//! | `request` | which job a recording allows, under which name, with which settings |
//! | `codec` | whether it hears what is in a container |
//! | `cut` | audio over the service's limits, as parts within them |
//! | `start` | starts the jobs of a recording |
//! | `client`, `error` | the requests of the service, and what its refusals mean |
//! | `standard`, `call_analytics` | what it writes, as lines and findings |
//! | `lines` | the lines of all parts as turns |
//! | `files` | what it reads and writes in the bucket |
//!
//! Not here: the handlers (`TranscribeRecording` starts, `CollectTranscript` collects), and what is
//! written when all is done (`conclude`).
//!
//! Invariant: a job is named after what it is asked for, so that starting it again is refused by the
//! service; what it leaves in the bucket is removed before its result counts as collected.

pub mod call_analytics;
pub mod client;
pub mod codec;
pub mod cut;
pub mod error;
pub mod failure;
pub mod files;
pub mod lines;
pub mod request;
pub mod standard;
pub mod start;

pub use client::Transcribe;
pub use start::Starter;

use aftercall::events::JobKind;

/// What transcripts name as their engine.
pub const fn engine(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Standard => "aws/transcribe",
        JobKind::CallAnalytics => "aws/call-analytics",
    }
}

/// Why what the service wrote is no transcript.
#[derive(Debug, thiserror::Error)]
#[error("the output of Amazon Transcribe cannot be read")]
pub struct OutputError(#[from] serde_json::Error);
