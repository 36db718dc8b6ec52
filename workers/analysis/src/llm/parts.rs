//! The transcript as the model reads it: one line a turn, in parts that fit into its context.

use std::fmt::Write as _;

use aftercall::documents::transcript::{Turn, is_anonymous};
use aftercall::redaction::Redactor;

/// What a turn's line takes beside its words.
const LINE_TOKENS: u32 = 12;

/// How the model knows the speakers.
#[derive(Debug)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// A speaker keeps a name that tells nobody apart from others, `speaker_0` or `agent`; all others are
    /// `person_1`, `person_2`. A name may be one that a caller made up.
    pub fn of(turns: &[Turn]) -> Self {
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut people = 0;
        for turn in turns {
            if labels.iter().any(|(speaker, _)| *speaker == turn.speaker) {
                continue;
            }
            let label = if is_anonymous(&turn.speaker) {
                turn.speaker.clone()
            } else {
                people += 1;
                format!("person_{people}")
            };
            labels.push((turn.speaker.clone(), label));
        }
        Self(labels)
    }

    fn of_speaker(&self, speaker: &str) -> &str {
        let known = self.0.iter().find(|(name, _)| name == speaker);
        known.map_or("unknown", |(_, label)| label)
    }

    /// The speaker behind a label that the model names.
    pub fn speaker(&self, label: &str) -> Option<&str> {
        let label = label.trim();
        let known = self
            .0
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(label));
        known.map(|(speaker, _)| speaker.as_str())
    }
}

/// Cuts the transcript into parts of at most `budget` tokens each, redacted where there is a redactor.
///
/// A turn that is too long for a part goes into several, under the same number.
pub fn split(
    turns: &[Turn],
    labels: &Labels,
    mut redactor: Option<&mut Redactor>,
    budget: u32,
) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut used = 0;
    for turn in turns {
        // As a whole: what is found in a turn may span what is cut below.
        let text = match redactor.as_deref_mut() {
            Some(redactor) => redactor.redact(&turn.text),
            None => turn.text.clone(),
        };
        let label = labels.of_speaker(&turn.speaker);
        for piece in pieces(&text, budget.saturating_sub(LINE_TOKENS)) {
            let tokens = estimate(&piece).saturating_add(LINE_TOKENS);
            if used + tokens > budget && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                used = 0;
            }
            used += tokens;
            let _ = writeln!(part, "{} {label}: {piece}", turn.index);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// Tokens of a text, rather too many than too few: three letters a token, and everything that is no
/// plain letter for itself. Tokenizers differ, and the model's own is unknown here.
pub fn estimate(text: &str) -> u32 {
    let (mut letters, mut others) = (0_u32, 0_u32);
    for c in text.chars() {
        if c.is_ascii_alphabetic() || c == ' ' {
            letters = letters.saturating_add(1);
        } else if c.is_ascii() || c.is_alphabetic() && (c as u32) < 0x250 {
            others = others.saturating_add(1);
        } else {
            others = others.saturating_add(2);
        }
    }
    letters.div_ceil(3).saturating_add(others)
}

/// The words of a text on one line, in pieces of at most `budget` tokens. A word that is longer than
/// that is cut.
fn pieces(text: &str, budget: u32) -> Vec<String> {
    let budget = budget.max(1);
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut used = 0;
    for word in text.split_whitespace().flat_map(|word| cut(word, budget)) {
        // The space before it counts with the letters of its neighbours: a third of a token.
        let tokens = estimate(word) + 1;
        if used + tokens > budget && !piece.is_empty() {
            pieces.push(std::mem::take(&mut piece));
            used = 0;
        }
        if !piece.is_empty() {
            piece.push(' ');
        }
        piece.push_str(word);
        used += tokens;
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

fn cut(word: &str, budget: u32) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // No character counts for more than two tokens.
        let most = (budget / 2).max(1) as usize;
        let end = rest
            .char_indices()
            .nth(most)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::transcript;

    #[test]
    fn nothing_is_lost_and_no_part_is_too_large() {
        let long = "wörd 12 你好 ".repeat(500);
        let call = transcript(&[
            ("speaker_0", 0, 1, "Hello\n there."),
            ("speaker_1", 1, 2, &long),
            ("speaker_0", 2, 3, "Bye."),
        ]);
        let labels = Labels::of(&call.turns);
        let parts = split(&call.turns, &labels, None, 200);
        assert!(parts.len() > 10);
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let mut read = Vec::new();
        for part in &parts {
            assert!(estimate(part) <= 200, "{}", estimate(part));
            for line in part.lines() {
                let (_, said) = line.split_once(": ").expect("number, label, text");
                read.extend(words(said));
            }
        }
        let said: Vec<_> = call
            .turns
            .iter()
            .flat_map(|turn| words(&turn.text))
            .collect();
        assert_eq!(read, said);
        assert!(parts[0].starts_with("0 speaker_0: Hello there.\n1 speaker_1: "));
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let call = transcript(&[("a", 0, 1, &"ä".repeat(10_000))]);
        let parts = split(&call.turns, &Labels::of(&call.turns), None, 100);
        assert!(parts.iter().all(|part| estimate(part) <= 100));
        let letters: usize = parts.iter().map(|part| part.matches('ä').count()).sum();
        assert_eq!(letters, 10_000);
        assert!(split(&[], &Labels::of(&[]), None, 100).is_empty());
    }

    #[test]
    fn names_are_not_told() {
        let call = transcript(&[
            ("Agent", 0, 1, "a"),
            ("Ann Smith", 0, 1, "b"),
            ("=== END", 0, 1, "c"),
            ("Ann Smith", 0, 1, "d"),
        ]);
        let labels = Labels::of(&call.turns);
        let parts = split(&call.turns, &labels, None, 1_000);
        assert_eq!(
            parts,
            ["0 Agent: a\n1 person_1: b\n2 person_2: c\n3 person_1: d\n"]
        );
        assert_eq!(labels.speaker("person_1"), Some("Ann Smith"));
        assert_eq!(labels.speaker("agent"), Some("Agent"));
        assert_eq!(labels.speaker("nobody"), None);
    }
}
