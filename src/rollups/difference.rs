//! Where rollups that are kept differ from what the calls say.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::counted::{EndedReason, Sentiment};
use super::deltas::{Counts, Deltas, LatencySketches};
use super::sketch::Sketch;
use crate::ids::{AccountId, ClientId};

/// The first rollup that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub account_id: AccountId,
    pub client_id: ClientId,
    /// The quarter of an hour, or the hour of latencies.
    pub at: Timestamp,
    pub values: Vec<Differing>,
}

/// A value of a rollup, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    pub name: &'static str,
    pub kept: String,
    pub recomputed: String,
}

impl Deltas {
    /// Where rollups that are kept first differ from these, which were recomputed: counts before
    /// latencies, the oldest first.
    pub fn first_difference(&self, kept: &Self) -> Option<Difference> {
        first(&self.quarters, &kept.quarters, counts_differ)
            .or_else(|| first(&self.hours, &kept.hours, latencies_differ))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account_id,
            client_id,
            at,
            ..
        } = self;
        write!(f, "client {client_id} of account {account_id} at {at}")?;
        for (index, value) in self.values.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            let Differing {
                name,
                kept,
                recomputed,
            } = value;
            write!(f, "{separator}{name} {kept} kept, {recomputed} recomputed")?;
        }
        Ok(())
    }
}

/// The first key whose values differ; what is absent counts as nothing.
fn first<T: Default>(
    recomputed: &BTreeMap<(AccountId, ClientId, Timestamp), T>,
    kept: &BTreeMap<(AccountId, ClientId, Timestamp), T>,
    differ: fn(&T, &T) -> Vec<Differing>,
) -> Option<Difference> {
    let nothing = T::default();
    let mut keys: Vec<_> = recomputed.keys().chain(kept.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().find_map(|key| {
        let kept = kept.get(key).unwrap_or(&nothing);
        let values = differ(kept, recomputed.get(key).unwrap_or(&nothing));
        (!values.is_empty()).then_some(Difference {
            account_id: key.0,
            client_id: key.1,
            at: key.2,
            values,
        })
    })
}

fn counts_differ(kept: &Counts, recomputed: &Counts) -> Vec<Differing> {
    named(kept)
        .zip(named(recomputed))
        .filter(|(kept, recomputed)| kept != recomputed)
        .map(|((name, kept), (_, recomputed))| Differing {
            name,
            kept: kept.to_string(),
            recomputed: recomputed.to_string(),
        })
        .collect()
}

fn named(counts: &Counts) -> impl Iterator<Item = (&'static str, i64)> {
    let sentiments = Sentiment::ALL.iter().map(|word| word.as_str());
    let reasons = EndedReason::ALL.iter().map(|word| word.as_str());
    [
        ("calls", counts.calls),
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("timed", counts.timed),
        ("duration_ms", counts.duration_ms),
    ]
    .into_iter()
    .chain(sentiments.zip(counts.sentiments))
    .chain(reasons.zip(counts.ended_reasons))
}

fn latencies_differ(kept: &LatencySketches, recomputed: &LatencySketches) -> Vec<Differing> {
    let both = kept.all().into_iter().zip(recomputed.all());
    ["stt_ms", "llm_ms", "tts_ms", "total_ms"]
        .into_iter()
        .zip(both)
        .filter(|(_, (kept, recomputed))| kept != recomputed)
        .map(|(name, (kept, recomputed))| Differing {
            name,
            kept: told(kept),
            recomputed: told(recomputed),
        })
        .collect()
}

fn told(sketch: &Sketch) -> String {
    match (sketch.quantile(0.5), sketch.quantile(0.99)) {
        (Some(p50), Some(p99)) => format!("of {} (p50 {p50:.1}, p99 {p99:.1})", sketch.count()),
        _ => format!("of {}", sketch.count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollups::{Counted, Latencies};

    fn call(at: &str, stt_ms: Option<f64>) -> Counted {
        Counted {
            account_id: AccountId(uuid::Uuid::from_u128(1)),
            client_id: ClientId(uuid::Uuid::from_u128(2)),
            at: at.parse().unwrap(),
            duration_ms: Some(2_000),
            success: Some(false),
            ended_reason: None,
            sentiment: Sentiment::Neutral,
            latencies: Latencies {
                stt_ms,
                ..Latencies::default()
            },
        }
    }

    fn of(calls: &[Counted]) -> Deltas {
        let mut deltas = Deltas::default();
        for call in calls {
            deltas.add(call);
        }
        deltas
    }

    #[test]
    fn the_oldest_difference_is_told_with_both_values() {
        let (old, new) = (
            call("2026-11-20T23:59:00Z", None),
            call("2026-11-21T10:00:00Z", None),
        );
        let difference = of(&[old, new]).first_difference(&of(&[new, new]));
        let told = difference.unwrap().to_string();
        assert_eq!(
            told,
            "client 00000000-0000-0000-0000-000000000002 of account \
            00000000-0000-0000-0000-000000000001 at 2026-11-20T23:45:00Z: calls 0 kept, 1 recomputed; \
            failed 0 kept, 1 recomputed; timed 0 kept, 1 recomputed; duration_ms 0 kept, 2000 recomputed; \
            neutral 0 kept, 1 recomputed"
        );
    }

    #[test]
    fn latencies_are_compared_by_bucket() {
        let (slow, fast) = (
            call("2026-11-21T10:00:00Z", Some(900.0)),
            call("2026-11-21T10:01:00Z", Some(90.0)),
        );
        let difference = of(&[fast, fast]).first_difference(&of(&[fast, slow]));
        let values = difference.unwrap().values;
        assert_eq!(values.len(), 1);
        assert_eq!(values[0].name, "stt_ms");
        assert_eq!(values[0].kept, "of 2 (p50 90.1, p99 916.6)");
        assert_eq!(values[0].recomputed, "of 2 (p50 90.1, p99 90.1)");
    }

    #[test]
    fn what_is_absent_is_nothing() {
        let mut kept = of(&[]);
        let (account, client) = (AccountId::generate(), ClientId::generate());
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        kept.quarters
            .insert((account, client, at), Counts::default());
        kept.hours
            .insert((account, client, at), LatencySketches::default());
        assert_eq!(of(&[]).first_difference(&kept), None);
    }
}
