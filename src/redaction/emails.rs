//! E-mail addresses as they are written.

use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::{Sort, Text};

/// Marks of a local part without quotes
/// ([RFC 5322, 3.2.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.2.3)).
const LOCAL_MARKS: &str = ".!#$%&'*+/=?^_`{|}~-";
const DOMAIN_MARKS: &str = ".-_";

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
        while first > 0 && text.is_glued(first - 1) && is_part(first - 1, LOCAL_MARKS) {
            first -= 1;
        }
        while first < at && is_mark(first) {
            first += 1;
        }
        let mut last = at;
        while text.is_glued(last) && is_part(last + 1, DOMAIN_MARKS) {
            last += 1;
        }
        while last > at && is_mark(last) {
            last -= 1;
        }
        if first < at && at < last {
            let value = text.slice(first, last).to_lowercase();
            claims.claim(Kind::Email, first, last, value);
        }
    }
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
        ] {
            assert_eq!(Redactor::new([]).redact(text), expected);
        }
    }
}
