//! Where the words that a model cites stand in the transcript.
//!
//! Models change white space, the case of a first letter and the kind of an apostrophe; what is found in
//! spite of that is quoted as it stands in the turn, byte for byte. Anything else is not found.

use std::ops::Range;

use aftercall::documents::analysis::Quote;
use aftercall::documents::transcript::Turn;

use crate::local::text::Clock;

/// Longer quotes are no evidence but a copy.
const MAX_QUOTE_BYTES: usize = 600;

/// What was said, ready to be searched: a model may cite a thousand times what nobody said.
pub struct Said<'a> {
    turns: &'a [Turn],
    /// The text of each turn as it is compared.
    folded: Vec<String>,
}

impl<'a> Said<'a> {
    pub fn of(turns: &'a [Turn]) -> Self {
        let folded = turns.iter().map(|turn| Folded::of(&turn.text).text);
        Self {
            turns,
            folded: folded.collect(),
        }
    }

    /// The words of `text` as a literal span of a turn: of the turn that is named, else of the first that
    /// holds them.
    pub fn locate(&self, named: u32, text: &str) -> Option<Quote> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || "\"“”…".contains(c));
        let wanted = Folded::of(text).text;
        if wanted.len() > MAX_QUOTE_BYTES || !wanted.contains(char::is_alphanumeric) {
            return None;
        }
        let turns = || self.turns.iter().zip(&self.folded);
        let first = turns().filter(|(turn, _)| turn.index == named);
        let others = turns().filter(|(turn, _)| turn.index != named);
        let holds = first
            .chain(others)
            .filter(|(_, said)| said.contains(&wanted));
        holds.map(|(turn, _)| turn).find_map(|turn| {
            let range = Folded::of(&turn.text).find(&wanted)?;
            let text = turn.text.get(range.clone())?;
            Some(Quote {
                turn_index: turn.index,
                recording_id: turn.recording_id,
                speaker: turn.speaker.clone(),
                start_ms: Clock::of(turn).at(range.start),
                text: text.to_owned(),
            })
        })
    }
}

/// A text as it is compared, and where its characters stand in the original.
struct Folded {
    text: String,
    /// For each byte of `text`, where its character begins and ends in the original.
    places: Vec<(usize, usize)>,
}

impl Folded {
    fn of(original: &str) -> Self {
        let mut folded = Self {
            text: String::with_capacity(original.len()),
            places: Vec::with_capacity(original.len()),
        };
        for (start, c) in original.char_indices() {
            let end = start + c.len_utf8();
            let c = match c {
                '‘' | '’' | 'ʼ' => '\'',
                '“' | '”' | '„' => '"',
                c if c.is_whitespace() => ' ',
                c => c.to_ascii_lowercase(),
            };
            if c == ' ' && folded.text.ends_with(' ') {
                continue;
            }
            folded.text.push(c);
            folded.places.resize(folded.text.len(), (start, end));
        }
        folded
    }

    /// Where `wanted` stands in the original as whole words.
    fn find(&self, wanted: &str) -> Option<Range<usize>> {
        let whole = |at: usize, character: Option<char>| {
            let here = if at == 0 {
                None
            } else {
                self.text[..at].chars().next_back()
            };
            !(here.is_some_and(char::is_alphanumeric)
                && character.is_some_and(char::is_alphanumeric))
        };
        let found = self.text.match_indices(wanted).find(|(start, _)| {
            let end = start + wanted.len();
            whole(*start, wanted.chars().next()) && whole(end, self.text[end..].chars().next())
        });
        let (start, _) = found?;
        let last = start + wanted.len() - 1;
        Some(self.places[start].0..self.places[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::transcript;

    fn found(text: &str, named: u32) -> Option<(u32, String)> {
        let call = transcript(&[
            ("a", 0, 1_000, "Hello, I’d like\n an appointment on Monday."),
            ("b", 1_000, 2_000, "Monday at three? Étienne said \"no\"."),
        ]);
        let quote = Said::of(&call.turns).locate(named, text);
        quote.map(|quote| (quote.turn_index, quote.text))
    }

    #[test]
    fn a_quote_is_what_stands_in_the_turn() {
        for (text, named, turn, literal) in [
            ("an appointment", 0, 0, "an appointment"),
            ("i'd like an appointment", 0, 0, "I’d like\n an appointment"),
            ("\"Monday at three?\"", 1, 1, "Monday at three?"),
            ("Monday", 1, 1, "Monday"),
            ("Monday", 9, 0, "Monday"),
            ("Étienne said “no”.", 1, 1, "Étienne said \"no\"."),
            ("… at three …", 1, 1, "at three"),
        ] {
            assert_eq!(
                found(text, named),
                Some((turn, literal.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn what_was_not_said_is_not_found() {
        for text in [
            "an appointment on Tuesday",
            "Hello Monday",
            "Mon",
            "day at three",
            "",
            "?",
            "…",
            "Monday. Monday at three?",
        ] {
            assert_eq!(found(text, 0), None, "{text}");
        }
        assert_eq!(found(&"Hello ".repeat(200), 0), None);
    }
}
