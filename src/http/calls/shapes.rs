//! Calls as they are shown.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::calls::CallRecord;
use crate::db::call_reads::{Call, Conflict};
use crate::ids::{CallId, ClientId, SessionId};

/// A call in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CallSummary {
    pub id: CallId,
    pub client_id: ClientId,
    /// Where it counts: `started_at`, else `ended_at`, else when it was received.
    pub counted_at: Timestamp,
    pub received_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub caller_phone: Option<String>,
    pub caller_name: Option<String>,
    /// `inbound`, `outbound` or `web`.
    pub direction: Option<String>,
    pub duration_seconds: Option<f64>,
    pub success: Option<bool>,
    pub ended_reason: Option<String>,
    /// `positive`, `neutral`, `negative`, `mixed` or `unknown`.
    pub sentiment: String,
    /// Who found it: `agent`, `lexicon` or `analysis`; null where nobody did.
    pub sentiment_source: Option<String>,
    pub stt_latency_ms: Option<f64>,
    pub llm_latency_ms: Option<f64>,
    pub tts_latency_ms: Option<f64>,
    /// The sum, where all three are known.
    pub total_latency_ms: Option<f64>,
    /// The client was inactive when the call arrived.
    pub client_inactive: bool,
    /// The session that the call became, by its client's settings.
    pub session_id: Option<SessionId>,
    /// The text was removed as the account's policy asks; what is counted stays.
    pub text_erased: bool,
    /// How many other bodies came with its id.
    pub conflicts: i64,
}

/// A call with everything that its agent sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallShape {
    #[serde(flatten)]
    pub summary: CallSummary,
    /// The call record as it was sent; null where its text was removed.
    #[schema(value_type = Option<CallRecord>)]
    pub record: Option<Box<RawValue>>,
    /// Other bodies that came with its id, of which the first stands; at most 100.
    pub conflicting: Vec<ConflictShape>,
}

/// Another body that came with the id of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConflictShape {
    pub received_at: Timestamp,
    #[schema(value_type = Option<CallRecord>)]
    pub record: Option<Box<RawValue>>,
}

impl From<Call> for CallSummary {
    fn from(call: Call) -> Self {
        let record = call.record.as_deref();
        // What is kept was checked when it came.
        let record = record.and_then(|text| serde_json::from_str::<CallRecord>(text).ok());
        let text = |of: Option<&crate::calls::Text<'_>>| of.map(|text| text.to_string());
        let latencies = [call.stt_ms, call.llm_ms, call.tts_ms];
        #[expect(clippy::cast_precision_loss, reason = "at most a week in milliseconds")]
        let duration_seconds = call.duration_ms.map(|ms| ms as f64 / 1_000.0);
        Self {
            id: call.id,
            client_id: call.client_id,
            counted_at: call.counted_at,
            received_at: call.received_at,
            started_at: record.as_ref().and_then(|record| record.started_at),
            ended_at: record.as_ref().and_then(|record| record.ended_at),
            caller_phone: text(
                record
                    .as_ref()
                    .and_then(|record| record.caller_phone.as_ref()),
            ),
            caller_name: text(
                record
                    .as_ref()
                    .and_then(|record| record.caller_name.as_ref()),
            ),
            direction: call.direction,
            duration_seconds,
            success: call.success,
            ended_reason: call.ended_reason,
            sentiment: call.sentiment,
            sentiment_source: call.sentiment_by,
            stt_latency_ms: call.stt_ms,
            llm_latency_ms: call.llm_ms,
            tts_latency_ms: call.tts_ms,
            total_latency_ms: latencies.into_iter().sum(),
            client_inactive: call.client_inactive,
            session_id: call.session_id,
            text_erased: call.record.is_none(),
            conflicts: call.conflicts,
        }
    }
}

impl CallShape {
    pub fn of(call: Call, conflicts: Vec<Conflict>) -> Self {
        Self {
            record: raw(call.record.clone()),
            summary: call.into(),
            conflicting: conflicts.into_iter().map(ConflictShape::from).collect(),
        }
    }
}

impl From<Conflict> for ConflictShape {
    fn from(conflict: Conflict) -> Self {
        Self {
            received_at: conflict.received_at,
            record: raw(conflict.record),
        }
    }
}

fn raw(record: Option<String>) -> Option<Box<RawValue>> {
    record.and_then(|text| RawValue::from_string(text).ok())
}
