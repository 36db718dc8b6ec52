//! Turns cut into sentences and words, without copying their text.

use aftercall::documents::analysis::Quote;
use aftercall::documents::transcript::Turn;
use unicode_segmentation::UnicodeSegmentation;

/// Longer sentences are cut: transcripts without punctuation must not become one endless sentence.
const MAX_SENTENCE_BYTES: usize = 600;

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: &[&str] = &["Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St.", "Mt.", "vs."];

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
        for (start, end) in spans(&turn.text) {
            push_pieces(turn, &clock, start, end, &mut found);
        }
    }
    found
}

/// Unicode's sentence spans (UAX #29), joined where an abbreviation cut them.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (start, piece) in text.split_sentence_bound_indices() {
        let end = start + piece.len();
        match spans.last_mut() {
            Some(last) if ends_with_abbreviation(&text[last.0..last.1]) => last.1 = end,
            _ => spans.push((start, end)),
        }
    }
    spans
}

fn ends_with_abbreviation(piece: &str) -> bool {
    let last = piece
        .rsplit(char::is_whitespace)
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    let mut letters = last.chars();
    let initial = matches!(
        (letters.next(), letters.next(), letters.next()),
        (Some(letter), Some('.'), None) if letter.is_uppercase() && letter != 'I'
    );
    initial || ABBREVIATIONS.contains(&last)
}

fn push_pieces<'a>(
    turn: &'a Turn,
    clock: &Clock<'a>,
    mut start: usize,
    end: usize,
    found: &mut Vec<Sentence<'a>>,
) {
    while start < end {
        let cut = start + piece_len(&turn.text[start..end]);
        let piece = &turn.text[start..cut];
        let text = piece.trim();
        if text.unicode_words().next().is_some() {
            let offset = start + piece.len() - piece.trim_start().len();
            found.push(Sentence {
                turn,
                text,
                start_ms: clock.at(offset),
            });
        }
        start = cut;
    }
}

/// Length of the first piece: all of it, or up to the last space before the limit, or up to the
/// limit where there is no space.
fn piece_len(text: &str) -> usize {
    if text.len() <= MAX_SENTENCE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(MAX_SENTENCE_BYTES);
    match text[..limit].rfind(char::is_whitespace) {
        Some(space) if space > 0 => space,
        _ => limit,
    }
}

/// Maps a place in a turn's text to its time.
struct Clock<'a> {
    turn: &'a Turn,
    /// Byte offsets where words begin; empty unless they match the turn's timed words in number.
    word_starts: Vec<usize>,
}

impl<'a> Clock<'a> {
    fn of(turn: &'a Turn) -> Self {
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
    fn at(&self, offset: usize) -> i64 {
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
