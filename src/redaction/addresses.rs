//! Postal addresses, by rule of thumb: a street with its number and what belongs to it, up to the
//! postcode, and postcodes by themselves.

use super::placeholders::Kind;
use super::postcodes::{self, MAX_POSTCODE_TOKENS};
use super::spans::Claims;
use super::streets;
use super::tokens::Text;
use super::topics::{Topic, Topics};

const UNITS: &[&str] = &["apartment", "apt", "flat", "room", "suite", "unit"];
/// Tokens from the street to its postcode.
const MAX_TAIL: usize = 10;
/// Words from the naming of a postcode to it.
const NEAR_POSTCODE: usize = 6;

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    let mut at = 0;
    while at < text.tokens.len() {
        let found = if claims.is_taken(at) {
            None
        } else {
            address_at(text, topics, at)
        };
        let Some((first, last)) = found else {
            at += 1;
            continue;
        };
        let value = text.slice(first, last).to_lowercase();
        claims.claim(Kind::Address, first, last, value);
        at = last + 1;
    }
}

/// First and last token of an address whose surest part begins at `at`.
fn address_at(text: &Text<'_>, topics: &Topics, at: usize) -> Option<(usize, usize)> {
    if let Some(last) = streets::at(text, at) {
        return Some((with_unit_before(text, at), with_tail(text, last)));
    }
    let is_named = topics.is_near(at, Topic::Postcode, NEAR_POSTCODE);
    postcodes::at(text, at, is_named).map(|last| (at, last))
}

/// `Flat 4, 12 High Street`
fn with_unit_before(text: &Text<'_>, at: usize) -> usize {
    let end = at.wrapping_sub(if at > 0 && text.is_mark(at - 1, ",") {
        2
    } else {
        1
    });
    let first = end.wrapping_sub(1);
    let is_unit = text.word(first).is_some_and(|it| UNITS.contains(&it));
    if is_unit && streets::house_number(text, end) == Some(end) {
        first
    } else {
        at
    }
}

/// Through flat, town and postcode, as far as they follow.
fn with_tail(text: &Text<'_>, street: usize) -> usize {
    let after = |last: usize| {
        if text.is_mark(last + 1, ",") {
            last + 2
        } else {
            last + 1
        }
    };
    let mut last = street;
    if text.word(after(last)).is_some_and(|it| UNITS.contains(&it)) {
        last = streets::house_number(text, after(last) + 1).unwrap_or(last);
    }
    let mut index = last + 1;
    let mut town = None;
    while index <= last + MAX_TAIL {
        if let Some(end) =
            postcodes::at(text, index, true).filter(|it| it - index < MAX_POSTCODE_TOKENS)
        {
            // A town follows: `10115 Berlin`.
            let is_town = text.digits(index).is_some() && text.is_capitalised(end + 1);
            return if is_town { end + 1 } else { end };
        }
        let is_name = text.is_capitalised(index);
        if !is_name && !text.is_mark(index, ",") && text.word(index) != Some("in") {
            break;
        }
        // Without a postcode the town counts only behind a comma, up to the end of its words.
        if is_name
            && index >= last + 2
            && text.is_mark(last + 1, ",")
            && index < last + 4
            && town.is_none_or(|town| town + 1 == index)
        {
            town = Some(index);
        }
        index += 1;
    }
    town.unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn an_address_is_found_as_a_whole() {
        for text in [
            "12 High Street",
            "221B Baker Street, London NW1 6XE",
            "Flat 4, 12 St. John's Road",
            "1600 Pennsylvania Avenue, Apt 5, Washington, DC 20500",
            "350 West 42nd Street, New York",
            "twenty-two Acacia Avenue",
            "Hauptstraße 12a, 10115 Berlin",
            "12 rue de la Paix, 75002 Paris",
            "Calle Mayor 5",
            "P.O. Box 1234",
            "SW1A 1AA",
        ] {
            let redacted = Redactor::new([]).redact(&format!("I live at {text}."));
            assert_eq!(redacted, "I live at [ADDRESS_1].", "{text}");
        }
        let small = Redactor::new([]).redact("i live at 12 acacia avenue near the park");
        assert_eq!(small, "i live at [ADDRESS_1] near the park");
    }

    #[test]
    fn ways_and_numbers_are_no_address() {
        for text in [
            "It is a 20 minute drive, 5 miles down the road.",
            "Turn left after 2 blocks, in the high street.",
            "There are 3 ways and 12 people at Park Lane.",
            "it is 20 minutes down the road",
            "Room 12 is free.",
        ] {
            assert_eq!(Redactor::new([]).redact(text), text);
        }
    }
}
