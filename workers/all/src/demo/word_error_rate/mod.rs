//! Word error rate: how far a transcript is from what was said.
//!
//! Not a judgement of meaning: a missing "not" costs as much as a missing "the". Both sides go
//! through the same [`words()`], which knows nothing of any recording.

mod numbers;
mod spelling;
mod words;

use std::iter::Sum;
use std::mem::swap;
use std::ops::Add;

pub use words::words;

/// What it takes to turn the reference into the hypothesis, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words of the reference, normalised.
    pub reference_words: usize,
    /// Reference words that appear as another word.
    pub substitutions: usize,
    /// Reference words that are missing.
    pub deletions: usize,
    /// Words that nobody said.
    pub insertions: usize,
}

impl WordErrors {
    /// Substitutions, deletions and insertions together.
    pub fn errors(self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Errors per reference word, which insertions can lift above 1; `None` without a reference.
    #[expect(
        clippy::cast_precision_loss,
        reason = "word counts stay far below 2^52"
    )]
    pub fn rate(self) -> Option<f64> {
        (self.reference_words > 0).then(|| self.errors() as f64 / self.reference_words as f64)
    }
}

impl Add for WordErrors {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reference_words: self.reference_words + other.reference_words,
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
        }
    }
}

/// Channels are compared one by one and added up, so that the order of turns does not count.
impl Sum for WordErrors {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// Compares a transcript with what was said, both normalised by [`words()`].
pub fn word_error_rate(reference: &str, hypothesis: &str) -> WordErrors {
    align(&words(reference), &words(hypothesis))
}

/// Edits on the way to one cell of the alignment.
#[derive(Clone, Copy, Default)]
struct Edits {
    substitutions: usize,
    deletions: usize,
    insertions: usize,
}

impl Edits {
    fn total(self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }
}

/// Levenshtein alignment that keeps one row, along the shorter side: an hour of speech is some
/// 10,000 words, and a full table of it would be a gigabyte and more.
fn align(reference: &[String], hypothesis: &[String]) -> WordErrors {
    let (mut long, mut short) = (reference, hypothesis);
    let swapped = long.len() < short.len();
    if swapped {
        swap(&mut long, &mut short);
    }
    // row[j] is the cheapest way from the words of `long` seen so far to the first j of `short`.
    let mut row: Vec<Edits> = (0..=short.len())
        .map(|insertions| Edits {
            insertions,
            ..Edits::default()
        })
        .collect();
    for from in long {
        let mut diagonal = row[0];
        row[0].deletions += 1;
        for (column, to) in short.iter().enumerate() {
            let mut best = diagonal;
            best.substitutions += usize::from(from != to);
            diagonal = row[column + 1];
            if diagonal.total() + 1 < best.total() {
                best = Edits {
                    deletions: diagonal.deletions + 1,
                    ..diagonal
                };
            }
            let left = row[column];
            if left.total() + 1 < best.total() {
                best = Edits {
                    insertions: left.insertions + 1,
                    ..left
                };
            }
            row[column + 1] = best;
        }
    }
    let Edits {
        substitutions,
        mut deletions,
        mut insertions,
    } = row[short.len()];
    if swapped {
        swap(&mut deletions, &mut insertions);
    }
    WordErrors {
        reference_words: reference.len(),
        substitutions,
        deletions,
        insertions,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(reference: &str, hypothesis: &str) -> (usize, usize, usize) {
        let errors = word_error_rate(reference, hypothesis);
        (errors.substitutions, errors.deletions, errors.insertions)
    }

    #[test]
    fn each_kind_of_error_is_counted_as_itself() {
        assert_eq!(counts("the cat sat down", "the cat sat down"), (0, 0, 0));
        assert_eq!(counts("the cat sat down", "the bat sat down"), (1, 0, 0));
        assert_eq!(counts("the cat sat down", "the sat down"), (0, 1, 0));
        assert_eq!(
            counts("the cat sat down", "the big cat sat down"),
            (0, 0, 1)
        );
        assert_eq!(counts("a b c d e", "b c x e f"), (1, 1, 1));
    }

    #[test]
    fn the_rate_is_per_reference_word() {
        assert_eq!(
            word_error_rate("one two three four", "one two three").rate(),
            Some(0.25)
        );
        assert_eq!(
            word_error_rate("hello", "hello to all of you").rate(),
            Some(4.0)
        );
        assert_eq!(word_error_rate("hello there", "").rate(), Some(1.0));
    }

    #[test]
    fn without_a_reference_there_is_no_rate() {
        assert_eq!(word_error_rate("", "").rate(), None);
        assert_eq!(word_error_rate(" … ", "thank you").rate(), None);
        assert_eq!(counts("", "thank you"), (0, 0, 2));
    }

    #[test]
    fn channels_add_up() {
        let total: WordErrors = [word_error_rate("a b", "a"), word_error_rate("c d", "c x")]
            .into_iter()
            .sum();
        assert_eq!(
            total,
            WordErrors {
                reference_words: 4,
                substitutions: 1,
                deletions: 1,
                insertions: 0
            }
        );
        assert_eq!(total.rate(), Some(0.5));
    }

    /// The textbook definition, exponential in time and plain to see.
    fn distance(a: &[String], b: &[String]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a_rest @ ..], [y, b_rest @ ..]) if x == y => distance(a_rest, b_rest),
            ([_, a_rest @ ..], [_, b_rest @ ..]) => {
                1 + distance(a_rest, b_rest)
                    .min(distance(a_rest, b))
                    .min(distance(a, b_rest))
            }
        }
    }

    proptest! {
        #[test]
        fn errors_are_the_edit_distance(
            a in prop::collection::vec("[abc]", 0..7),
            b in prop::collection::vec("[abc]", 0..7),
        ) {
            let errors = align(&a, &b);
            prop_assert_eq!(errors.errors(), distance(&a, &b));
            prop_assert_eq!(a.len() + errors.insertions, b.len() + errors.deletions);
        }
    }
}
