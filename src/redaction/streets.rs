//! A street with its number, and boxes at the post office.
//!
//! Where a text has capitals, a street's name has them; without any, only words that mean a street and
//! nothing else count.

use super::numbers::group_at;
use super::tokens::Text;

const STREETS: &str = "\
    alley avenue ave boulevard blvd circle close court crescent ct drive dr gardens green \
    grove heights highway hill hwy lane ln loop mews park parkway place pl quay rd rise road \
    row sq square st street terrace view walk way";
/// Those that mean nothing else.
const SURE_STREETS: &str = "avenue boulevard crescent lane road street terrace";
/// Those that a full stop may belong to.
const SHORT_STREETS: &str = "ave blvd ct dr hwy ln pl rd sq st";
/// Words that begin a street's name in other languages, its number before or after.
const LEADING: &str =
    "allee avenida avenue boulevard calle chemin impasse paseo plaza quai rue viale";
/// How German and Dutch streets end, their number after.
const ENDINGS: &str = "allee damm gasse gracht laan platz plein straat strasse straße ufer weg";
const MAX_NAME_WORDS: usize = 4;

/// The last token of a street with its number, or of a box, that begins at `at`.
pub fn at(text: &Text<'_>, at: usize) -> Option<usize> {
    numbered_street(text, at)
        .or_else(|| street_and_number(text, at))
        .or_else(|| post_box(text, at))
}

/// `12 High Street`, `221b Baker St.`, `twenty two acacia avenue`, `12 rue de la Paix`.
fn numbered_street(text: &Text<'_>, at: usize) -> Option<usize> {
    let mut last = house_number(text, at)?;
    if text.is_mark(last + 1, ",") {
        last += 1;
    }
    if text
        .word(last + 1)
        .is_some_and(|it| it != "avenue" && is_among(LEADING, it))
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
        let is_alone = word == "broadway" && text.is_capitalised(index);
        if is_alone || (words > 0 && is_street(text, index, word)) {
            let is_short = is_among(SHORT_STREETS, word);
            let has_stop = is_short && text.is_mark(index + 1, ".") && text.is_glued(index);
            let last = index + usize::from(has_stop);
            let is_side = text.is_capitalised(last + 1)
                && matches!(
                    text.word(last + 1),
                    Some("east" | "north" | "south" | "west")
                );
            return Some(last + usize::from(is_side));
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
    is_among(SURE_STREETS, word) || (text.is_capitalised(index) && is_among(STREETS, word))
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
    let ends_so = |it: &str| word.len() > it.len() + 1 && word.ends_with(it);
    if ENDINGS.split_whitespace().any(ends_so) && text.is_capitalised(at) == text.has_capitals {
        return house_number(text, at + 1);
    }
    let is_via = word == "via" && text.is_capitalised(at) && !text.begins_sentence(at);
    let is_leading = (is_among(LEADING, word) || is_via) && text.is_capitalised(at + 1);
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
pub fn house_number(text: &Text<'_>, at: usize) -> Option<usize> {
    let Some(digits) = text.digits(at) else {
        // `one twenty-three Main Street`
        let mut group = group_at(text, at)?;
        while let Some(next) = group_at(text, group.last + 1).filter(|_| group.digits.len() < 4) {
            group.digits.push_str(&next.digits);
            group.last = next.last;
        }
        return (group.digits.len() < 6).then_some(group.last);
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

fn is_among(words: &str, word: &str) -> bool {
    words.split(' ').any(|it| it == word)
}
