//! Card numbers: 13 to 19 digits whose last one checks the others ([ISO/IEC 7812-1], Luhn).
//!
//! [ISO/IEC 7812-1]: https://www.iso.org/standard/70484.html

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use super::numbers::{Run, runs};
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

const DIGITS: RangeInclusive<usize> = 13..=19;
/// Words before a number in which a card is named.
const NEAR: usize = 12;
/// Digits of an expiry date and a security code: `12 27 123`, `12 2027 1234` is longer.
const MAX_REST_DIGITS: usize = 7;

/// Groups of a run that may be a card number.
struct Candidate {
    first: usize,
    last: usize,
    rank: u8,
}

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    for run in runs(text, |token| claims.is_taken(token)) {
        let mut candidates = candidates(text, topics, &run);
        candidates.sort_by_key(|it| (Reverse(it.rank), it.first, Reverse(it.last)));
        for Candidate { first, last, .. } in candidates {
            let value = run.digits(first..last + 1);
            let last = with_rest(&run, last);
            claims.claim(
                Kind::Card,
                run.groups[first].first,
                run.groups[last].last,
                value,
            );
        }
    }
}

fn candidates(text: &Text<'_>, topics: &Topics, run: &Run) -> Vec<Candidate> {
    let mut found = Vec::new();
    for first in 0..run.groups.len() {
        let token = run.groups[first].first;
        if token > 0 && text.is_mark(token - 1, "+") {
            continue;
        }
        let is_about = topics.is_about(token, Topic::Card, NEAR);
        let mut digits = String::new();
        let mut is_dictated = false;
        for last in first..run.groups.len() {
            is_dictated |= last > first && run.begins(last);
            digits.push_str(&run.groups[last].digits);
            if digits.len() > *DIGITS.end() {
                break;
            }
            let is_whole = run.begins(first) && run.ends(last);
            if digits.len() < *DIGITS.start() || (is_dictated && !is_whole) {
                continue;
            }
            let is_networks = is_of_a_network(&digits);
            let is_checked = passes_luhn(&digits);
            let rank = match (is_about, is_checked, is_networks) {
                // Where a card is named, a digit may have been misheard.
                (true, _, true) if is_whole => 5,
                (true, true, true) => 4,
                (false, true, true) => 2 + u8::from(is_whole),
                (true, true, false) => 1,
                (true, false, false) if is_whole => 0,
                _ => continue,
            };
            found.push(Candidate { first, last, rank });
        }
    }
    found
}

/// The last group of the segment where what follows the card number in it is too short for a number
/// of its own: its expiry date and security code.
fn with_rest(run: &Run, last: usize) -> usize {
    let (mut end, mut count) = (last, 0);
    while !run.ends(end) {
        end += 1;
        count += run.groups[end].digits.len();
        if count > MAX_REST_DIGITS {
            return last;
        }
    }
    end
}

/// Whether a card network gives out numbers that begin so, in this length.
fn is_of_a_network(digits: &str) -> bool {
    let prefix = |length: usize| digits[..length].parse::<u32>().unwrap_or_default();
    match digits.len() {
        14 => matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37),
        16 => matches!(prefix(1), 4..=6) || prefix(2) == 35 || matches!(prefix(4), 2200..=2720),
        17 | 18 => matches!(prefix(2), 50 | 56..=69),
        19 => matches!(prefix(1), 4 | 6) || prefix(2) == 50,
        _ => false,
    }
}

fn passes_luhn(digits: &str) -> bool {
    let mut sum = 0;
    for (position, digit) in digits.bytes().rev().enumerate() {
        let digit = u32::from(digit - b'0');
        sum += match position % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        };
    }
    sum % 10 == 0 && digits.bytes().any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::Redactor;

    #[test]
    fn a_card_is_found_however_it_is_written_or_said() {
        for text in [
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111111111111111",
            "4111, 1111, 1111, 1111",
            "4111.1111.1111.1111",
            "4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1",
            "four one one one one one one one one one one one one one one one",
            "forty-one eleven 1111 triple one one, 1111",
            "4111 1111 1111 1111 12 27 123",
            "3782 822463 10005",
            "４１１１ １１１１ １１１１ １１１１",
            "4111\u{a0}1111\u{2009}1111\u{202f}1111",
            "4111\u{200b}1111\u{200b}1111\u{200b}1111",
        ] {
            let mut redactor = Redactor::new([]);
            let redacted = redactor.redact(&format!("It is {text}, thanks."));
            assert_eq!(redacted, "It is [CARD_1], thanks.", "{text}");
        }
    }

    #[test]
    fn luhn_tells_cards_from_other_long_numbers() {
        for (digits, expected) in [
            ("4111111111111111", true),
            ("378282246310005", true),
            ("6011000990139424", true),
            ("4111111111111112", false),
            ("0000000000000000", false),
        ] {
            assert_eq!(passes_luhn(digits), expected, "{digits}");
        }
        let mut redactor = Redactor::new([]);
        let misheard = redactor.redact("My card number is 4111 1111 1111 1112.");
        assert_eq!(misheard, "My card number is [CARD_1].");
    }

    #[test]
    fn two_numbers_beside_each_other_are_no_card() {
        let mut redactor = Redactor::new([]);
        let redacted = redactor.redact("Call 415 555 0100, 415 555 0199.");
        assert_eq!(redacted, "Call [PHONE_1], [PHONE_2].");
    }
}
