//! A transcript, turn by turn.

use std::fmt::Write;

use super::{clock, printable, wrap};
use crate::documents::transcript::{NO_SPEECH, Transcript};

/// Longest name of a speaker that is not cut.
const SPEAKER_COLUMNS: usize = 14;

/// Each turn with its start and speaker.
pub fn transcript(transcript: &Transcript) -> String {
    let mut text = format!(
        "Transcript: {}, {}, by {}\n\n",
        clock(transcript.duration_ms),
        printable(transcript.language.as_deref().unwrap_or("language unknown")),
        printable(&transcript.engine),
    );
    if transcript.turns.is_empty() {
        let why = match transcript.note.as_deref() {
            Some(NO_SPEECH) => "nobody speaks in this recording",
            Some(note) => note,
            None => "no turns",
        };
        return format!("{text}  ({})\n", printable(why));
    }
    let speakers = transcript.turns.iter().map(|turn| &turn.speaker);
    let columns = speakers.map(|speaker| speaker.chars().count()).max();
    let columns = columns.unwrap_or(0).min(SPEAKER_COLUMNS);
    for turn in &transcript.turns {
        let speaker: String = printable(&turn.speaker).chars().take(columns).collect();
        let first = format!("{:>7}  {speaker:columns$}  ", clock(turn.start_ms));
        writeln!(text, "{}", wrap(&first, &turn.text)).expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::terminal::WIDTH;
    use crate::documents::transcript::Turn;
    use crate::ids::{RecordingId, SessionId};

    fn said(index: u32, speaker: &str, start_ms: i64, text: &str) -> Turn {
        Turn {
            index,
            speaker: speaker.to_owned(),
            channel: 0,
            start_ms,
            end_ms: start_ms + 1_000,
            text: text.to_owned(),
            confidence: None,
            words: None,
            recording_id: RecordingId::generate(),
        }
    }

    fn of(turns: Vec<Turn>, note: Option<&str>) -> Transcript {
        Transcript {
            session_id: SessionId::generate(),
            generation: 1,
            language: Some("en".to_owned()),
            engine: "openai/whisper-1".to_owned(),
            duration_ms: 74_500,
            note: note.map(str::to_owned),
            turns,
            created_at: "2026-11-21T10:00:00Z".parse().expect("a time"),
            correction: None,
        }
    }

    #[test]
    fn turns_are_aligned_and_wrapped() {
        let turns = vec![
            said(
                0,
                "speaker_0",
                600,
                "Good morning, Riverside Clinic, this is Emma speaking. How can I help you?",
            ),
            said(1, "unknown", 5_004, "Good morning."),
        ];
        let text = transcript(&of(turns, None));
        insta::assert_snapshot!(text, @"
        Transcript: 1:14, en, by openai/whisper-1

           0:00  speaker_0  Good morning, Riverside Clinic, this is Emma speaking. How
                            can I help you?
           0:05  unknown    Good morning.
        ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_recording_without_speech_says_so() {
        let text = transcript(&of(Vec::new(), Some(NO_SPEECH)));
        assert!(
            text.ends_with("\n  (nobody speaks in this recording)\n"),
            "{text}"
        );
    }
}
