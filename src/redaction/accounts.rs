//! Bank account numbers, sort codes and routing numbers: any digits where an account was just named.

use super::numbers::runs;
use super::phones::is_amount;
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

/// Words before a number in which an account is named.
const NEAR: usize = 8;
/// Fewer digits are a count or the end of a number.
const MIN_DIGITS: usize = 5;
/// Longest number of another kind; what is longer identifies somebody's something.
const MAX_OTHER_DIGITS: usize = 15;

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    for run in runs(text, |token| claims.is_taken(token)) {
        let segments = run.segments();
        let mut from = 0;
        while from < segments.len() {
            let first = run.groups[segments[from].start].first;
            let is_about = topics.is_about(first, Topic::Account, NEAR);
            // A number that is dictated in pieces goes on after a comma.
            let mut to = from;
            let is_piece = |segment: usize| run.count(segments[segment].clone()) < MIN_DIGITS;
            while is_about && is_piece(to) && to + 1 < segments.len() && is_piece(to + 1) {
                to += 1;
            }
            let groups = segments[from].start..segments[to].end;
            let digits = run.digits(groups.clone());
            let is_long = groups.len() == 1 && digits.len() > MAX_OTHER_DIGITS;
            let is_number = is_about && digits.len() >= MIN_DIGITS;
            if (is_number || is_long) && !is_amount(text, &run, groups.clone()) {
                let last = run.groups[groups.end - 1].last;
                claims.claim(Kind::Account, first, last, digits);
            }
            from = to + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn digits_after_the_word_are_an_account() {
        for (text, expected) in [
            (
                "My account number is 31926819.",
                "My account number is [ACCOUNT_1].",
            ),
            (
                "sort code 60-16-13, thanks",
                "sort code [ACCOUNT_1], thanks",
            ),
            ("Account: 3, 1, 9, 2, 6, 8, 1, 9.", "Account: [ACCOUNT_1]."),
            (
                "routing number oh two one oh oh oh",
                "routing number [ACCOUNT_1]",
            ),
            ("The account has 2 users.", "The account has 2 users."),
            (
                "The account holds 12,500 dollars.",
                "The account holds 12,500 dollars.",
            ),
            ("order number 31926819", "order number 31926819"),
        ] {
            assert_eq!(Redactor::new([]).redact(text), expected);
        }
    }

    #[test]
    fn the_answer_may_be_the_next_text() {
        let mut redactor = Redactor::new([]);
        redactor.redact("And your account number?");
        assert_eq!(
            redactor.redact("Sure, it's 31926819."),
            "Sure, it's [ACCOUNT_1]."
        );
        assert_eq!(redactor.redact("31926819"), "[ACCOUNT_1]");
    }
}
