//! Text as words, digits and marks: what every detector looks at.
//!
//! Detectors see what a reader sees: characters that show nothing and accents belong to the token before
//! them (`555\u{200b}0100` is one number), and digits and letters of other forms are the plain ones
//! (`４１１１`, `٤١١١`).

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// A stretch of text of one sort. Space between tokens shows in their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Bytes in the text, on boundaries of characters.
    pub start: usize,
    pub end: usize,
    pub sort: Sort,
    /// A word in lower case and without accents, digits as those of ASCII, marks as they are.
    pub folded: String,
}

/// Zeros of the decimal digits that no normalization makes those of ASCII, nine more behind each
/// ([Unicode](https://www.unicode.org/reports/tr44/#General_Category_Values), `Nd`).
const ZEROS: [u32; 60] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0,
    0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0,
    0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50,
    0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Word,
    /// Decimal digits of any script.
    Digits,
    /// One character that is neither, and no space.
    Mark,
}

/// A text with its tokens.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    pub source: &'a str,
    pub tokens: Vec<Token>,
    /// Whether capitals can tell anything: false for a text that has none.
    pub has_capitals: bool,
}

impl<'a> Text<'a> {
    pub fn of(source: &'a str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        for (start, written) in source.char_indices() {
            if written.is_whitespace() {
                continue;
            }
            let end = start + written.len_utf8();
            let before = tokens.last_mut().filter(|last| last.end == start);
            if shows_nothing(written) || is_combining_mark(written) {
                if let Some(last) = before {
                    last.end = end;
                    // Detectors count on digits being nothing else, whatever is written above them.
                    if last.sort != Sort::Digits {
                        fold(written, &mut last.folded);
                    }
                }
                continue;
            }
            let character = plain(written);
            let sort = sort_of(character);
            match before {
                Some(last) if last.sort == sort && sort != Sort::Mark => {
                    last.end = end;
                    fold(character, &mut last.folded);
                }
                _ => {
                    let mut folded = String::new();
                    fold(character, &mut folded);
                    tokens.push(Token {
                        start,
                        end,
                        sort,
                        folded,
                    });
                }
            }
        }
        Self {
            source,
            tokens,
            has_capitals: source.chars().any(char::is_uppercase),
        }
    }

    pub fn get(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index)
    }

    /// The word at `index`, folded.
    pub fn word(&self, index: usize) -> Option<&str> {
        let token = self.get(index)?;
        (token.sort == Sort::Word).then_some(token.folded.as_str())
    }

    /// The digits at `index`.
    pub fn digits(&self, index: usize) -> Option<&str> {
        let token = self.get(index)?;
        (token.sort == Sort::Digits).then_some(token.folded.as_str())
    }

    /// Whether the mark `mark` stands at `index`.
    pub fn is_mark(&self, index: usize, mark: &str) -> bool {
        self.get(index)
            .is_some_and(|token| token.sort == Sort::Mark && token.folded == mark)
    }

    /// Whether nothing stands between the tokens at `index` and after it.
    pub fn is_glued(&self, index: usize) -> bool {
        match (self.get(index), self.get(index + 1)) {
            (Some(one), Some(next)) => one.end == next.start,
            _ => false,
        }
    }

    /// Whether the word at `index` begins with a capital.
    pub fn is_capitalised(&self, index: usize) -> bool {
        self.get(index).is_some_and(|token| {
            let mut characters = self.source[token.start..token.end].chars();
            characters.next().is_some_and(char::is_uppercase)
        })
    }

    /// Whether a sentence begins at `index`.
    pub fn begins_sentence(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).and_then(|before| self.get(before)) else {
            return true;
        };
        matches!(
            before.folded.as_str(),
            "." | "!" | "?" | ":" | "\"" | "“" | "…"
        )
    }

    /// What stands from one token to another, the last included.
    pub fn slice(&self, first: usize, last: usize) -> &'a str {
        match (self.get(first), self.get(last)) {
            (Some(first), Some(last)) if first.start < last.end => {
                &self.source[first.start..last.end]
            }
            _ => "",
        }
    }
}

