//! What was said, in stretches of one voice, and the stretches of all parts as turns.
//!
//! Pure: knows neither format of the service.

use aftercall::documents::transcript::{Turn, Word, speaker_of_channel};
use aftercall::ids::RecordingId;

use crate::turns::TURN_PAUSE_MS;

/// A stretch of speech of one voice. Times count from the start of the audio that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub channel: u16,
    pub voice: Voice,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub words: Vec<Word>,
}

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Whoever speaks on the channel, of so many.
    OfChannel { channels: u16 },
    /// One of those that the service told apart in this audio, from 0.
    Speaker(u16),
}

/// What came of one part of a recording.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it begins in the recording.
    pub start_ms: i64,
    pub lines: Vec<Line>,
}

impl Line {
    /// Whether `next` goes on with what was said here, as in one turn.
    pub fn continues_with(&self, next: &Self) -> bool {
        self.channel == next.channel
            && self.voice == next.voice
            && next.start_ms - self.end_ms < TURN_PAUSE_MS
    }

    fn confidence(&self) -> Option<f64> {
        let rated = self.words.iter().filter_map(|word| word.confidence);
        let (sum, count) = rated.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }
}

/// The turns of a recording.
///
/// The service knows no voice from one part to the next: those of a later part are others.
pub fn turns(recording_id: RecordingId, parts: Vec<Part>) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut first_speaker = 0;
    for part in parts {
        let mut next_speaker = first_speaker;
        for line in part.lines {
            let confidence = line.confidence();
            let speaker = match line.voice {
                Voice::OfChannel { channels } => speaker_of_channel(line.channel, channels),
                Voice::Speaker(number) => {
                    next_speaker = next_speaker.max(first_speaker + number + 1);
                    format!("speaker_{}", first_speaker + number)
                }
            };
            let moved = |word: Word| Word {
                text: without_nul(word.text),
                start_ms: part.start_ms + word.start_ms,
                end_ms: part.start_ms + word.end_ms,
                ..word
            };
            turns.push(Turn {
                index: u32::try_from(turns.len()).expect("hours of speech have few turns"),
                speaker,
                channel: line.channel,
                start_ms: part.start_ms + line.start_ms,
                end_ms: part.start_ms + line.end_ms,
                text: without_nul(line.text),
                confidence,
                words: Some(line.words.into_iter().map(moved).collect()),
                recording_id,
            });
        }
        first_speaker = next_speaker;
    }
    turns
}

/// Postgres keeps no U+0000, and nobody said it.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(voice: Voice, start_ms: i64) -> Line {
        Line {
            channel: 0,
            voice,
            start_ms,
            end_ms: start_ms + 500,
            text: "Yes.".to_owned(),
            words: vec![Word {
                text: "Yes".to_owned(),
                start_ms,
                end_ms: start_ms + 400,
                confidence: Some(0.5),
            }],
        }
    }

    #[test]
    fn later_parts_are_moved_and_their_voices_are_others() {
        let part = |start_ms| Part {
            start_ms,
            lines: vec![line(Voice::Speaker(0), 100), line(Voice::Speaker(1), 900)],
        };
        let turns = turns(RecordingId::generate(), vec![part(0), part(10_000)]);
        let found: Vec<_> = turns
            .iter()
            .map(|turn| (turn.index, turn.speaker.as_str(), turn.start_ms))
            .collect();
        assert_eq!(
            found,
            [
                (0, "speaker_0", 100),
                (1, "speaker_1", 900),
                (2, "speaker_2", 10_100),
                (3, "speaker_3", 10_900),
            ]
        );
        let words = turns[2].words.as_ref().expect("words");
        assert_eq!((words[0].start_ms, words[0].end_ms), (10_100, 10_500));
        assert_eq!(turns[2].confidence, Some(0.5));
    }

    #[test]
    fn channels_are_the_same_people_in_each_part() {
        let voice = Voice::OfChannel { channels: 2 };
        let parts = [0, 10_000].map(|start_ms| Part {
            start_ms,
            lines: vec![line(voice, 0)],
        });
        let turns = turns(RecordingId::generate(), parts.into());
        assert!(turns.iter().all(|turn| turn.speaker == "speaker_0"));
    }
}
