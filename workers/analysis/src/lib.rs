//! Analysis worker: turns transcripts into analyses.
//!
//! Holds the engines that judge a transcript. Not the document they make, which is
//! [`aftercall::documents::analysis`].
//!
//! Invariant: an engine is a function of the transcript and its settings; what cannot be judged is
//! null with a reason.

pub mod local;
