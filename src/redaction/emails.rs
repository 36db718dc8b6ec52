//! E-mail addresses as they are written.

use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::{Sort, Text};

/// Marks of a local part without quotes
/// ([RFC 5322, 3.2.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3)).
const LOCAL_MARKS: &str = ".!#$%&'*+/=?^_`{|}~-";
const DOMAIN_MARKS: &str = ".-_";
/// Between the quotes of a local part, or the brackets of a domain.
const MAX_QUOTED_TOKENS: usize = 24;

/// Whatever stands on both sides of an `@`: a domain need not be one that exists.
pub fn find(text: &Text<'_>, claims: &mut Claims) {
    for at in 0..text.tokens.len() {
        if !text.is_mark(at, "@") {
            continue;
        }
        let is_part = |index: usize, marks: &str| {
            let token = text.get(index);
            token.is_some_and(|it| it.sort != Sort::Mark || marks.contains(&it.folded))
                && !claims.is_taken(index)
        };
        let is_mark = |index: usize| text.get(index).is_some_and(|it| it.sort == Sort::Mark);
        let mut first = at;
        if at > 0 && text.is_glued(at - 1) && text.is_mark(at - 1, "\"") {
            first = opening_quote(text, at - 1).unwrap_or(at);
        } else {
            while first > 0 && text.is_glued(first - 1) && is_part(first - 1, LOCAL_MARKS) {
                first -= 1;
            }
            while first < at && is_mark(first) {
                first += 1;
            }
        }
        let mut last = at;
        while text.is_glued(last) && is_part(last + 1, DOMAIN_MARKS) {
            last += 1;
        }
        while last > at && is_mark(last) {
            last -= 1;
        }
        if last == at && text.is_glued(at) && text.is_mark(at + 1, "[") {
            last = closing_bracket(text, at + 1).unwrap_or(at);
        }
        if first < at && at < last {
            let value = text.slice(first, last).to_lowercase();
            claims.claim(Kind::Email, first, last, value);
        }
    }
}

/// Where the quotes of a local part begin that end at `at`: `"john doe"@example.com`.
fn opening_quote(text: &Text<'_>, at: usize) -> Option<usize> {
    let from = at.saturating_sub(MAX_QUOTED_TOKENS);
    (from..at).rev().find(|before| text.is_mark(*before, "\""))
}

/// Where a domain in brackets ends that begins at `at`: `a@[192.0.2.1]`.
fn closing_bracket(text: &Text<'_>, at: usize) -> Option<usize> {
    let is_end = |index: &usize| text.is_mark(*index, "]");
    (at + 2..at + MAX_QUOTED_TOKENS).find(is_end)
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn an_address_ends_where_the_sentence_goes_on() {
        for (text, expected) in [
            ("Mail john.doe+x@example.co.uk.", "Mail [EMAIL_1]."),
            (
                "<a_b-c@mail.example.org>, (x@y.de)",
                "<[EMAIL_1]>, ([EMAIL_2])",
            ),
            (
                "'jörg@bücher.example' J@Example.com j@example.com",
                "'[EMAIL_1]' [EMAIL_2] [EMAIL_2_2]",
            ),
            ("@home, a @ b, a@, @b, a@@b", "@home, a @ b, a@, @b, a@@b"),
            ("a@b@c", "[EMAIL_1]@c"),
            (
                "\"j doe\"@example.com, a@[10.0.0.1]",
                "[EMAIL_1], [EMAIL_2]",
            ),
            ("ma\u{200b}ria\u{200b}@\u{200b}example.com", "[EMAIL_1]"),
            ("maria＠example．com", "[EMAIL_1]"),
        ] {
            assert_eq!(Redactor::new([]).redact(text), expected);
        }
    }
}
