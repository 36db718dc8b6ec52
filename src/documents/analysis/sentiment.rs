//! How the conversation felt, as a label and a score.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Sentiment of the whole, of each speaker and of each turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Sentiment {
    pub overall: SentimentScore,
    /// By name of the speaker; speakers without a word are left out.
    pub speakers: Vec<SpeakerSentiment>,
    /// In the order of the transcript; turns without a word are left out.
    pub turns: Vec<TurnSentiment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SpeakerSentiment {
    pub speaker: String,
    pub sentiment: SentimentScore,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct TurnSentiment {
    pub turn_index: u32,
    pub sentiment: SentimentScore,
}

/// A label with its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct SentimentScore {
    pub label: SentimentLabel,
    /// From -1 (negative) to 1 (positive).
    #[schemars(range(min = -1.0, max = 1.0))]
    pub score: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentimentLabel {
    Positive,
    Neutral,
    Negative,
    /// Clearly positive and clearly negative at once.
    Mixed,
}
