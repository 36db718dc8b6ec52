//! The call of the demo, and what was really said in it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// Made for the project; its folder says how.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clinic-call");

/// A recording with its truth.
#[derive(Clone, Debug)]
pub struct Sample {
    pub recording: PathBuf,
    pub turns: Vec<TrueTurn>,
}

/// One turn of the script, with the times at which its sound begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TrueTurn {
    pub speaker: String,
    pub channel: u16,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
}

impl Sample {
    /// The call of the checkout that this program was built from.
    pub fn clinic_call() -> anyhow::Result<Self> {
        Self::read(Path::new(FOLDER))
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("turns.json");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let turns = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a list of turns", file.display()))?;
        Ok(Self {
            recording: folder.join("call.opus"),
            turns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_the_script() {
        let script = std::fs::read_to_string(Path::new(FOLDER).join("script.tsv")).unwrap();
        let lines: Vec<_> = script
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .collect();
        let turns = Sample::clinic_call().unwrap().turns;
        let turns: Vec<_> = turns
            .iter()
            .map(|turn| (turn.speaker.as_str(), turn.text.as_str()))
            .collect();
        assert_eq!(turns, lines);
    }

    #[test]
    fn a_sample_that_is_not_there_names_its_file() {
        let error = Sample::read(Path::new("/absent")).unwrap_err();
        assert_eq!(error.to_string(), "could not read /absent/turns.json");
    }
}
