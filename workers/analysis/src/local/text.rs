//! Turns cut into sentences and words, without copying their text.

use aftercall::documents::analysis::Quote;
use aftercall::documents::transcript::Turn;
use aftercall::lexicon;
use unicode_segmentation::UnicodeSegmentation;

/// A sentence with at least one word: a literal span of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a> {
    pub turn: &'a Turn,
    pub text: &'a str,
    /// Where it begins in the recording.
    pub start_ms: i64,
}

impl Sentence<'_> {
    /// Its words in lower case with straight apostrophes.
    pub fn words(&self) -> Vec<Word> {
        words(self.text)
    }

    /// Whether it ends like a question, closing quotes and brackets aside.
    pub fn ends_with_question_mark(&self) -> bool {
        let end = self
            .text
            .trim_end_matches(['"', '\'', '”', '’', ')', ']', '!', '.']);
        end.ends_with(['?', '？'])
    }

    pub fn quote(&self) -> Quote {
        Quote {
            turn_index: self.turn.index,
            recording_id: self.turn.recording_id,
            speaker: self.turn.speaker.clone(),
            start_ms: self.start_ms,
            text: self.text.to_owned(),
        }
    }
}

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// In lower case, typographic apostrophes made straight.
    pub lower: String,
    /// Byte offsets in the text.
    pub start: usize,
    pub end: usize,
}

/// The words of a text, as Unicode's word boundaries (UAX #29) give them.
pub fn words(text: &str) -> Vec<Word> {
    text.unicode_word_indices()
        .map(|(start, word)| Word {
            lower: word.to_lowercase().replace('’', "'"),
            start,
            end: start + word.len(),
        })
        .collect()
}

/// The sentences of the turns, in order.
pub fn sentences(turns: &[Turn]) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    for turn in turns {
        let clock = Clock::of(turn);
        found.extend(
            lexicon::sentences(&turn.text)
                .into_iter()
                .map(|(offset, text)| Sentence {
                    turn,
                    text,
                    start_ms: clock.at(offset),
                }),
        );
    }
    found
}

/// Maps a place in a turn's text to its time.
pub struct Clock<'a> {
    turn: &'a Turn,
    /// Byte offsets where words begin; empty unless they match the turn's timed words in number.
    word_starts: Vec<usize>,
}

impl<'a> Clock<'a> {
    pub fn of(turn: &'a Turn) -> Self {
        let timed = turn.words.as_deref().unwrap_or_default();
        let mut word_starts = Vec::new();
        if !timed.is_empty() {
            let base = turn.text.as_ptr() as usize;
            word_starts.extend(
                turn.text
                    .split_whitespace()
                    .map(|word| word.as_ptr() as usize - base),
            );
        }
        if word_starts.len() != timed.len() {
            word_starts.clear();
        }
        Self { turn, word_starts }
    }

    /// Time of the word at or after the offset, else of the turn.
    pub fn at(&self, offset: usize) -> i64 {
        let position = self.word_starts.partition_point(|&start| start < offset);
        match (&self.turn.words, self.word_starts.is_empty()) {
            (Some(words), false) => words
                .get(position)
                .map_or(self.turn.start_ms, |w| w.start_ms),
            _ => self.turn.start_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use aftercall::documents::transcript;

    use super::{sentences, words};
    use crate::local::tests::turn;

    fn texts(text: &str) -> Vec<String> {
        sentences(&[turn(0, "speaker_0", 0, 1_000, text)])
            .iter()
            .map(|sentence| sentence.text.to_owned())
            .collect()
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_at_titles_and_initials() {
        assert_eq!(
            texts(" Dr. Allen is in. Call J. Smith at 3.30 p.m.! Okay?  "),
            ["Dr. Allen is in.", "Call J. Smith at 3.30 p.m.!", "Okay?"]
        );
        assert_eq!(texts("So do I. Bye."), ["So do I.", "Bye."]);
        assert!(texts("… \u{0}\n--").is_empty());
    }

    #[test]
    fn endless_sentences_are_cut_and_nothing_is_lost() {
        let endless = "so and then ".repeat(500);
        let cut = texts(&endless);
        assert!(cut.iter().all(|piece| piece.len() <= 600));
        assert_eq!(cut.join(" "), endless.trim());
        let unbroken = "ä".repeat(5_000);
        assert_eq!(texts(&unbroken).concat(), unbroken);
    }

    #[test]
    fn a_sentence_carries_the_time_of_its_first_word_where_words_are_timed() {
        let mut timed = turn(0, "speaker_0", 1_000, 3_000, "Hi Ann. See you.");
        let word = |text: &str, start_ms| transcript::Word {
            text: text.into(),
            start_ms,
            end_ms: start_ms + 100,
            confidence: None,
        };
        timed.words = Some(vec![
            word("Hi", 1_010),
            word("Ann.", 1_200),
            word("See", 2_000),
            word("you.", 2_200),
        ]);
        let starts = |turn| {
            sentences(&[turn])
                .iter()
                .map(|s| s.start_ms)
                .collect::<Vec<_>>()
        };
        assert_eq!(starts(timed.clone()), [1_010, 2_000]);
        timed.words.as_mut().map(Vec::pop);
        assert_eq!(
            starts(timed),
            [1_000, 1_000],
            "words that do not match the text are not used"
        );
    }

    #[test]
    fn words_are_lower_case_with_straight_apostrophes() {
        let found: Vec<_> = words("I’ll call YOU, mm-hmm")
            .into_iter()
            .map(|w| w.lower)
            .collect();
        assert_eq!(found, ["i'll", "call", "you", "mm", "hmm"]);
    }

    #[test]
    fn question_marks_count_behind_quotes() {
        let asked = turn(0, "s", 0, 1, "\"Really?\"");
        let turns = [asked];
        assert!(sentences(&turns)[0].ends_with_question_mark());
    }
}
