//! A transcript without its personal data.

use crate::documents::transcript::{Transcript, Turn, Word};
use crate::redaction::{Redacted, Redactor, Replaced};

/// A turn as it was said, and what was replaced in it.
#[derive(Debug)]
pub struct TurnText {
    original: String,
    replaced: Vec<Replaced>,
}

impl TurnText {
    /// A part of the turn without its personal data, also where the part is cut through a number;
    /// `None` where it is no part.
    pub fn quote(&self, part: &str) -> Option<String> {
        // The same words may stand there twice, and once be personal data.
        let places = self.original.match_indices(part).map(|(start, _)| start);
        let quotes = places.map(|start| self.slice(start, start + part.len()));
        let most = quotes.max_by_key(|(replaced, _)| *replaced)?;
        Some(most.1)
    }

    /// How much was replaced between two bytes, and what remains.
    fn slice(&self, start: usize, end: usize) -> (usize, String) {
        let (mut text, mut done, mut count) = (String::new(), start, 0);
        let from = self.replaced.partition_point(|it| it.bytes.end <= start);
        for replaced in &self.replaced[from..] {
            if replaced.bytes.start >= end {
                break;
            }
            text.push_str(&self.original[done..replaced.bytes.start.max(done)]);
            text.push_str(&replaced.placeholder);
            done = replaced.bytes.end.min(end);
            count += 1;
        }
        text.push_str(&self.original[done..end]);
        (count, text)
    }
}

/// Redacts every turn; answers them as they were said.
pub fn redact(redactor: &mut Redactor, transcript: &mut Transcript) -> Vec<TurnText> {
    let turns = transcript.turns.iter_mut();
    turns.map(|turn| redact_turn(redactor, turn)).collect()
}

fn redact_turn(redactor: &mut Redactor, turn: &mut Turn) -> TurnText {
    let Redacted { text, replaced } = redactor.redact_with_places(&turn.text);
    turn.speaker = redactor.redact_apart(&turn.speaker);
    let words = turn.words.take();
    turn.words = words.and_then(|words| redact_words(&turn.text, &replaced, words));
    let original = std::mem::replace(&mut turn.text, text);
    TurnText { original, replaced }
}

/// The words with one for each placeholder; none where they are not those of the text, since then
/// nobody knows what they give away.
fn redact_words(text: &str, replaced: &[Replaced], words: Vec<Word>) -> Option<Vec<Word>> {
    let mut kept: Vec<Word> = Vec::with_capacity(words.len());
    let (mut done, mut current, mut is_current_shown) = (0, 0, false);
    for mut word in words {
        let spoken = word.text.trim();
        let start = done + text[done..].find(spoken)?;
        let end = start + spoken.len();
        done = end;
        while replaced
            .get(current)
            .is_some_and(|it| it.bytes.end <= start)
        {
            (current, is_current_shown) = (current + 1, false);
        }
        if let Some(over) = replaced.get(current).filter(|it| it.bytes.start < end) {
            if let Some(shown) = kept.last_mut().filter(|_| is_current_shown) {
                shown.end_ms = word.end_ms;
                continue;
            }
            word.text.clone_from(&over.placeholder);
            is_current_shown = true;
        }
        kept.push(word);
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RecordingId;

    fn turn(text: &str, words: &[&str]) -> Turn {
        let word = |(index, text): (i64, &&str)| Word {
            text: (*text).to_owned(),
            start_ms: index * 10,
            end_ms: index * 10 + 9,
            confidence: None,
        };
        Turn {
            index: 0,
            speaker: "Maria".to_owned(),
            channel: 0,
            start_ms: 0,
            end_ms: 100,
            text: text.to_owned(),
            confidence: None,
            words: Some((0..).zip(words).map(word).collect()),
            recording_id: RecordingId::generate(),
        }
    }

    #[test]
    fn words_of_a_number_become_one() {
        let mut redactor = Redactor::new(["Maria"]);
        let mut spoken = turn(
            "I'm Maria, call 555 0100.",
            &["I'm", " Maria,", "call", "555", "0100."],
        );
        let read = redact_turn(&mut redactor, &mut spoken);
        assert_eq!(spoken.text, "I'm [NAME_1], call [PHONE_1].");
        assert_eq!(spoken.speaker, "[NAME_1]");
        let words = spoken.words.expect("they are those of the text");
        let shown: Vec<_> = words
            .iter()
            .map(|it| (it.text.as_str(), it.end_ms))
            .collect();
        let expected = [
            ("I'm", 9),
            ("[NAME_1]", 19),
            ("call", 29),
            ("[PHONE_1]", 49),
        ];
        assert_eq!(shown, expected);
        assert_eq!(read.quote("call 555").as_deref(), Some("call [PHONE_1]"));
        assert_eq!(read.quote("0100.").as_deref(), Some("[PHONE_1]."));
        assert_eq!(read.quote("call me"), None);
    }

    #[test]
    fn words_of_another_text_are_left_out() {
        let mut redactor = Redactor::new([]);
        let mut spoken = turn("It is 555 0100.", &["It", "is", "five"]);
        redact_turn(&mut redactor, &mut spoken);
        assert_eq!(spoken.words, None);
    }
}
