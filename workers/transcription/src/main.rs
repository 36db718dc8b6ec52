//! Transcription worker: turns stored recordings into transcripts
fn main() {}
