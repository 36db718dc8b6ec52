//! Analysis worker: turns transcripts into analyses
fn main() {}
