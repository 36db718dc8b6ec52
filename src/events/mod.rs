//! The contracts: what travels between the ingress and the workers, one file per fact.
//!
//! A fact is a struct in the past tense that carries ids and facts only: recordings and transcripts
//! travel by reference, and nothing of a provider is in it. The envelope ([`Envelope`]) is CloudEvents
//! 1.0 in the NATS headers, the body is the JSON of the struct.
//!
//! Invariant: an event depends on nothing but ids. Its id is derived from the fact, so publishing it
//! twice gives the same id. The version is in the envelope and never in the subject: an optional
//! field keeps the version, a breaking change keeps the old struct and upgrades on decode
//! ([`Event::upgrade`]). `frozen/` holds one wire example for each version that was ever published;
//! a red test there is a broken wire.
//!
//! To add a fact: a file here, a line in `facts!` (`fact.rs`) in flow order, a frozen example, and its
//! meaning for the status of a session in `src/session.rs`.

pub mod calls_ended;
mod envelope;
mod fact;

mod session_completed;
mod session_created;
mod session_ended;
mod session_started;

mod recording_failed;
mod recording_requested;
mod recording_stored;
mod recording_transcribed;
mod recording_uploaded;

mod transcript_completed;
mod transcript_progressed;
mod transcription_failed;
mod transcription_requested;
mod transcription_skipped;
mod transcription_started;

mod analysis_completed;
mod analysis_failed;
mod analysis_requested;
mod analysis_skipped;

mod stage_redriven;

mod erasure_requested;

pub use envelope::{DecodeError, Envelope, Message};
pub use fact::{Event, Fact, Publishes, decode_data};

pub use analysis_completed::AnalysisCompleted;
pub use analysis_failed::AnalysisFailed;
pub use analysis_requested::AnalysisRequested;
pub use analysis_skipped::AnalysisSkipped;
pub use erasure_requested::{ErasedPart, ErasureRequested};
pub use recording_failed::RecordingFailed;
pub use recording_requested::RecordingRequested;
pub use recording_stored::RecordingStored;
pub use recording_transcribed::RecordingTranscribed;
pub use recording_uploaded::RecordingUploaded;
pub use session_completed::SessionCompleted;
pub use session_created::SessionCreated;
pub use session_ended::SessionEnded;
pub use session_started::SessionStarted;
pub use stage_redriven::{Stage, StageRedriven};
pub use transcript_completed::TranscriptCompleted;
pub use transcript_progressed::TranscriptProgressed;
pub use transcription_failed::TranscriptionFailed;
pub use transcription_requested::TranscriptionRequested;
pub use transcription_skipped::{SkipCode, TranscriptionSkipped};
pub use transcription_started::{JobKind, StartedJob, TranscriptionStarted};

#[cfg(test)]
mod frozen_tests;
