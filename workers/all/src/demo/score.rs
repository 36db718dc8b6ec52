//! How close a transcript is to what was really said.

use std::collections::BTreeSet;

use aftercall::documents::transcript::{Transcript, Turn};

use super::sample::TrueTurn;
use super::word_error_rate::{WordErrors, word_error_rate};

/// A turn that starts within this is on time.
pub const ON_TIME_MS: i64 = 200;

/// A transcript's marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    pub words: WordErrors,
    /// Turns that were said.
    pub turns: usize,
    /// Of these, turns for which the transcript has one that starts on time on the same channel.
    pub on_time: usize,
}

impl Score {
    pub fn of(transcript: &Transcript, truth: &[TrueTurn]) -> Self {
        let channels = transcript.turns.iter().map(|turn| turn.channel);
        let channels: BTreeSet<_> = channels
            .chain(truth.iter().map(|turn| turn.channel))
            .collect();
        let words = channels.into_iter().map(|channel| {
            let said = truth.iter().filter(|turn| turn.channel == channel);
            let said: Vec<_> = said.map(|turn| turn.text.as_str()).collect();
            let heard = transcript
                .turns
                .iter()
                .filter(|turn| turn.channel == channel);
            let heard: Vec<_> = heard.map(|turn| turn.text.as_str()).collect();
            word_error_rate(&said.join(" "), &heard.join(" "))
        });
        Self {
            words: words.sum(),
            turns: truth.len(),
            on_time: truth
                .iter()
                .filter(|turn| transcript.turns.iter().any(|heard| is_on_time(heard, turn)))
                .count(),
        }
    }

    /// Share of turns on time, from 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        reason = "turn counts stay far below 2^52"
    )]
    pub fn on_time_rate(self) -> Option<f64> {
        (self.turns > 0).then(|| self.on_time as f64 / self.turns as f64)
    }
}

fn is_on_time(heard: &Turn, said: &TrueTurn) -> bool {
    heard.channel == said.channel && (heard.start_ms - said.start_ms).abs() <= ON_TIME_MS
}

#[cfg(test)]
mod tests {
    use aftercall::ids::{RecordingId, SessionId};

    use super::*;

    fn said(channel: u16, start_ms: i64, text: &str) -> TrueTurn {
        TrueTurn {
            speaker: format!("channel {channel}"),
            channel,
            start_ms,
            end_ms: start_ms + 1_000,
            text: text.to_owned(),
        }
    }

    fn heard(turns: &[(u16, i64, &str)]) -> Transcript {
        let recording_id = RecordingId::generate();
        let turns = (0..)
            .zip(turns)
            .map(|(index, (channel, start_ms, text))| Turn {
                index,
                speaker: format!("speaker_{channel}"),
                channel: *channel,
                start_ms: *start_ms,
                end_ms: start_ms + 1_000,
                text: (*text).to_owned(),
                confidence: None,
                words: None,
                recording_id,
            });
        Transcript {
            session_id: SessionId::generate(),
            generation: 1,
            language: None,
            engine: "test".to_owned(),
            duration_ms: 10_000,
            note: None,
            turns: turns.collect(),
            created_at: "2026-11-21T10:00:00Z".parse().unwrap(),
            correction: None,
        }
    }

    #[test]
    fn channels_are_judged_apart() {
        let truth = [said(0, 0, "good morning"), said(1, 900, "hello there")];
        // Overlapping turns may come in either order.
        let score = Score::of(
            &heard(&[(1, 1_100, "Hello there."), (0, 100, "Good Morning")]),
            &truth,
        );
        assert_eq!(score.words.errors(), 0);
        assert_eq!((score.turns, score.on_time), (2, 2));
        // The right words of the wrong person are wrong: two missing and two too many on each side.
        let swapped = Score::of(
            &heard(&[(1, 0, "good morning"), (0, 900, "hello there")]),
            &truth,
        );
        assert_eq!((swapped.words.errors(), swapped.on_time), (4, 0));
    }

    #[test]
    fn a_channel_without_a_turn_counts_in_full() {
        let truth = [said(0, 0, "good morning"), said(1, 900, "hello there")];
        let score = Score::of(
            &heard(&[(0, 0, "good morning"), (2, 5_000, "thank you")]),
            &truth,
        );
        assert_eq!((score.words.deletions, score.words.insertions), (2, 2));
        assert_eq!(score.on_time_rate(), Some(0.5));
    }

    #[test]
    fn a_turn_is_on_time_up_to_the_limit() {
        let truth = [said(0, 1_000, "yes")];
        let on_time = |start_ms| Score::of(&heard(&[(0, start_ms, "yes")]), &truth).on_time;
        assert_eq!([on_time(800), on_time(1_200)], [1, 1]);
        assert_eq!([on_time(799), on_time(1_201)], [0, 0]);
        assert_eq!(Score::of(&heard(&[]), &[]).on_time_rate(), None);
    }
}
