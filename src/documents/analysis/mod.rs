//! The analysis of a session: what an engine makes of one transcript.
//!
//! Holds the document and its parts. Not the engines, which live in the analysis worker, and not
//! the generations, which are rows.
//!
//! # Null and empty
//! `null` says "not judged", an empty list says "looked for, none found". Every field that an
//! engine judges is named once in [`Provenance`]: with the method that made it, or with the reason
//! why it is null. A document with a null that nothing explains is a bug.
//!
//! # Room for other engines
//! A language model words its findings freely and cites [`Quote`]s; the local engine's finding is
//! the quote itself. Both fit the same shape, so a reader needs no case per engine. A later version
//! of the code may add fields and codes, never rename or retype one: that is version 2.

mod findings;
mod provenance;
mod sentiment;
mod talk;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::SessionId;

pub use findings::{
    ActionItem, CustomField, CustomFieldState, KeyPhrase, Outcome, Question, Quote, RiskFlag,
    Rubric, Severity, Statement, Topic,
};
pub use provenance::{
    AttemptCost, AttemptOutcome, Cost, Dropped, Engine, Provenance, Reason, Unavailable, field,
};
pub use sentiment::{Sentiment, SentimentLabel, SentimentScore, SpeakerSentiment, TurnSentiment};
pub use talk::{Interruption, SpeakerTalk, Talk};

/// Version of the document that this code writes.
pub const VERSION: u32 = 1;

/// What an engine found in one generation of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Analysis {
    /// Version of this document's shape: 1.
    #[schemars(extend("const" = VERSION))]
    pub version: u32,
    pub session_id: SessionId,
    /// The generation of the transcript that was read.
    pub transcript_generation: i32,
    /// Language of the transcript (BCP 47), where it is known.
    pub language: Option<String>,
    /// What happened, in the order of the conversation.
    pub summary: Option<Vec<Statement>>,
    pub sentiment: Option<Sentiment>,
    /// Subjects of the conversation, in the engine's own words.
    pub topics: Option<Vec<Topic>>,
    /// Phrases that were said and stand out, the weightiest first.
    pub key_phrases: Option<Vec<KeyPhrase>>,
    /// What somebody is to do, in the order of the conversation.
    pub action_items: Option<Vec<ActionItem>>,
    /// What was asked, in the order of the conversation.
    pub questions: Option<Vec<Question>>,
    pub outcome: Option<Outcome>,
    pub risk_flags: Option<Vec<RiskFlag>>,
    /// Who spoke when and how much.
    pub talk: Talk,
    /// The fields that the session's own schema asks for, by name; empty when it asks for none.
    pub custom_fields: BTreeMap<String, CustomField>,
    /// How each field was made, or why it is null.
    pub provenance: Provenance,
    pub engine: Engine,
    /// Null when the engine uses nothing that is counted or billed.
    pub cost: Option<Cost>,
}
