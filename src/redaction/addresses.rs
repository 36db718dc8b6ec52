//! Postal addresses, by rule of thumb: a number with a street, a street with a number, a box, and the
//! postcode after them or by itself.
//!
//! Where a text has capitals, a street's name has them; without any, only words that mean a street and
//! nothing else count.

use super::numbers::group_at;
use super::placeholders::Kind;
use super::postcodes::{self, MAX_POSTCODE_TOKENS};
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

const STREETS: &[&str] = &[
    "alley",
    "avenue",
    "ave",
    "boulevard",
    "blvd",
    "circle",
    "close",
    "court",
    "crescent",
    "ct",
    "drive",
    "dr",
    "gardens",
    "green",
    "grove",
    "heights",
    "highway",
    "hill",
    "hwy",
    "lane",
    "ln",
    "mews",
    "park",
    "parkway",
    "place",
    "pl",
    "quay",
    "rd",
    "rise",
    "road",
    "row",
    "sq",
    "square",
    "st",
    "street",
    "terrace",
    "view",
    "walk",
    "way",
];
/// Those that mean nothing else.
const SURE_STREETS: &[&str] = &[
    "avenue",
    "boulevard",
    "crescent",
    "lane",
    "road",
    "street",
    "terrace",
];
/// Those that a full stop may belong to.
const SHORT_STREETS: &[&str] = &[
    "ave", "blvd", "ct", "dr", "hwy", "ln", "pl", "rd", "sq", "st",
];
/// Words that begin a street's name in other languages, its number before or after.
const LEADING: &[&str] = &[
    "allee",
    "avenida",
    "avenue",
    "boulevard",
    "calle",
    "chemin",
    "impasse",
    "paseo",
    "plaza",
    "quai",
    "rue",
    "viale",
];
/// How German and Dutch streets end, their number after.
const ENDINGS: &[&str] = &[
    "allee", "damm", "gasse", "laan", "platz", "plein", "straat", "strasse", "straße", "ufer",
    "weg",
];
const UNITS: &[&str] = &["apartment", "apt", "flat", "room", "suite", "unit"];
const MAX_NAME_WORDS: usize = 4;
/// Tokens from the street to its postcode.
const MAX_TAIL: usize = 10;
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
    let street = numbered_street(text, at)
        .or_else(|| street_and_number(text, at))
        .or_else(|| post_box(text, at));
    if let Some(last) = street {
        return Some((with_unit_before(text, at), with_tail(text, last)));
    }
    let is_named = topics.is_near(at, Topic::Postcode, NEAR_POSTCODE);
    postcodes::at(text, at, is_named).map(|last| (at, last))
}

/// `12 High Street`, `221b Baker St.`, `twenty two acacia avenue`, `12 rue de la Paix`.
fn numbered_street(text: &Text<'_>, at: usize) -> Option<usize> {
    let mut last = house_number(text, at)?;
    if text.is_mark(last + 1, ",") {
        last += 1;
    }
    if text
        .word(last + 1)
        .is_some_and(|it| it != "avenue" && LEADING.contains(&it))
    {
        return leading_name(text, last + 1);
    }
    let mut words = 0;
    let mut index = last + 1;
    while words <= MAX_NAME_WORDS {
        // `42nd Street`
        let is_ordinal = text.digits(index).is_some()
            && text.is_glued(index)
            && matches!(text.word(index + 1), Some("st" | "nd" | "rd" | "th"));
        if is_ordinal {
            (words, index) = (words + 1, index + 2);
            continue;
        }
        let word = text.word(index)?;
        if words > 0 && is_street(text, index, word) {
            let is_short = SHORT_STREETS.contains(&word);
            let has_stop = is_short && text.is_mark(index + 1, ".") && text.is_glued(index);
            return Some(index + usize::from(has_stop));
        }
        let is_name = if text.has_capitals {
            text.is_capitalised(index) || matches!(word, "of" | "the" | "de" | "la")
        } else {
            words < 2 && !is_common(word)
        };
        if !is_name {
            return None;
        }
        (words, index) = (words + 1, index + 1);
        let is_quote = text.is_mark(index, "'") || text.is_mark(index, "’");
        if is_quote && text.is_glued(index) && text.word(index + 1) == Some("s") {
            index += 2;
        }
        if text.is_mark(index, ".") && text.is_glued(index - 1) && word.len() < 4 {
            index += 1;
        }
    }
    None
}

