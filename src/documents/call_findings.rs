//! What a speech service says of a call beside its words.
//!
//! Kept as the service judged it, beside the analysis and never mixed with it: its figures follow from
//! its own definitions. Holds no text of the call: places are told by times and characters, so that
//! whoever may not read the transcript learns nothing from it. Speakers and characters are those of what
//! the service heard, also where a correction has changed names and text since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The findings of one job of a service. Times count from the start of the recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallFindings {
    /// What made it, for example `aws/call-analytics`.
    pub service: String,
    /// Where the audio that it heard begins and ends.
    pub start_ms: i64,
    pub end_ms: i64,
    /// Who each speaker was taken for, `agent` or `customer`. `speaker_0` speaks on channel 0, whatever
    /// name a correction gave them.
    pub roles: BTreeMap<String, String>,
    /// Whether the service left personal data out.
    pub redacted: bool,
    /// Each turn of the transcript.
    pub turns: Vec<TurnFindings>,
    /// Sentiment of each speaker, from -5 to 5.
    pub sentiment: BTreeMap<String, f64>,
    /// The same for each quarter of the call.
    pub sentiment_by_quarter: BTreeMap<String, Vec<PeriodSentiment>>,
    pub issues: Vec<TextSpan>,
    pub outcomes: Vec<TextSpan>,
    pub action_items: Vec<TextSpan>,
    /// The categories of the operator's account that fit.
    pub categories: Vec<Category>,
    /// Interruptions by the speaker who interrupts.
    pub interruptions: BTreeMap<String, Vec<TimeSpan>>,
    /// Nobody speaks.
    pub non_talk: Vec<TimeSpan>,
    /// Milliseconds that each speaker talks.
    pub talk_time_ms: BTreeMap<String, i64>,
    pub words_per_minute: BTreeMap<String, f64>,
}

/// What was found in one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnFindings {
    pub speaker: String,
    pub start_ms: i64,
    pub end_ms: i64,
    /// `positive`, `neutral`, `negative` or `mixed`.
    pub sentiment: Option<String>,
    /// Decibel in each second; null where nothing was measured.
    pub loudness: Vec<Option<f64>>,
}

/// Characters of the text of a turn, as the service wrote it: before corrections, and before personal
/// data was replaced for whoever may not read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextSpan {
    pub speaker: String,
    /// Start of the turn.
    pub turn_start_ms: i64,
    pub start_char: u32,
    /// After the last.
    pub end_char: u32,
}

/// A stretch of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimeSpan {
    pub start_ms: i64,
    pub end_ms: i64,
}

/// The sentiment of a stretch of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeriodSentiment {
    pub start_ms: i64,
    pub end_ms: i64,
    pub score: f64,
}

/// A category that fits, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Category {
    pub name: String,
    pub places: Vec<TimeSpan>,
}
