//! Key phrases: runs of subject words that are said often.

use std::collections::{BTreeMap, HashMap};

use aftercall::documents::analysis::KeyPhrase;
use rust_stemmers::{Algorithm, Stemmer};

use super::stop_words::is_stop_word;
use super::text::{Sentence, Word};

pub const METHOD: &str = "weighted_ngrams";

const MAX_PHRASES: usize = 10;
const MAX_WORDS_IN_PHRASE: usize = 3;
/// A lone word must be repeated; a phrase of several tells enough when said once.
const MIN_COUNT_OF_WORD: u32 = 2;
/// Subject words that are read: over twice what twelve hours of speech hold. It bounds memory.
const MAX_WORDS: usize = 250_000;

/// The weightiest phrases, at most [`MAX_PHRASES`].
pub fn extract(sentences: &[Sentence<'_>]) -> Vec<KeyPhrase> {
    let counted = Counted::read(sentences);
    let mut ranked: Vec<(&Key, &Phrase, u32)> = counted
        .phrases
        .iter()
        .filter(|(key, phrase)| key.len() > 1 || phrase.count >= MIN_COUNT_OF_WORD)
        .map(|(key, phrase)| {
            let words: u32 = key.iter().map(|&stem| counted.words[stem]).sum();
            (key, phrase, phrase.count.saturating_mul(words))
        })
        .collect();
    ranked.sort_by(|a, b| {
        b.2.cmp(&a.2)
            .then(b.0.len().cmp(&a.0.len()))
            .then(a.0.cmp(b.0))
    });

    let mut chosen: Vec<(&Key, &Phrase, u32)> = Vec::new();
    for candidate in ranked {
        if chosen.len() == MAX_PHRASES {
            break;
        }
        // "Dental cleaning" beside "cleaning" tells nothing new.
        if chosen
            .iter()
            .all(|(key, ..)| !contains(key, candidate.0) && !contains(candidate.0, key))
        {
            chosen.push(candidate);
        }
    }
    let heaviest = chosen.first().map_or(1, |first| first.2);
    chosen
        .into_iter()
        .map(|(_, phrase, weight)| KeyPhrase {
            text: phrase.text.clone(),
            count: phrase.count,
            score: super::rounded(f64::from(weight) / f64::from(heaviest)),
            turn_indexes: phrase.turn_indexes.clone(),
        })
        .collect()
}

/// Numbers of the stems of a phrase. Numbers follow the first mention, so they also order ties.
type Key = Vec<usize>;

struct Phrase {
    text: String,
    count: u32,
    turn_indexes: Vec<u32>,
}

#[derive(Default)]
struct Counted {
    numbers: HashMap<String, usize>,
    /// How often each stem is said.
    words: Vec<u32>,
    phrases: BTreeMap<Key, Phrase>,
}

impl Counted {
    fn read(sentences: &[Sentence<'_>]) -> Self {
        let stemmer = Stemmer::create(Algorithm::English);
        let mut counted = Self::default();
        let mut read = 0;
        for sentence in sentences {
            let words = sentence.words();
            for run in runs(sentence.text, &words) {
                read += run.len();
                if read > MAX_WORDS {
                    return counted;
                }
                let stems: Key = run
                    .iter()
                    .map(|word| counted.count(&stemmer, word))
                    .collect();
                for len in 1..=MAX_WORDS_IN_PHRASE.min(run.len()) {
                    for (key, words) in stems.windows(len).zip(run.windows(len)) {
                        counted.add(key, words, sentence.turn.index);
                    }
                }
            }
        }
        counted
    }

    fn count(&mut self, stemmer: &Stemmer, word: &Word) -> usize {
        let next = self.words.len();
        let number = *self
            .numbers
            .entry(stemmer.stem(&word.lower).into_owned())
            .or_insert(next);
        if number == next {
            self.words.push(0);
        }
        self.words[number] = self.words[number].saturating_add(1);
        number
    }

    fn add(&mut self, key: &[usize], words: &[Word], turn_index: u32) {
        if !self.phrases.contains_key(key) {
            let text = words
                .iter()
                .map(|word| word.lower.as_str())
                .collect::<Vec<_>>()
                .join(" ");
            self.phrases.insert(
                key.to_vec(),
                Phrase {
                    text,
                    count: 0,
                    turn_indexes: Vec::new(),
                },
            );
        }
        let phrase = self
            .phrases
            .get_mut(key)
            .expect("inserted above where it was missing");
        phrase.count = phrase.count.saturating_add(1);
        if phrase.turn_indexes.last() != Some(&turn_index) {
            phrase.turn_indexes.push(turn_index);
        }
    }
}

/// Runs of subject words with nothing but spaces and hyphens between them.
fn runs<'w>(text: &str, words: &'w [Word]) -> Vec<&'w [Word]> {
    words
        .chunk_by(|a, b| {
            !is_stop_word(&a.lower)
                && !is_stop_word(&b.lower)
                && text[a.end..b.start]
                    .chars()
                    .all(|gap| gap.is_whitespace() || gap == '-')
        })
        .filter(|run| !is_stop_word(&run[0].lower))
        .collect()
}

fn contains(longer: &[usize], shorter: &[usize]) -> bool {
    longer
        .windows(shorter.len())
        .any(|window| window == shorter)
}

#[cfg(test)]
mod tests {
    use super::{MAX_PHRASES, extract};
    use crate::local::tests::transcript;
    use crate::local::text::sentences;

    #[test]
    fn repeated_phrases_lead_and_their_parts_are_left_out() {
        let call = transcript(&[
            ("a", 0, 1, "I want a dental cleaning, please."),
            (
                "b",
                1,
                2,
                "A dental cleaning takes forty minutes. Parking is free.",
            ),
            (
                "a",
                2,
                3,
                "Dental cleanings, great. Is parking behind the house?",
            ),
        ]);
        let phrases = extract(&sentences(&call.turns));
        assert_eq!(phrases[0].text, "dental cleaning");
        assert_eq!(phrases[0].count, 3);
        assert_eq!(phrases[0].turn_indexes, [0, 1, 2]);
        assert!((phrases[0].score - 1.0).abs() < f64::EPSILON);
        assert!(phrases.iter().any(|p| p.text == "parking" && p.count == 2));
        assert!(
            phrases
                .iter()
                .all(|p| p.text != "cleaning" && p.text != "dental")
        );
        assert!(phrases.iter().all(|p| p.score > 0.0 && p.score <= 1.0));
    }

    #[test]
    fn commas_and_stop_words_part_phrases() {
        let call = transcript(&[("a", 0, 1, "Boiler, valve of the kitchen. Thank you.")]);
        assert!(extract(&sentences(&call.turns)).is_empty());
    }

    #[test]
    fn the_list_is_short() {
        let text: Vec<_> = (0..200)
            .map(|i| format!("alpha{i} beta{i} gamma{i}."))
            .collect();
        let call = transcript(&[("a", 0, 1, &text.join(" "))]);
        assert_eq!(extract(&sentences(&call.turns)).len(), MAX_PHRASES);
    }
}