fn is_street(text: &Text<'_>, index: usize, word: &str) -> bool {
    SURE_STREETS.contains(&word) || (text.is_capitalised(index) && STREETS.contains(&word))
}

/// Words that stand between a number and a way without making an address: `20 minutes down the road`.
fn is_common(word: &str) -> bool {
    matches!(
        word,
        "a" | "and"
            | "block"
            | "blocks"
            | "down"
            | "feet"
            | "from"
            | "hours"
            | "in"
            | "kilometers"
            | "meters"
            | "miles"
            | "minute"
            | "minutes"
            | "more"
            | "of"
            | "on"
            | "one"
            | "or"
            | "other"
            | "people"
            | "the"
            | "this"
            | "to"
            | "up"
            | "way"
            | "yards"
    )
}

/// `Hauptstraße 12`, `Calle Mayor 5`.
fn street_and_number(text: &Text<'_>, at: usize) -> Option<usize> {
    let word = text.word(at)?;
    let ends_so = |it: &&str| word.len() > it.len() + 1 && word.ends_with(*it);
    if ENDINGS.iter().any(|it| ends_so(&it)) && text.is_capitalised(at) == text.has_capitals {
        return house_number(text, at + 1);
    }
    let is_leading = LEADING.contains(&word) && text.is_capitalised(at + 1);
    is_leading
        .then(|| leading_name(text, at))
        .flatten()
        .and_then(|last| house_number(text, last + 1))
}

/// `rue de la Paix`, from its first word on: up to what is neither a capital nor a particle.
fn leading_name(text: &Text<'_>, first: usize) -> Option<usize> {
    let is_name = |index: &usize| {
        text.is_capitalised(*index)
            || matches!(
                text.word(*index),
                Some("de" | "des" | "du" | "la" | "le" | "les" | "l" | "del" | "los")
            )
    };
    let names = (first + 1..=first + MAX_NAME_WORDS).take_while(is_name);
    names.filter(|index| text.is_capitalised(*index)).last()
}

/// `P.O. Box 123`
fn post_box(text: &Text<'_>, at: usize) -> Option<usize> {
    let after = match text.word(at)? {
        "po" => at + 1,
        "p" if text.is_mark(at + 1, ".") && text.word(at + 2) == Some("o") => at + 3,
        "p" if text.word(at + 1) == Some("o") => at + 2,
        "postfach" => return house_number(text, at + 1),
        _ => return None,
    };
    let after = if text.is_mark(after, ".") {
        after + 1
    } else {
        after
    };
    (text.word(after) == Some("box"))
        .then(|| house_number(text, after + 1))
        .flatten()
}

/// `12`, `12a`, `12-14`, `twenty two`: the last token.
fn house_number(text: &Text<'_>, at: usize) -> Option<usize> {
    let Some(digits) = text.digits(at) else {
        let group = group_at(text, at).filter(|it| it.digits.len() < 5)?;
        return Some(group.last);
    };
    let follows = |index: usize| text.is_glued(index - 1);
    if digits.len() > 5 || (at > 0 && follows(at) && !is_opening(text, at - 1)) {
        return None;
    }
    let is_letter = text.word(at + 1).is_some_and(|it| it.chars().count() == 1);
    if is_letter && follows(at + 1) {
        return Some(at + 1);
    }
    let is_range = text.is_mark(at + 1, "-") && text.digits(at + 2).is_some_and(|it| it.len() < 5);
    Some(if is_range { at + 2 } else { at })
}

fn is_opening(text: &Text<'_>, at: usize) -> bool {
    text.is_mark(at, "(") || text.is_mark(at, "\"") || text.is_mark(at, "“")
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
    if is_unit && house_number(text, end) == Some(end) {
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
        last = house_number(text, after(last) + 1).unwrap_or(last);
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
