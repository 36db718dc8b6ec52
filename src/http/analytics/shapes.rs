//! What figures look like. What has no data is null; what was counted and is none is 0.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ids::ClientId;
use crate::rollups::{Counts, EndedReason, LatencySketches, Sentiment, Sketch};

/// Days of a time zone, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AnalyticsPeriod)]
pub struct PeriodShape {
    pub start_date: Date,
    pub end_date: Date,
    /// IANA name.
    pub timezone: String,
}

/// The dashboard of all clients that the caller sees, or of one.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Dashboard {
    pub period: PeriodShape,
    pub totals: CallTotals,
    pub latency: CallLatency,
    pub sentiment: SentimentCounts,
    pub ended_reasons: EndedReasonCounts,
    /// Hours of the local day by their calls, most first; hours without calls are left out.
    pub busiest_hours: Vec<HourCalls>,
    /// Clients with calls in the period, most first; deleted ones too.
    pub clients: Vec<ClientFigures>,
    pub previous: PreviousPeriod,
    /// When it was read.
    pub as_of: Timestamp,
}

/// Totals of calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallTotals {
    pub calls: i64,
    pub successful_calls: i64,
    pub failed_calls: i64,
    /// Successful calls as a part (0 to 1) of those whose success is known; null where none is.
    pub success_rate: Option<f64>,
    /// Of those calls whose duration is known; null where none is.
    pub total_duration_seconds: Option<f64>,
    pub average_duration_seconds: Option<f64>,
}

/// Latencies by where they arise. The total is of calls that tell all three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit is part of the documented names"
)]
pub struct CallLatency {
    pub stt_ms: Percentiles,
    pub llm_ms: Percentiles,
    pub tts_ms: Percentiles,
    pub total_ms: Percentiles,
}

/// Percentiles, within 2 % of the exact ones; null without data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

/// Calls by sentiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SentimentCounts {
    pub positive: i64,
    pub neutral: i64,
    pub negative: i64,
    pub mixed: i64,
    pub unknown: i64,
}

/// Each sentiment as a part (0 to 1) of all calls; null where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct SentimentRates {
    pub positive: Option<f64>,
    pub neutral: Option<f64>,
    pub negative: Option<f64>,
    pub mixed: Option<f64>,
    pub unknown: Option<f64>,
}

/// Calls by how they ended; those that do not say are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndedReasonCounts {
    pub caller_hangup: i64,
    pub agent_hangup: i64,
    pub transferred: i64,
    pub voicemail: i64,
    pub no_answer: i64,
    pub busy: i64,
    pub timeout: i64,
    pub error: i64,
    pub other: i64,
}

/// Calls in an hour of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HourCalls {
    /// From 0 to 23, by the clocks of the time zone.
    #[schema(minimum = 0, maximum = 23)]
    pub hour: u8,
    pub calls: i64,
}

/// Figures of one client.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ClientFigures {
    pub client_id: ClientId,
    pub name: String,
    pub calls: i64,
    pub success_rate: Option<f64>,
    pub average_duration_seconds: Option<f64>,
}

/// As many days, just before.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PreviousPeriod {
    pub period: PeriodShape,
    pub totals: CallTotals,
}

/// Calls by the day, without gaps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CallsPerDay {
    pub period: PeriodShape,
    pub days: Vec<DayFigures>,
}

/// Figures of one day.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct DayFigures {
    pub date: Date,
    pub calls: i64,
    pub successful_calls: i64,
    /// Null where no call tells its duration.
    pub total_duration_seconds: Option<f64>,
}

/// Sentiments of calls.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SentimentFigures {
    pub period: PeriodShape,
    pub counts: SentimentCounts,
    pub rates: SentimentRates,
}

impl Dashboard {
    /// Whether both tell the same, whenever they were read.
    pub fn says_what(&self, other: &Self) -> bool {
        let as_of = self.as_of;
        *self
            == Self {
                as_of,
                ..other.clone()
            }
    }
}

impl From<Counts> for CallTotals {
    fn from(counts: Counts) -> Self {
        let seconds = ratio(counts.duration_ms, 1_000);
        Self {
            calls: counts.calls,
            successful_calls: counts.succeeded,
            failed_calls: counts.failed,
            success_rate: ratio(counts.succeeded, counts.succeeded + counts.failed),
            total_duration_seconds: seconds.filter(|_| counts.timed > 0),
            average_duration_seconds: ratio(counts.duration_ms, counts.timed * 1_000),
        }
    }
}

impl From<&LatencySketches> for CallLatency {
    fn from(sketches: &LatencySketches) -> Self {
        Self {
            stt_ms: (&sketches.stt).into(),
            llm_ms: (&sketches.llm).into(),
            tts_ms: (&sketches.tts).into(),
            total_ms: (&sketches.total).into(),
        }
    }
}

impl From<&Sketch> for Percentiles {
    fn from(sketch: &Sketch) -> Self {
        Self {
            p50: sketch.quantile(0.50),
            p90: sketch.quantile(0.90),
            p95: sketch.quantile(0.95),
            p99: sketch.quantile(0.99),
        }
    }
}

impl From<Counts> for SentimentCounts {
    fn from(counts: Counts) -> Self {
        let of = |sentiment: Sentiment| counts.sentiments[sentiment as usize];
        Self {
            positive: of(Sentiment::Positive),
            neutral: of(Sentiment::Neutral),
            negative: of(Sentiment::Negative),
            mixed: of(Sentiment::Mixed),
            unknown: of(Sentiment::Unknown),
        }
    }
}

impl From<Counts> for SentimentRates {
    fn from(counts: Counts) -> Self {
        let of = |sentiment: Sentiment| ratio(counts.sentiments[sentiment as usize], counts.calls);
        Self {
            positive: of(Sentiment::Positive),
            neutral: of(Sentiment::Neutral),
            negative: of(Sentiment::Negative),
            mixed: of(Sentiment::Mixed),
            unknown: of(Sentiment::Unknown),
        }
    }
}

impl From<Counts> for EndedReasonCounts {
    fn from(counts: Counts) -> Self {
        let of = |reason: EndedReason| counts.ended_reasons[reason as usize];
        Self {
            caller_hangup: of(EndedReason::CallerHangup),
            agent_hangup: of(EndedReason::AgentHangup),
            transferred: of(EndedReason::Transferred),
            voicemail: of(EndedReason::Voicemail),
            no_answer: of(EndedReason::NoAnswer),
            busy: of(EndedReason::Busy),
            timeout: of(EndedReason::Timeout),
            error: of(EndedReason::Error),
            other: of(EndedReason::Other),
        }
    }
}

/// A part of a whole; `None` where there is no whole.
fn ratio(part: i64, whole: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and milliseconds of calls are far below 2^52"
    )]
    let ratio = part as f64 / whole as f64;
    (whole > 0).then_some(ratio)
}
