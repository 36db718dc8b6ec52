//! Personal data out of text, and back in.
//!
//! Finds telephone numbers, e-mail addresses, card and bank account numbers, dates of birth, postal
//! addresses and the names that a session declares, and puts placeholders there. Pure: not here is who
//! may read what (`http::redacted`), nor what is sent where (the analysis worker).
//!
//! Detectors claim whole tokens, one after the other; the first has them. Which writings are found, and
//! which are not, stands in `docs/redaction.md`.
//!
//! Invariant: `restore(redact(text)) == text`, whatever the text; time grows with its length.

mod names;
mod placeholders;
mod spans;
mod tokens;

use std::ops::Range;

use names::Names;
use placeholders::{Kind, Placeholders};
use spans::Claims;
use tokens::Text;

/// Replaces personal data by placeholders such as `[PHONE_1]`; the same value always gets the same one
/// within a `Redactor`.
///
/// Deterministic: the same names and the same texts in the same order give the same placeholders.
#[derive(Clone, Debug)]
pub struct Redactor {
    names: Names,
    placeholders: Placeholders,
}

/// A text without its personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    pub text: String,
    /// What was replaced, in the order of the text.
    pub replaced: Vec<Replaced>,
}

/// One placeholder, and where in the original its value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Bytes of the original.
    pub bytes: Range<usize>,
    pub placeholder: String,
}

impl Redactor {
    /// With the names that the session declares, in their order.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut placeholders = Placeholders::default();
        Self {
            names: Names::of(names, &mut placeholders),
            placeholders,
        }
    }

    /// The text with a placeholder for each piece of personal data.
    pub fn redact(&mut self, text: &str) -> String {
        self.redact_with_places(text).text
    }

    /// As [`redact`](Self::redact), with the places of what was replaced.
    pub fn redact_with_places(&mut self, text: &str) -> Redacted {
        let tokens = Text::of(text);
        let mut claims = Claims::of(tokens.tokens.len());
        claim_literals(&tokens, &mut claims);
        self.names.find(&tokens, &mut claims);
        let mut redacted = Redacted {
            text: String::with_capacity(text.len()),
            replaced: Vec::new(),
        };
        let mut done = 0;
        for span in claims.into_spans() {
            let writing = tokens.slice(span.first, span.last);
            let bytes = tokens.tokens[span.first].start..tokens.tokens[span.last].end;
            let placeholder = self.placeholders.of(span.kind, &span.value, writing);
            redacted.text.push_str(&text[done..bytes.start]);
            redacted.text.push_str(&placeholder);
            done = bytes.end;
            redacted.replaced.push(Replaced { bytes, placeholder });
        }
        redacted.text.push_str(&text[done..]);
        redacted
    }

    /// Placeholders back to what stood there. One that this redactor never gave out stays.
    pub fn restore(&self, text: &str) -> String {
        self.placeholders.restore(text)
    }
}

/// What is written like a placeholder gets one itself, so that restoring cannot take it for ours.
fn claim_literals(text: &Text<'_>, claims: &mut Claims) {
    for (first, token) in text.tokens.iter().enumerate() {
        if token.folded != "[" {
            continue;
        }
        if let Some(length) = placeholders::length_of(&text.source[token.start..]) {
            let end = token.start + length;
            let rest = &text.tokens[first..];
            let last = first + rest.partition_point(|it| it.end < end);
            let value = text.slice(first, last).to_owned();
            claims.claim(Kind::Literal, first, last, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_placeholder_comes_back_as_it_was() {
        let mut redactor = Redactor::new(["Maria Lopez"]);
        let text = "[NAME_1] said [NAME_1_2], Maria Lopez [[PHONE_1]] [NAME_x]";
        let redacted = redactor.redact(text);
        assert_eq!(
            redacted,
            "[LITERAL_1] said [LITERAL_2], [NAME_1] [[LITERAL_3]] [NAME_x]"
        );
        assert_eq!(redactor.restore(&redacted), text);
        assert_eq!(
            redactor.restore("[NAME_1] [PHONE_1]"),
            "Maria Lopez [PHONE_1]"
        );
    }
}
