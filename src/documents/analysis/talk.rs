//! Who spoke when and how much. Each figure is defined in `docs/metrics.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::RecordingId;

/// Figures of the whole conversation and of each speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Talk {
    /// Length of all recordings together.
    #[schemars(range(min = 0))]
    pub duration_ms: i64,
    /// Time in which at least one person speaks.
    #[schemars(range(min = 0))]
    pub speech_ms: i64,
    /// Time in which nobody speaks.
    #[schemars(range(min = 0))]
    pub silence_ms: i64,
    /// Share of silence in the duration; null when the duration is 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub silence_ratio: Option<f64>,
    /// Time in which two or more people speak; null unless two speakers are told apart.
    #[schemars(range(min = 0))]
    pub overlap_ms: Option<i64>,
    /// By name of the speaker.
    pub speakers: Vec<SpeakerTalk>,
    /// In the order of the transcript; null unless two speakers are told apart.
    pub interruptions: Option<Vec<Interruption>>,
}

/// Figures of one speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SpeakerTalk {
    pub speaker: String,
    pub turns: u32,
    /// Null in a language that is written without spaces.
    pub words: Option<u64>,
    #[schemars(range(min = 0))]
    pub talk_ms: i64,
    /// Time in which somebody else speaks and this speaker does not; null unless two speakers are
    /// told apart.
    #[schemars(range(min = 0))]
    pub listen_ms: Option<i64>,
    /// Share of the talk time of all speakers; null unless two speakers are told apart.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub talk_ratio: Option<f64>,
    /// Speaking rate; null where there are no words or no time to divide by.
    #[schemars(range(min = 0.0))]
    pub words_per_minute: Option<f64>,
    /// How often this speaker interrupted; null unless two speakers are told apart.
    pub interruptions: Option<u32>,
}

/// One speaker starting while another has the floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Interruption {
    /// The turn that interrupts.
    pub turn_index: u32,
    pub speaker: String,
    /// The turn that is interrupted.
    pub interrupted_turn_index: u32,
    pub interrupted_speaker: String,
    pub recording_id: RecordingId,
    /// Where it begins, from the start of the recording.
    #[schemars(range(min = 0))]
    pub start_ms: i64,
    /// How long both speak.
    #[schemars(range(min = 0))]
    pub overlap_ms: i64,
}
