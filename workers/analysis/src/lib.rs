//! Analysis worker: turns transcripts into analyses
