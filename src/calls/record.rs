//! The fields of a call record.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use jiff::Timestamp;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::ids::{CallId, ClientId};
use crate::rollups::EndedReason;

/// A call that ended. Only `client_id` is required.
///
/// It borrows from the bytes that it was read from. Unknown fields are refused at the top and ignored
/// below; either way the bytes are kept as they came.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRecord<'a> {
    pub client_id: ClientId,
    /// The agent's own, which makes a repeat safe.
    pub id: Option<CallId>,
    #[serde(borrow)]
    pub caller_phone: Option<Text<'a>>,
    #[serde(borrow)]
    pub caller_name: Option<Text<'a>>,
    pub direction: Option<Direction>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub duration_seconds: Option<f64>,
    pub stt_latency_ms: Option<f64>,
    pub llm_latency_ms: Option<f64>,
    pub tts_latency_ms: Option<f64>,
    #[serde(borrow, default, deserialize_with = "transcript")]
    #[schema(inline)]
    pub transcript: Option<Transcript<'a>>,
    /// `positive`, `neutral`, `negative` or `mixed` in any case; other text counts as unknown.
    #[serde(borrow)]
    pub sentiment: Option<Text<'a>>,
    pub success: Option<bool>,
    pub ended_reason: Option<EndedReason>,
    #[serde(borrow)]
    pub ended_reason_raw: Option<Text<'a>>,
    #[serde(borrow)]
    pub transfer: Option<Transfer<'a>>,
    #[serde(borrow)]
    pub tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub agent: Option<Agent<'a>>,
    #[serde(borrow)]
    pub costs: Option<Vec<Cost<'a>>>,
    #[serde(borrow)]
    pub language: Option<Text<'a>>,
    #[serde(borrow)]
    pub recording_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub notes: Option<Text<'a>>,
    /// Any JSON object.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<&'a RawValue>,
}

/// Text that is borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
    Web,
}

impl Direction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Web => "web",
        }
    }
}

/// JSON does not tell how many there are, and growing copies those before.
const LIKELY_TURNS: usize = 16;

/// What was said: one text, or turns.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a text, or an array of turns {speaker, text}"
)]
pub enum Transcript<'a> {
    Text(#[serde(borrow)] Text<'a>),
    Turns(#[serde(borrow)] Vec<Turn<'a>>),
}

/// What one speaker said without a break.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Turn<'a> {
    #[serde(borrow)]
    pub speaker: Text<'a>,
    #[serde(borrow)]
    pub text: Text<'a>,
    /// Milliseconds from the start of the call.
    pub start_ms: Option<f64>,
    pub end_ms: Option<f64>,
    pub stt_latency_ms: Option<f64>,
    pub llm_latency_ms: Option<f64>,
    pub tts_latency_ms: Option<f64>,
}

/// Where a call was passed on to.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Transfer<'a> {
    #[serde(borrow)]
    pub to: Option<Text<'a>>,
    #[serde(borrow)]
    pub outcome: Option<Text<'a>>,
}

/// A tool that the agent used.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Tool<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    pub ok: Option<bool>,
    pub duration_ms: Option<f64>,
}

/// Which agent spoke.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Agent<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub version: Option<Text<'a>>,
    #[serde(borrow)]
    pub prompt_version: Option<Text<'a>>,
    #[serde(borrow)]
    pub model: Option<Text<'a>>,
}

/// What a part of the call cost.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct Cost<'a> {
    #[serde(borrow)]
    pub kind: Text<'a>,
    pub quantity: Option<f64>,
    #[serde(borrow)]
    pub unit: Option<Text<'a>>,
    /// Millionths of the currency.
    pub amount_micros: Option<i64>,
    #[serde(borrow)]
    pub currency: Option<Text<'a>>,
}

/// What serde derives for `untagged` copies everything before it looks at it; JSON tells at its first
/// byte which it is.
fn transcript<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Transcript<'de>>, D::Error> {
    reader.deserialize_any(TranscriptVisitor)
}

struct TranscriptVisitor;

impl<'de> Visitor<'de> for TranscriptVisitor {
    type Value = Option<Transcript<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an array of turns {speaker, text}")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Transcript::Text(Text(Cow::Borrowed(text)))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Transcript::Text(Text(Cow::Owned(text.to_owned())))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
        let mut turns = Vec::with_capacity(LIKELY_TURNS);
        while let Some(turn) = given.next_element()? {
            turns.push(turn);
        }
        Ok(Some(Transcript::Turns(turns)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
