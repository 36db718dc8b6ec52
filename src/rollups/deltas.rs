//! Changes to the rollups, gathered before they are applied.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::Timestamp;

use super::counted::{Counted, EndedReason, Sentiment};
use super::sketch::Sketch;
use crate::ids::{AccountId, ClientId};

const QUARTER_S: i64 = 15 * 60;
const HOUR_S: i64 = 60 * 60;
const REASONS: usize = EndedReason::ALL.len();
const SENTIMENTS: usize = Sentiment::ALL.len();

/// A client's quarter of an hour: its first second.
pub type QuarterKey = (AccountId, ClientId, Timestamp);
/// A client's hour: its first second.
pub type HourKey = (AccountId, ClientId, Timestamp);

/// Sums over calls, or the difference of two such sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: i64,
    pub succeeded: i64,
    pub failed: i64,
    /// Calls whose duration is known.
    pub timed: i64,
    pub duration_ms: i64,
    /// In the order of [`Sentiment::ALL`].
    pub sentiments: [i64; SENTIMENTS],
    /// In the order of [`EndedReason::ALL`].
    pub ended_reasons: [i64; REASONS],
}

/// Sketches of the three latencies and their total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencySketches {
    pub stt: Sketch,
    pub llm: Sketch,
    pub tts: Sketch,
    pub total: Sketch,
}

/// What calls contribute, by key. Keys are sorted: rows are locked in that order everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    pub quarters: BTreeMap<QuarterKey, Counts>,
    pub hours: BTreeMap<HourKey, LatencySketches>,
}

impl Counts {
    /// What `times` calls like this one count.
    fn of(call: &Counted, times: i64) -> Self {
        let mut counts = Self {
            calls: times,
            ..Self::default()
        };
        match call.success {
            Some(true) => counts.succeeded = times,
            Some(false) => counts.failed = times,
            None => {}
        }
        if let Some(duration_ms) = call.duration_ms {
            counts.timed = times;
            counts.duration_ms = duration_ms * times;
        }
        counts.sentiments[call.sentiment as usize] = times;
        if let Some(reason) = call.ended_reason {
            counts.ended_reasons[reason as usize] = times;
        }
        counts
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.timed += other.timed;
        self.duration_ms += other.duration_ms;
        for (mine, theirs) in self.sentiments.iter_mut().zip(other.sentiments) {
            *mine += theirs;
        }
        for (mine, theirs) in self.ended_reasons.iter_mut().zip(other.ended_reasons) {
            *mine += theirs;
        }
    }
}

impl LatencySketches {
    /// The four, in the order of their columns.
    pub fn all(&self) -> [&Sketch; 4] {
        [&self.stt, &self.llm, &self.tts, &self.total]
    }

    pub fn all_mut(&mut self) -> [&mut Sketch; 4] {
        [&mut self.stt, &mut self.llm, &mut self.tts, &mut self.total]
    }

    pub fn is_empty(&self) -> bool {
        self.all().iter().all(|sketch| sketch.is_empty())
    }
}

impl Deltas {
    /// Counts a call.
    pub fn add(&mut self, call: &Counted) {
        self.change(call, 1);
    }

    /// Takes a call away, as it was counted.
    pub fn subtract(&mut self, call: &Counted) {
        self.change(call, -1);
    }

    pub fn is_empty(&self) -> bool {
        self.quarters.is_empty() && self.hours.is_empty()
    }

    fn change(&mut self, call: &Counted, times: i64) {
        let key = |seconds| (call.account_id, call.client_id, floor(call.at, seconds));
        let quarter = self.quarters.entry(key(QUARTER_S)).or_default();
        *quarter += Counts::of(call, times);
        if quarter.is_zero() {
            self.quarters.remove(&key(QUARTER_S));
        }
        let latencies = &call.latencies;
        let values = [
            latencies.stt_ms,
            latencies.llm_ms,
            latencies.tts_ms,
            latencies.total_ms(),
        ];
        if values.iter().all(Option::is_none) {
            return;
        }
        let hour = self.hours.entry(key(HOUR_S)).or_default();
        for (sketch, value) in hour.all_mut().into_iter().zip(values) {
            if let Some(value) = value {
                sketch.add(value, times);
            }
        }
        if hour.is_empty() {
            self.hours.remove(&key(HOUR_S));
        }
    }
}

/// The last whole multiple of `seconds` since 1970, which is where quarters and hours in UTC begin.
fn floor(at: Timestamp, seconds: i64) -> Timestamp {
    let second = at.as_nanosecond().div_euclid(1_000_000_000);
    let second = i64::try_from(second).expect("a timestamp is within ten thousand years");
    Timestamp::from_second(second.div_euclid(seconds) * seconds)
        .expect("a multiple below a timestamp is one")
}

#[cfg(test)]
mod tests {
    use super::super::Latencies;
    use super::*;

    fn call(at: &str) -> Counted {
        Counted {
            account_id: AccountId::generate(),
            client_id: ClientId::generate(),
            at: at.parse().unwrap(),
            duration_ms: Some(45_500),
            success: Some(true),
            ended_reason: Some(EndedReason::Busy),
            sentiment: Sentiment::Mixed,
            latencies: Latencies {
                stt_ms: Some(100.0),
                llm_ms: Some(300.0),
                tts_ms: Some(50.0),
            },
        }
    }

    #[test]
    fn a_call_counts_in_its_quarter_and_hour() {
        let call = call("2026-11-21T10:44:59.999Z");
        let mut deltas = Deltas::default();
        deltas.add(&call);
        deltas.add(&call);
        let ((_, _, quarter), counts) = deltas.quarters.first_key_value().unwrap();
        assert_eq!(quarter.to_string(), "2026-11-21T10:30:00Z");
        assert_eq!((counts.calls, counts.succeeded, counts.failed), (2, 2, 0));
        assert_eq!((counts.timed, counts.duration_ms), (2, 91_000));
        assert_eq!(counts.sentiments, [0, 0, 0, 2, 0]);
        assert_eq!(counts.ended_reasons, [0, 0, 0, 0, 0, 2, 0, 0, 0]);
        let ((_, _, hour), sketches) = deltas.hours.first_key_value().unwrap();
        assert_eq!(hour.to_string(), "2026-11-21T10:00:00Z");
        assert!(sketches.all().iter().all(|sketch| sketch.count() == 2));
    }

    #[test]
    fn what_is_taken_away_leaves_nothing() {
        let call = call("1969-12-31T23:59:59Z");
        let mut deltas = Deltas::default();
        deltas.add(&call);
        assert_eq!(deltas.quarters.len(), 1);
        deltas.subtract(&call);
        assert!(deltas.is_empty(), "{deltas:?}");
    }

    #[test]
    fn what_is_not_known_is_not_counted() {
        let bare = Counted {
            duration_ms: None,
            success: None,
            ended_reason: None,
            sentiment: Sentiment::Unknown,
            latencies: Latencies::default(),
            ..call("2026-11-21T10:00:00Z")
        };
        let mut deltas = Deltas::default();
        deltas.add(&bare);
        let counts = deltas.quarters.values().next().unwrap();
        let expected = Counts {
            calls: 1,
            sentiments: [0, 0, 0, 0, 1],
            ..Counts::default()
        };
        assert_eq!(*counts, expected);
        assert!(deltas.hours.is_empty());
    }
}
