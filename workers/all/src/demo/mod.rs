//! The demo: one recorded call through the whole pipeline, judged against what was really said.
//!
//! Not a test harness and not part of any worker: it sees the program only from outside. The
//! figures it prints are computed here, so that nothing under judgement computes its own mark.

mod report;
pub mod sample;
pub mod score;
mod timings;
pub mod word_error_rate;