fn sort_of(character: char) -> Sort {
    if character.is_ascii_digit() {
        Sort::Digits
    } else if character.is_alphanumeric() {
        Sort::Word
    } else {
        Sort::Mark
    }
}

/// The plain letter, digit or mark that a character is a form of, its accent left out: engines write
/// `Jose` for `José`. What stands for several characters stays as it is.
fn plain(character: char) -> char {
    // A syllable of Hangul is no form of its first letter.
    if character.is_ascii() || ('\u{ac00}'..='\u{d7a3}').contains(&character) {
        return character;
    }
    if let Some(digit) = digit(character) {
        return digit;
    }
    let (mut base, mut is_one) = (None, true);
    decompose_compatible(character, |part| {
        if !is_combining_mark(part) {
            is_one = base.is_none();
            base = Some(part);
        }
    });
    match base.filter(|part| is_one && !part.is_whitespace()) {
        Some('đ' | 'ð') => 'd',
        Some('Đ' | 'Ð') => 'D',
        Some('ı') => 'i',
        Some('ł') => 'l',
        Some('Ł') => 'L',
        Some('ø') => 'o',
        Some('Ø') => 'O',
        Some(part) => part,
        None => character,
    }
}

fn digit(character: char) -> Option<char> {
    let code = u32::from(character);
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    char::from_digit(code - zero, 10)
}

/// Adds a character in lower case. Accents are left out, since most letters have them within; other
/// marks, such as vowels of Indian scripts, make another word.
fn fold(character: char, folded: &mut String) {
    let lower = character.to_lowercase();
    folded.extend(lower.filter(|c| !shows_nothing(*c) && !('\u{300}'..='\u{36f}').contains(c)));
}

/// Whether nothing is seen of a character, nor does it make a space.
fn shows_nothing(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_digits_and_marks_with_their_places() {
        let text = Text::of("Call José-Luis: +44 20x, ß7");
        let shown: Vec<_> = text.tokens.iter().map(|it| it.folded.as_str()).collect();
        assert_eq!(
            shown,
            [
                "call", "jose", "-", "luis", ":", "+", "44", "20", "x", ",", "ß", "7"
            ]
        );
        assert_eq!(text.slice(1, 3), "José-Luis");
        assert!(text.is_glued(5) && text.is_glued(7) && !text.is_glued(6));
        assert!(text.is_capitalised(3) && !text.is_capitalised(8));
        assert!(text.begins_sentence(0) && text.begins_sentence(5) && !text.begins_sentence(1));
    }

    #[test]
    fn other_forms_are_the_plain_ones_and_what_is_unseen_parts_nothing() {
        for (source, expected) in [
            ("５５５－０１００", &["555", "-", "0100"][..]),
            ("٥٥٥ ०१०० 𝟓𝟓", &["555", "0100", "55"]),
            ("5\u{200b}55\u{ad}01\u{1}00\u{200b}", &["5550100"]),
            ("\u{200b}a\u{feff}@\u{200b}b", &["a", "@", "b"]),
            ("4\u{1e002}11\u{93e} a\u{93e}", &["411", "a\u{93e}"]),
            (
                "Mari\u{301}a MARI\u{301}A MARÍA",
                &["maria", "maria", "maria"],
            ),
            ("शर्मा", &["शर्मा"]),
            ("Łódź Ørsted ℡ … ½", &["lodz", "orsted", "℡", "…", "½"]),
            ("김 한", &["김", "한"]),
        ] {
            let text = Text::of(source);
            let shown: Vec<_> = text.tokens.iter().map(|it| it.folded.as_str()).collect();
            assert_eq!(shown, expected, "{source}");
        }
        assert!(ZEROS.is_sorted());
        assert_eq!(
            (digit('٩'), digit('\u{66a}'), digit('a')),
            (Some('9'), None, None)
        );
    }
}
