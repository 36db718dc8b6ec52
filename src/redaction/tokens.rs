//! Text as words, digits and marks: what every detector looks at.

/// A stretch of text of one sort. Space between tokens shows in their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Bytes in the text, on boundaries of characters.
    pub start: usize,
    pub end: usize,
    pub sort: Sort,
    /// A word in lower case and without accents; digits and marks as they are.
    pub folded: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Word,
    /// ASCII digits.
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
        for (start, character) in source.char_indices() {
            if character.is_whitespace() {
                continue;
            }
            let sort = sort_of(character);
            let end = start + character.len_utf8();
            match tokens.last_mut() {
                Some(last) if last.end == start && last.sort == sort && sort != Sort::Mark => {
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

/// Adds a character in lower case, without its accent where Latin letters have one: engines write
/// `Jose` for `José`.
fn fold(character: char, folded: &mut String) {
    for lower in character.to_lowercase() {
        let plain = match lower {
            'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'ď' | 'đ' | 'ð' => 'd',
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
            'ğ' => 'g',
            'ì'..='ï' | 'ī' | 'į' | 'ı' => 'i',
            'ł' => 'l',
            'ñ' | 'ń' | 'ň' => 'n',
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
            'ř' => 'r',
            'ś' | 'š' | 'ş' | 'ș' => 's',
            'ť' | 'ţ' | 'ț' => 't',
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
            'ý' | 'ÿ' => 'y',
            'ź' | 'ž' | 'ż' => 'z',
            // Combining accents of letters that are written in two characters.
            '\u{300}'..='\u{36f}' => continue,
            other => other,
        };
        folded.push(plain);
    }
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
}
