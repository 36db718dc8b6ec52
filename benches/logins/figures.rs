//! What was measured, as a table and as JSON.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// How long requests took.
#[derive(Default)]
pub struct Times(Vec<Duration>);

/// The sign-ins of the flood.
pub struct SignIns {
    duration: Duration,
    pub let_in: Times,
    pub turned_away: Times,
    /// Refused with 503, as too many were waiting.
    pub busy: Times,
}

/// Medians of failed sign-ins.
pub struct EqualTime {
    known: Duration,
    unknown: Duration,
    tries: usize,
}

pub struct Report {
    pub idle: Times,
    pub flooded: Times,
    pub sign_ins: SignIns,
    pub equal_time: EqualTime,
}

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time within which this part of the requests was answered, in thousandths.
    fn quantile(&self, thousandths: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (sorted.len() * thousandths).div_ceil(1_000);
        sorted
            .get(at.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    fn p50(&self) -> Duration {
        self.quantile(500)
    }

    fn p99(&self) -> Duration {
        self.quantile(990)
    }

    fn json(&self) -> Value {
        json!({ "requests": self.0.len(), "p50_ms": ms(self.p50()), "p99_ms": ms(self.p99()) })
    }
}

impl SignIns {
    pub fn during(duration: Duration) -> Self {
        Self {
            duration,
            let_in: Times::default(),
            turned_away: Times::default(),
            busy: Times::default(),
        }
    }

    fn per_s(&self, times: &[&Times]) -> f64 {
        let count: usize = times.iter().map(|times| times.0.len()).sum();
        f64::from(u32::try_from(count).expect("a short run")) / self.duration.as_secs_f64()
    }
}

impl EqualTime {
    pub fn of(known: &Times, unknown: &Times) -> Self {
        Self {
            known: known.p50(),
            unknown: unknown.p50(),
            tries: known.0.len(),
        }
    }
}

impl Report {
    fn json(&self) -> Value {
        let (logins, equal) = (&self.sign_ins, &self.equal_time);
        json!({
            "profile": profile(),
            "cores": cores(),
            "me_idle": self.idle.json(),
            "me_flooded": self.flooded.json(),
            "me_p50_ratio": ratio(self.flooded.p50(), self.idle.p50()),
            "me_p99_ratio": ratio(self.flooded.p99(), self.idle.p99()),
            "logins": {
                "answered_per_s": logins.per_s(&[&logins.let_in, &logins.turned_away]),
                "busy_per_s": logins.per_s(&[&logins.busy]),
                "let_in": logins.let_in.json(),
                "turned_away": logins.turned_away.json(),
                "busy": logins.busy.json(),
            },
            "equal_time": {
                "tries": equal.tries,
                "known_p50_ms": ms(equal.known),
                "unknown_p50_ms": ms(equal.unknown),
                "ratio": ratio(equal.known, equal.unknown),
            },
        })
    }

    /// Writes `bench/logins.json` in the target folder.
    pub fn write(&self) -> std::io::Result<PathBuf> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let dir = target
            .expect("the temporary folder is in the target folder")
            .join("bench");
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("logins.json");
        std::fs::write(&path, format!("{:#}\n", self.json()))?;
        Ok(path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (logins, equal) = (&self.sign_ins, &self.equal_time);
        writeln!(f, "{} build, {} cores\n", profile(), cores())?;
        writeln!(f, "{:<44}{:>9}{:>11}{:>11}", "", "requests", "p50", "p99")?;
        for (name, times) in [
            ("GET /auth/me, idle", &self.idle),
            ("GET /auth/me, with the sign-ins below", &self.flooded),
            ("sign-ins let in", &logins.let_in),
            ("sign-ins turned away (401)", &logins.turned_away),
            ("sign-ins refused while busy (503)", &logins.busy),
        ] {
            let (p50, p99) = (ms(times.p50()), ms(times.p99()));
            writeln!(
                f,
                "{name:<44}{:>9}{p50:>8.1} ms{p99:>8.1} ms",
                times.0.len()
            )?;
        }
        let (p50, p99) = (
            ratio(self.flooded.p50(), self.idle.p50()),
            ratio(self.flooded.p99(), self.idle.p99()),
        );
        writeln!(
            f,
            "\nGET /auth/me, busy against idle: p50 {p50:.2}, p99 {p99:.2}"
        )?;
        writeln!(
            f,
            "sign-ins a second: {:.0} answered, {:.0} refused while busy",
            logins.per_s(&[&logins.let_in, &logins.turned_away]),
            logins.per_s(&[&logins.busy]),
        )?;
        write!(
            f,
            "failed sign-in, medians of {}: known {:.1} ms, unknown {:.1} ms, ratio {:.3}",
            equal.tries,
            ms(equal.known),
            ms(equal.unknown),
            ratio(equal.known, equal.unknown),
        )
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
