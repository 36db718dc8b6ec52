//! Unions and overlaps of stretches of time.

use std::collections::BTreeMap;

use super::Timed;

/// A stretch of time in one recording, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    pub start: i64,
    pub end: i64,
}

/// How much of a recording holds speech.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand in names")]
pub struct Coverage<'a> {
    /// Time in which at least one person speaks.
    pub speech_ms: i64,
    /// Time in which two or more speak.
    pub overlap_ms: i64,
    /// Time in which each person speaks.
    pub talk_ms: BTreeMap<&'a str, i64>,
}

impl<'a> Coverage<'a> {
    /// Covers the turns of one recording.
    pub fn of(turns: &[Timed<'a>]) -> Self {
        let mut by_speaker: BTreeMap<&str, Vec<Interval>> = BTreeMap::new();
        for timed in turns {
            by_speaker
                .entry(&timed.turn.speaker)
                .or_default()
                .push(timed.interval);
        }
        let mut coverage = Self::default();
        // Each person's speech as starts (+1) and ends (-1), so that the running sum says how many
        // people speak.
        let mut edges: Vec<(i64, i32)> = Vec::new();
        for (speaker, intervals) in by_speaker {
            let merged = merge(intervals);
            coverage
                .talk_ms
                .insert(speaker, merged.iter().map(|one| one.end - one.start).sum());
            edges.extend(
                merged
                    .iter()
                    .flat_map(|one| [(one.start, 1), (one.end, -1)]),
            );
        }
        edges.sort_unstable();
        let (mut speaking, mut since) = (0, 0);
        for (at, change) in edges {
            coverage.speech_ms += if speaking >= 1 { at - since } else { 0 };
            coverage.overlap_ms += if speaking >= 2 { at - since } else { 0 };
            speaking += change;
            since = at;
        }
        coverage
    }

    pub fn plus(mut self, other: Self) -> Self {
        self.speech_ms = self.speech_ms.saturating_add(other.speech_ms);
        self.overlap_ms = self.overlap_ms.saturating_add(other.overlap_ms);
        for (speaker, talk_ms) in other.talk_ms {
            let sum = self.talk_ms.entry(speaker).or_default();
            *sum = sum.saturating_add(talk_ms);
        }
        self
    }
}

/// The union of intervals, sorted and apart from each other; empty ones are left out.
fn merge(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|one| one.start < one.end);
    intervals.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if interval.start <= last.end => last.end = last.end.max(interval.end),
            _ => merged.push(interval),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{Interval, merge};

    #[test]
    fn touching_and_nested_intervals_become_one() {
        let of = |pairs: &[(i64, i64)]| {
            pairs
                .iter()
                .map(|&(start, end)| Interval { start, end })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            merge(of(&[(5, 9), (0, 4), (4, 5), (6, 7), (20, 20)])),
            of(&[(0, 9)])
        );
        assert_eq!(merge(of(&[(5, 9), (0, 4)])), of(&[(0, 4), (5, 9)]));
    }
}
