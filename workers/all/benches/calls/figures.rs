//! Times, their quantiles, and medians of rounds.

use std::time::Duration;

use serde_json::{Value, json};

/// How long requests took.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The times, in milliseconds, within which these parts of the requests were answered.
    pub fn quantiles(&self) -> Quantiles {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        Quantiles {
            count: sorted.len(),
            p50_ms: quantile_ms(&sorted, 500),
            p99_ms: quantile_ms(&sorted, 990),
            most_ms: quantile_ms(&sorted, 1_000),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Quantiles {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub most_ms: f64,
}

impl Quantiles {
    pub fn json(&self) -> Value {
        json!({ "requests": self.count, "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.most_ms })
    }
}

/// The middle one; of an even number the mean of the middle two.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}

/// Counts in a run are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub fn real(count: u64) -> f64 {
    count as f64
}

pub fn mib(bytes: u64) -> f64 {
    real(bytes) / 1_048_576.0
}

fn quantile_ms(sorted: &[Duration], thousandths: usize) -> f64 {
    let rank = (sorted.len() * thousandths).div_ceil(1_000).max(1);
    let time = sorted.get(rank - 1).copied().unwrap_or_default();
    time.as_secs_f64() * 1_000.0
}
