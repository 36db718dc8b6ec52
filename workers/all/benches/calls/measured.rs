//! Rounds, and what they come to.

use serde_json::{Value, json};

use crate::figures::{Quantiles, median, mib};
use crate::systems::PerProcess;

/// One round of one side.
#[derive(Debug)]
pub struct Round {
    pub accepted: u64,
    pub refused: u64,
    pub accepted_per_s: f64,
    /// Until everything accepted was counted in the rollups.
    pub visible_per_s: f64,
    pub answers: Quantiles,
    /// From the last accept until everything was counted.
    pub lag_ms: f64,
    pub cpu_s_per_thousand: PerProcess<f64>,
    pub load_cpu_s_per_thousand: f64,
    pub peak_bytes: PerProcess<u64>,
}

/// The rounds of both sides at one concurrency.
#[derive(Debug)]
pub struct Comparison {
    pub concurrency: usize,
    pub ours: Vec<Round>,
    pub baseline: Vec<Round>,
}

/// A figure of a round with its name, and how many decimals it is shown with.
type Figure = (&'static str, fn(&Round) -> f64, usize);

/// What the sides are compared by.
pub const FIGURES: [Figure; 7] = [
    ("accepted/s", |round| round.accepted_per_s, 0),
    ("visible/s", |round| round.visible_per_s, 0),
    ("p50 ms", |round| round.answers.p50_ms, 2),
    ("p99 ms", |round| round.answers.p99_ms, 2),
    ("lag ms", |round| round.lag_ms, 0),
    ("CPU s per 1,000 calls", Round::cpu_s_per_thousand, 3),
    (
        "load's own CPU s per 1,000",
        |round| round.load_cpu_s_per_thousand,
        3,
    ),
];

impl Round {
    /// Of what the path of a call needs: maintenance is counted apart.
    fn cpu_s_per_thousand(&self) -> f64 {
        let needed = self.cpu_s_per_thousand.iter();
        needed
            .filter(|(name, _)| *name != "maintenance")
            .map(|(_, s)| s)
            .sum()
    }

    fn json(&self) -> Value {
        let cpu = self.cpu_s_per_thousand.iter();
        let cpu: serde_json::Map<_, _> = cpu
            .map(|(name, s)| ((*name).to_owned(), json!(s)))
            .collect();
        let peaks = self.peak_bytes.iter();
        let peaks: serde_json::Map<_, _> = peaks
            .map(|(name, bytes)| ((*name).to_owned(), json!(mib(*bytes))))
            .collect();
        json!({
            "accepted": self.accepted,
            "refused": self.refused,
            "accepted_per_s": self.accepted_per_s,
            "visible_per_s": self.visible_per_s,
            "answers": self.answers.json(),
            "lag_ms": self.lag_ms,
            "cpu_s_per_1000": cpu,
            "cpu_s_per_1000_of_the_path": self.cpu_s_per_thousand(),
            "load_cpu_s_per_1000": self.load_cpu_s_per_thousand,
            "peak_mib": peaks,
        })
    }
}

impl Comparison {
    pub const fn at(concurrency: usize) -> Self {
        Self {
            concurrency,
            ours: Vec::new(),
            baseline: Vec::new(),
        }
    }

    /// For each figure the medians of ours and the baseline's.
    pub fn medians(&self) -> impl Iterator<Item = (&'static str, f64, f64, usize)> {
        FIGURES.into_iter().map(|(name, of, decimals)| {
            let ours = median(self.ours.iter().map(of));
            let baseline = median(self.baseline.iter().map(of));
            (name, ours, baseline, decimals)
        })
    }

    /// The median processor time of each process, and the most memory that it had in any round.
    pub fn processes(&self) -> Vec<(&'static str, &'static str, f64, f64)> {
        let mut all = Vec::new();
        for (side, rounds) in [("ours", &self.ours), ("baseline", &self.baseline)] {
            let Some(first) = rounds.first() else {
                continue;
            };
            for (at, (name, _)) in first.peak_bytes.iter().enumerate() {
                let cpu = rounds.iter().map(|round| round.cpu_s_per_thousand[at].1);
                let peaks = rounds.iter().map(|round| round.peak_bytes[at].1);
                let peak = mib(peaks.max().unwrap_or_default());
                all.push((side, *name, median(cpu), peak));
            }
        }
        all
    }

    pub fn json(&self) -> Value {
        let medians = self.medians().map(|(name, ours, baseline, _)| {
            let figures = json!({ "ours": ours, "baseline": baseline, "ratio": ours / baseline });
            (name.to_owned(), figures)
        });
        json!({
            "concurrency": self.concurrency,
            "medians": medians.collect::<serde_json::Map<_, _>>(),
            "ours": self.ours.iter().map(Round::json).collect::<Vec<_>>(),
            "baseline": self.baseline.iter().map(Round::json).collect::<Vec<_>>(),
        })
    }
}
