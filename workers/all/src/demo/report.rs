//! What the demo prints beside transcript and analysis: its marks, and where the time went.

use std::fmt::Write;
use std::time::Duration;

use super::score::{ON_TIME_MS, Score};
use super::timings::Timing;

const LABEL_COLUMNS: usize = 16;

/// The marks against the script.
pub fn score(score: Score) -> String {
    let words = score.words;
    let rate = words.rate().unwrap_or_default();
    let mut text = "Against the script\n\n".to_owned();
    line(
        &mut text,
        "Word errors",
        &format!(
            "{rate:.3} ({} of {} words: {} wrong, {} missing, {} too many)",
            words.errors(),
            words.reference_words,
            words.substitutions,
            words.deletions,
            words.insertions,
        ),
    );
    line(
        &mut text,
        "Turn starts",
        &format!(
            "{} of {} within {ON_TIME_MS} ms of the truth",
            score.on_time, score.turns
        ),
    );
    text
}

/// How long everything took, `recording_ms` being the length of the call.
pub fn timings(
    upload: Duration,
    stages: &[Timing],
    pipeline: Option<Duration>,
    recording_ms: i64,
) -> String {
    let mut text = "Where the time went\n\n".to_owned();
    line(&mut text, "upload", &seconds(upload));
    for Timing { stage, work, took } in stages {
        line(&mut text, stage, &format!("{}  {work}", seconds(*took)));
    }
    if let Some(took) = pipeline {
        let recording = Duration::from_millis(recording_ms.unsigned_abs());
        let total = format!(
            "{}  for {:.1} s of conversation, {:.1} times as fast",
            seconds(took),
            recording.as_secs_f64(),
            recording.as_secs_f64() / took.as_secs_f64().max(0.001),
        );
        line(&mut text, "pipeline", &total);
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    writeln!(text, "  {label:LABEL_COLUMNS$}{value}").expect("a string takes all");
}

fn seconds(duration: Duration) -> String {
    format!("{:6.2} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::word_error_rate::WordErrors;

    #[test]
    fn marks_and_times_fit_the_terminal() {
        let marks = score(Score {
            words: WordErrors {
                reference_words: 235,
                substitutions: 1,
                deletions: 1,
                insertions: 10,
            },
            turns: 14,
            on_time: 13,
        });
        let stages = [Timing {
            stage: "transcription",
            work: "speech to text",
            took: Duration::from_millis(8_250),
        }];
        let pipeline = Some(Duration::from_millis(8_750));
        let times = timings(Duration::from_millis(120), &stages, pipeline, 75_000);
        assert_eq!(
            marks + &times,
            "\
Against the script

  Word errors     0.051 (12 of 235 words: 1 wrong, 1 missing, 10 too many)
  Turn starts     13 of 14 within 200 ms of the truth
Where the time went

  upload            0.12 s
  transcription     8.25 s  speech to text
  pipeline          8.75 s  for 75.0 s of conversation, 8.6 times as fast
"
        );
    }
}
