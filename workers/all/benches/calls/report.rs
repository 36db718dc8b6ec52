//! What was measured, as tables and as JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::ingest::Ingest;
use crate::measured::Comparison;
use crate::reads::ReadTimes;

/// Parts that were not asked for are empty.
#[derive(Default)]
pub struct Report {
    pub rounds: Vec<Comparison>,
    pub reads: Vec<ReadTimes>,
    pub ingest: Vec<Ingest>,
}

impl Report {
    fn json(&self) -> Value {
        json!({
            "profile": profile(),
            "cores": cores(),
            "rounds": self.rounds.iter().map(Comparison::json).collect::<Vec<_>>(),
            "reads": self.reads.iter().map(ReadTimes::json).collect::<Vec<_>>(),
            "ingest": self.ingest.iter().map(Ingest::json).collect::<Vec<_>>(),
        })
    }

    /// Writes `bench/calls.json` in the target folder.
    pub fn write(&self) -> std::io::Result<PathBuf> {
        let path = folder()?.join("calls.json");
        std::fs::write(&path, format!("{:#}\n", self.json()))?;
        Ok(path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} build, {} cores", profile(), cores())?;
        for comparison in &self.rounds {
            compare(f, comparison)?;
        }
        if !self.reads.is_empty() {
            let (count, p50, p99, most) = ("calls", "p50 ms", "p99 ms", "max ms");
            writeln!(
                f,
                "\n{:<58}{count:>10}{p50:>9}{p99:>9}{most:>9}",
                "reads, by concurrency"
            )?;
        }
        for read in &self.reads {
            writeln!(f, "{read}")?;
        }
        for ingest in &self.ingest {
            writeln!(f, "\n{ingest}")?;
        }
        Ok(())
    }
}

fn compare(f: &mut fmt::Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    let rounds = comparison.ours.len();
    writeln!(
        f,
        "\nconcurrency {}, medians of {rounds} rounds\n{:<28}{:>12}{:>12}{:>8}",
        comparison.concurrency, "", "ours", "baseline", "ratio",
    )?;
    for (name, ours, baseline, decimals) in comparison.medians() {
        let ratio = ours / baseline;
        writeln!(
            f,
            "{name:<28}{ours:>12.decimals$}{baseline:>12.decimals$}{ratio:>8.2}"
        )?;
    }
    writeln!(
        f,
        "{:<28}{:>12}{:>12}",
        "process", "CPU s/1,000", "peak MiB"
    )?;
    for (side, name, cpu, peak) in comparison.processes() {
        let process = format!("{name} ({side})");
        writeln!(f, "{process:<28}{cpu:>12.3}{peak:>12.1}")?;
    }
    Ok(())
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

/// `bench` in the target folder.
pub fn folder() -> std::io::Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let folder = target
        .expect("the temporary folder is in the target folder")
        .join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
