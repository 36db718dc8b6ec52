//! Placeholders: how they are written, which one a value gets, and the way back.

use std::collections::HashMap;
use std::fmt::Write as _;

/// A kind of personal data, and the word that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Phone,
    Email,
    Card,
    Iban,
    Account,
    BirthDate,
    Address,
    Name,
    /// What looked like a placeholder before anything was redacted.
    Literal,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Phone,
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Account,
        Self::BirthDate,
        Self::Address,
        Self::Name,
        Self::Literal,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Phone => "PHONE",
            Self::Email => "EMAIL",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Account => "ACCOUNT",
            Self::BirthDate => "BIRTH_DATE",
            Self::Address => "ADDRESS",
            Self::Name => "NAME",
            Self::Literal => "LITERAL",
        }
    }
}

/// Which placeholder stands for what.
///
/// A value has one number however it is written: `[PHONE_1]` is how it was written first,
/// `[PHONE_1_2]` its second writing. So the way back is exact, and a reader still sees that both are
/// one telephone.
#[derive(Clone, Default)]
pub struct Placeholders {
    numbers: HashMap<(Kind, String), Number>,
    last: HashMap<Kind, u32>,
    originals: HashMap<String, String>,
}

#[derive(Clone)]
struct Number {
    number: u32,
    /// Each writing with its position, from 1.
    writings: HashMap<String, usize>,
}

impl Placeholders {
    /// Gives a value its number before it is met.
    pub fn reserve(&mut self, kind: Kind, value: &str) {
        self.number(kind, value);
    }

    /// The placeholder of a value as it is written here.
    pub fn of(&mut self, kind: Kind, value: &str, writing: &str) -> String {
        let number = self.number(kind, value);
        let next = number.writings.len() + 1;
        let known = number.writings.get(writing).copied();
        if known.is_none() {
            number.writings.insert(writing.to_owned(), next);
        }
        let position = known.unwrap_or(next);
        let mut placeholder = format!("[{}_{}", kind.word(), number.number);
        if position > 1 {
            let _ = write!(placeholder, "_{position}");
        }
        placeholder.push(']');
        if known.is_none() {
            self.originals
                .insert(placeholder.clone(), writing.to_owned());
        }
        placeholder
    }

    /// Puts back what the placeholders stand for; one that was never given out stays as it is.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('[') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = length_of(rest).unwrap_or(1);
            let (found, after) = rest.split_at(length);
            out.push_str(self.originals.get(found).map_or(found, String::as_str));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// Whether a text holds a placeholder that was never given out.
    pub fn invented(&self, text: &str) -> bool {
        text.match_indices('[').any(|(at, _)| {
            let length = length_of(&text[at..]);
            length.is_some_and(|length| !self.originals.contains_key(&text[at..at + length]))
        })
    }

    fn number(&mut self, kind: Kind, value: &str) -> &mut Number {
        let last = self.last.entry(kind).or_default();
        let key = (kind, value.to_owned());
        self.numbers.entry(key).or_insert_with(|| {
            *last += 1;
            Number {
                number: *last,
                writings: HashMap::new(),
            }
        })
    }
}

/// The length in bytes of what is written as a placeholder where `text` begins, whether or not it was
/// given out.
pub fn length_of(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let kinds = Kind::ALL.into_iter();
    let mut rests = kinds.filter_map(|kind| inner.strip_prefix(kind.word()));
    let rest = rests.find_map(numbers)?;
    Some(text.len() - rest.len())
}

/// What follows one or two numbers, each after an underscore, and the bracket.
fn numbers(text: &str) -> Option<&str> {
    let rest = number(text)?;
    number(rest).unwrap_or(rest).strip_prefix(']')
}

fn number(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('_')?;
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < digits.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_number_and_each_writing_its_placeholder() {
        let mut placeholders = Placeholders::default();
        let mut of = |writing| placeholders.of(Kind::Phone, "5550100", writing);
        assert_eq!(of("555-0100"), "[PHONE_1]");
        assert_eq!(of("555 0100"), "[PHONE_1_2]");
        assert_eq!(of("555-0100"), "[PHONE_1]");
        let other = placeholders.of(Kind::Phone, "5550199", "5550199");
        assert_eq!(other, "[PHONE_2]");
        assert_eq!(placeholders.of(Kind::Card, "4", "4"), "[CARD_1]");
        assert!(placeholders.invented("[PHONE_1] [PHONE_3]"));
        assert!(!placeholders.invented("[PHONE_1] [PHONE_1_2] [CARD_x] [["));
        let text = "a [PHONE_1_2], [PHONE_2], [PHONE_3] and [[CARD_1]]";
        assert_eq!(
            placeholders.restore(text),
            "a 555 0100, 5550199, [PHONE_3] and [4]"
        );
    }

    #[test]
    fn only_our_own_words_are_placeholders() {
        for (text, length) in [
            ("[PHONE_1]", Some(9)),
            ("[BIRTH_DATE_12_3] x", Some(17)),
            ("[PHONE_]", None),
            ("[PHONE]", None),
            ("[phone_1]", None),
            ("[PHONE_1_2_3]", None),
            ("[PHONE_1", None),
            ("[OTHER_1]", None),
            ("[", None),
        ] {
            assert_eq!(length_of(text), length, "{text}");
        }
    }
}
