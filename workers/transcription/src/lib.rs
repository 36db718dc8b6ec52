//! Transcription worker: turns stored recordings into transcripts

pub mod chunks;
pub mod crosstalk;
pub mod resample;
pub mod segmenter;
pub mod speech;
pub mod turns;
pub mod wav;
