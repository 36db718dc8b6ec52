//! Interruptions: one speaker starting while another has the floor.

use aftercall::documents::analysis::Interruption;
use unicode_segmentation::UnicodeSegmentation;

use super::Timed;

/// Both must speak this long: shorter overlaps are how people take turns, and turn times are not
/// exact.
const MIN_OVERLAP_MS: i64 = 500;
/// A speaker has the floor after speaking this long: starting together interrupts nobody.
const MIN_FLOOR_MS: i64 = 500;
/// Longer turns are not backchannels.
const MAX_BACKCHANNEL_WORDS: usize = 3;
/// Words that say "go on, I listen"; "mm-hmm" is two of them.
const BACKCHANNELS: &[&str] = &[
    "ah", "aha", "hm", "hmm", "huh", "i", "mhm", "mm", "mmm", "oh", "ok", "okay", "really",
    "right", "see", "sure", "true", "uh", "um", "wow", "yeah", "yep", "yes",
];

/// The interruptions in one recording, whose turns are put in order of time.
///
/// Of the speakers who have the floor, the one whose turn goes on longest is interrupted. It is
/// enough to remember the two latest-ending turns of different speakers, so the search is linear
/// after the sort.
pub fn find(turns: &mut [Timed<'_>]) -> Vec<Interruption> {
    turns.sort_by_key(|timed| (timed.interval, timed.turn.index, timed.turn.channel));
    let speech: Vec<&Timed<'_>> = turns
        .iter()
        .filter(|timed| !is_backchannel(&timed.turn.text))
        .collect();
    let mut floor = Floor::default();
    let mut entering = speech.iter().peekable();
    let mut found = Vec::new();
    for timed in &speech {
        let start = timed.interval.start;
        while let Some(holder) =
            entering.next_if(|holder| holder.interval.start <= start - MIN_FLOOR_MS)
        {
            floor.enter(holder);
        }
        let Some(holder) = floor.held_against(&timed.turn.speaker) else {
            continue;
        };
        let overlap_ms = holder.interval.end.min(timed.interval.end) - start;
        if overlap_ms >= MIN_OVERLAP_MS {
            found.push(Interruption {
                turn_index: timed.turn.index,
                speaker: timed.turn.speaker.clone(),
                interrupted_turn_index: holder.turn.index,
                interrupted_speaker: holder.turn.speaker.clone(),
                recording_id: timed.turn.recording_id,
                start_ms: start,
                overlap_ms,
            });
        }
    }
    found
}

/// The latest-ending turn so far, and the latest-ending one of anybody else.
#[derive(Default)]
struct Floor<'t, 'a> {
    first: Option<&'t Timed<'a>>,
    second: Option<&'t Timed<'a>>,
}

impl<'t, 'a> Floor<'t, 'a> {
    fn enter(&mut self, timed: &'t Timed<'a>) {
        let ends_after = |held: Option<&Timed<'_>>| {
            held.is_none_or(|held| timed.interval.end > held.interval.end)
        };
        let same_speaker = self
            .first
            .is_some_and(|first| first.turn.speaker == timed.turn.speaker);
        if ends_after(self.first) {
            if !same_speaker {
                self.second = self.first;
            }
            self.first = Some(timed);
        } else if !same_speaker && ends_after(self.second) {
            self.second = Some(timed);
        }
    }

    /// The latest-ending turn that is not the speaker's own.
    fn held_against(&self, speaker: &str) -> Option<&'t Timed<'a>> {
        self.first
            .filter(|first| first.turn.speaker != speaker)
            .or(self.second)
    }
}

fn is_backchannel(text: &str) -> bool {
    let mut words = 0;
    for word in text.unicode_words() {
        words += 1;
        if words > MAX_BACKCHANNEL_WORDS || !BACKCHANNELS.contains(&word.to_lowercase().as_str()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Timed, find, is_backchannel};
    use crate::local::tests::transcript;

    /// `(turn, interrupted turn, overlap)` of each interruption.
    fn found(turns: &[(&str, i64, i64, &str)]) -> Vec<(u32, u32, i64)> {
        let call = transcript(turns);
        let mut timed: Vec<_> = call
            .turns
            .iter()
            .map(|t| Timed::of(t, call.duration_ms))
            .collect();
        find(&mut timed)
            .iter()
            .map(|one| (one.turn_index, one.interrupted_turn_index, one.overlap_ms))
            .collect()
    }

    #[test]
    fn cutting_in_counts_from_half_a_second_of_overlap() {
        let long = ("a", 0, 5_000, "let me explain the whole thing");
        assert_eq!(
            found(&[long, ("b", 4_500, 6_000, "no wait")]),
            [(1, 0, 500)]
        );
        assert_eq!(found(&[long, ("b", 4_501, 6_000, "no wait")]), []);
        assert_eq!(
            found(&[long, ("b", 2_000, 3_000, "but listen")]),
            [(1, 0, 1_000)]
        );
        assert_eq!(found(&[long, ("b", 5_000, 6_000, "my turn")]), []);
    }

    #[test]
    fn starting_together_backchannels_and_oneself_interrupt_nobody() {
        let long = ("a", 0, 5_000, "let me explain the whole thing");
        assert_eq!(found(&[long, ("b", 499, 3_000, "so I wanted")]), []);
        assert_eq!(found(&[long, ("b", 2_000, 3_000, "Mm-hmm, right.")]), []);
        assert_eq!(found(&[long, ("a", 2_000, 3_000, "an echo of it")]), []);
        assert_eq!(
            found(&[("a", 0, 3_000, "Yeah."), ("b", 1_000, 4_000, "so I said")]),
            []
        );
    }

    #[test]
    fn of_several_speakers_the_one_who_goes_on_longest_is_interrupted() {
        let turns = [
            ("a", 0, 9_000, "first one talks"),
            ("b", 100, 4_000, "second one talks"),
            ("a", 3_000, 3_900, "again the first"),
            ("c", 3_000, 8_000, "third one talks"),
        ];
        assert_eq!(found(&turns), [(2, 1, 900), (3, 0, 5_000)]);
    }

    #[test]
    fn backchannels_are_short_and_of_known_words() {
        assert!(is_backchannel("Mm-hmm.") && is_backchannel("Oh, I see.") && is_backchannel("…"));
        assert!(!is_backchannel("No.") && !is_backchannel("yeah yeah yeah yeah"));
    }
}
