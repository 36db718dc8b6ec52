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

mod accounts;
mod addresses;
mod births;
mod cards;
mod dates;
mod emails;
mod ibans;
mod names;
mod numbers;
mod phones;
mod placeholders;
mod postcodes;
mod remembered;
mod spans;
mod spoken_emails;
mod streets;
mod tokens;
mod topics;

use std::fmt;
use std::ops::Range;

use names::Names;
use placeholders::{Kind, Placeholders};
use remembered::Remembered;
use spans::Claims;
use tokens::Text;
use topics::{Carried, Topics};

/// Replaces personal data by placeholders such as `[PHONE_1]`; the same value always gets the same one
/// within a `Redactor`.
///
/// Deterministic: the same names and the same texts in the same order give the same placeholders. Texts
/// belong in the order in which they were said, since a question tells what its answer is.
#[derive(Clone)]
pub struct Redactor {
    names: Names,
    placeholders: Placeholders,
    remembered: Remembered,
    carried: Carried,
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

impl fmt::Debug for Redactor {
    /// Nothing of what it holds: that is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// With the names that the session declares, in their order.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut placeholders = Placeholders::default();
        Self {
            names: Names::of(names, &mut placeholders),
            placeholders,
            remembered: Remembered::default(),
            carried: Carried::default(),
        }
    }

    /// The text with a placeholder for each piece of personal data.
    pub fn redact(&mut self, text: &str) -> String {
        self.redact_with_places(text).text
    }

    /// As [`redact`](Self::redact), of a text that does not go on from the last one.
    pub fn redact_apart(&mut self, text: &str) -> String {
        let carried = std::mem::take(&mut self.carried);
        let redacted = self.redact(text);
        self.carried = carried;
        redacted
    }

    /// As [`redact`](Self::redact), with the places of what was replaced.
    pub fn redact_with_places(&mut self, source: &str) -> Redacted {
        let text = Text::of(source);
        let mut redacted = Redacted {
            text: String::with_capacity(source.len()),
            replaced: Vec::new(),
        };
        let mut done = 0;
        for span in self.claims(&text).into_spans() {
            let writing = text.slice(span.first, span.last);
            let (first, last) = (&text.tokens[span.first], &text.tokens[span.last]);
            let tokens = span.last - span.first + 1;
            self.remembered
                .note(span.kind, &span.value, writing, &first.folded, tokens);
            let placeholder = self.placeholders.of(span.kind, &span.value, writing);
            redacted.text.push_str(&source[done..first.start]);
            redacted.text.push_str(&placeholder);
            done = last.end;
            redacted.replaced.push(Replaced {
                bytes: first.start..last.end,
                placeholder,
            });
        }
        redacted.text.push_str(&source[done..]);
        redacted
    }

    /// Placeholders back to what stood there. One that this redactor never gave out stays.
    pub fn restore(&self, text: &str) -> String {
        self.placeholders.restore(text)
    }

    /// Whether a text holds a placeholder that this redactor never gave out: nothing that it redacted
    /// does.
    pub fn is_invented(&self, text: &str) -> bool {
        self.placeholders.invented(text)
    }

    /// What is personal data, the surest kinds first: a later detector does not see what is claimed.
    fn claims(&mut self, text: &Text<'_>) -> Claims {
        let topics = Topics::of(text, self.carried);
        self.carried = topics.carry();
        let mut claims = Claims::of(text.tokens.len());
        claim_literals(text, &mut claims);
        emails::find(text, &mut claims);
        spoken_emails::find(text, &topics, &mut claims);
        ibans::find(text, &topics, &mut claims);
        cards::find(text, &topics, &mut claims);
        self.remembered.find(text, &mut claims);
        addresses::find(text, &topics, &mut claims);
        births::find(text, &topics, &mut claims);
        accounts::find(text, &topics, &mut claims);
        phones::find(text, &topics, &mut claims);
        self.names.find(text, &mut claims);
        claims
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
mod corpus_tests;
#[cfg(test)]
mod tests;
