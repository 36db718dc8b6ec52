//! What an engine finds in a conversation, each with the words that show it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::ids::RecordingId;

/// A literal span of one turn: the evidence of a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Quote {
    /// `index` of the turn that holds the words.
    pub turn_index: u32,
    pub recording_id: RecordingId,
    pub speaker: String,
    /// Where the words begin, in milliseconds from the start of the recording: of their first word
    /// where the transcript times words, else of their turn.
    pub start_ms: i64,
    /// As it stands in the turn, byte for byte.
    pub text: String,
}

/// A sentence about the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Statement {
    /// The sentence; from an extractive engine the same as its one quote.
    pub text: String,
    pub quotes: Vec<Quote>,
}

/// A subject of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Topic {
    pub name: String,
    pub quotes: Vec<Quote>,
}

/// A phrase that was said and stands out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct KeyPhrase {
    /// In lower case, as it was first said.
    pub text: String,
    /// How often it was said.
    pub count: u32,
    /// Weight relative to the first phrase, which has 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f64,
    /// The turns that hold it, in order.
    pub turn_indexes: Vec<u32>,
}

/// Something that somebody is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ActionItem {
    /// In the engine's words; from rules the same as the quote.
    pub text: String,
    /// The speaker who is to do it; null where the words do not tell.
    pub assignee: Option<String>,
    /// When, in the words of the speaker; null where none was named.
    pub due: Option<String>,
    /// The rule that found it; null where a model did.
    pub rule: Option<String>,
    pub quote: Quote,
}

/// Something that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Question {
    /// The rule that found it; null where a model did.
    pub rule: Option<String>,
    pub quote: Quote,
}

/// How the conversation ended for the person who called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Outcome {
    pub text: String,
    /// Whether the rubric holds; null where the conversation does not show it.
    pub success: Option<bool>,
    pub rubric: Rubric,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: Option<f64>,
    pub quotes: Vec<Quote>,
}

/// The measure that success was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Rubric {
    pub name: String,
    pub version: String,
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct RiskFlag {
    /// A stable code of the engine.
    pub kind: String,
    pub severity: Severity,
    pub detail: String,
    pub quotes: Vec<Quote>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
}

/// One field that the session's own schema asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CustomField {
    pub state: CustomFieldState,
    /// Null unless `found`.
    pub value: Option<Value>,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: Option<f64>,
    pub quote: Option<Quote>,
    /// A sentence that says why there is no value; null when `found`.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CustomFieldState {
    /// The conversation shows it.
    Found,
    /// Looked for; the conversation does not show it.
    NotFound,
    /// This engine does not fill custom fields.
    Skipped,
    /// The engine tried and gave no usable answer.
    Failed,
}
