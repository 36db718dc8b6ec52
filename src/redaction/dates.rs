//! Dates, and those of births: a date where a birth was just named.
//!
//! Other dates stay, since appointments are what most conversations are about.

use std::collections::HashSet;

use super::numbers::group_at;
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

/// Words before a date in which a birth is named; fewer where only a year follows.
const NEAR: usize = 14;
const NEAR_YEAR: usize = 5;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const ORDINALS: [&str; 20] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];

/// Last token and number of a part of a date.
type Part = (usize, u32);

/// The tokens of all dates that are written in digits.
pub fn all(text: &Text<'_>) -> HashSet<usize> {
    let mut tokens = HashSet::new();
    for first in 0..text.tokens.len() {
        if let Some((last, _)) = in_digits(text, first) {
            tokens.extend(first..=last);
        }
    }
    tokens
}

pub fn find_births(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    let mut at = 0;
    while at < text.tokens.len() {
        if claims.is_taken(at) || !topics.is_near(at, Topic::Birth, NEAR) {
            at += 1;
            continue;
        }
        let only_year = || {
            let is_near = topics.is_near(at, Topic::Birth, NEAR_YEAR);
            let (last, year) = year(text, at).filter(|it| is_near && it.1 >= 1900)?;
            Some((last, year.to_string()))
        };
        let date = in_digits(text, at)
            .or_else(|| in_words(text, at))
            .or_else(only_year);
        at = match date {
            Some((last, value)) => {
                claims.claim(Kind::BirthDate, at, last, value);
                last + 1
            }
            None => at + 1,
        };
    }
}

/// `1984-05-03`, `3/5/1984`, `03.05.84`: the last token and the date as it stands.
fn in_digits(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    let number = |at: usize| text.digits(at)?.parse::<u32>().ok();
    let length = |at: usize| text.digits(at).map_or(0, str::len);
    let mark = &text.get(first + 1)?.folded;
    let is_joined = matches!(mark.as_str(), "-" | "/" | ".")
        && text.is_mark(first + 3, mark)
        && (first..first + 4).all(|at| text.is_glued(at));
    let is_part = |at: usize| text.digits(at).is_some() || text.is_mark(at, mark);
    let goes_on = |at: usize| text.is_glued(at) && is_part(at + 1) && is_part(at + 2);
    if !is_joined
        || goes_on(first + 4)
        || (first > 0 && text.is_glued(first - 1) && is_part(first - 1))
    {
        return None;
    }
    let (one, two, three) = (number(first)?, number(first + 2)?, number(first + 4)?);
    let is_day_and_month =
        |a: u32, b: u32| (1..=31).contains(&a) && (1..=31).contains(&b) && (a <= 12 || b <= 12);
    let is_date = match (length(first), length(first + 2), length(first + 4)) {
        (4, 1..=2, 1..=2) => (1800..2100).contains(&one) && is_day_and_month(two, three),
        (1..=2, 1..=2, 4) => (1800..2100).contains(&three) && is_day_and_month(one, two),
        (1..=2, 1..=2, 2) => is_day_and_month(one, two),
        _ => false,
    };
    is_date.then(|| (first + 4, format!("{one}-{two}-{three}")))
}

/// `the third of May, 1984`, `May 3rd`, `May 1984`: a month with a day, a year or both.
fn in_words(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    if let Some((last, day)) = day(text, first) {
        let at = if text.word(last + 1) == Some("of") {
            last + 2
        } else {
            last + 1
        };
        let (last, month) = month(text, at)?;
        return Some(with_year(text, last, day, month));
    }
    let (last, month) = month(text, first)?;
    let after = if text.word(last + 1) == Some("the") {
        last + 2
    } else {
        last + 1
    };
    if let Some((last, day)) = day(text, after) {
        return Some(with_year(text, last, day, month));
    }
    let (last, year) = year(text, last + 1)?;
    Some((last, format!("{year}-{month}")))
}

fn with_year(text: &Text<'_>, last: usize, day: u32, month: u32) -> (usize, String) {
    let after = if text.is_mark(last + 1, ",") {
        last + 2
    } else {
        last + 1
    };
    match year(text, after) {
        Some((last, year)) => (last, format!("{year}-{month}-{day}")),
        None => (last, format!("{month}-{day}")),
    }
}

fn month(text: &Text<'_>, at: usize) -> Option<Part> {
    let word = text.word(at)?;
    let matches = |month: &&str| **month == *word || (word.len() == 3 && month.starts_with(word));
    let month = MONTHS
        .iter()
        .position(|it| matches(&it))
        .or((word == "sept").then_some(8))?;
    let last = if word.len() < 5 && text.is_mark(at + 1, ".") {
        at + 1
    } else {
        at
    };
    Some((last, u32::try_from(month).ok()? + 1))
}

fn day(text: &Text<'_>, at: usize) -> Option<Part> {
    let found = if let Some(digits) = text.digits(at) {
        let is_ordinal =
            text.is_glued(at) && matches!(text.word(at + 1), Some("st" | "nd" | "rd" | "th"));
        (at + usize::from(is_ordinal), digits.parse().ok()?)
    } else {
        ordinal(text, at).or_else(|| {
            let group = group_at(text, at)?;
            Some((group.last, group.digits.parse().ok()?))
        })?
    };
    (1..=31).contains(&found.1).then_some(found)
}

/// `third`, `twenty-third`, `thirty first`.
fn ordinal(text: &Text<'_>, at: usize) -> Option<Part> {
    let position = |word: &str| {
        let position = ORDINALS.iter().position(|it| *it == word)?;
        u32::try_from(position).ok().map(|it| it + 1)
    };
    let word = text.word(at)?;
    if let Some(day) = position(word) {
        return Some((at, day));
    }
    let tens = match word {
        "twenty" => 20,
        "thirty" => 30,
        "thirtieth" => return Some((at, 30)),
        _ => return None,
    };
    let after = if text.is_mark(at + 1, "-") {
        at + 2
    } else {
        at + 1
    };
    let unit = position(text.word(after)?).filter(|it| *it < 10)?;
    Some((after, tens + unit))
}

/// `1984`, `'84`, `nineteen eighty four`, `nineteen oh five`, `two thousand and five`.
fn year(text: &Text<'_>, at: usize) -> Option<Part> {
    let is_quoted = text.is_mark(at, "'") || text.is_mark(at, "’");
    let at = if is_quoted { at + 1 } else { at };
    if let Some(digits) = text.digits(at) {
        let year: u32 = digits.parse().ok()?;
        let is_year = match digits.len() {
            4 => (1850..2050).contains(&year),
            length => length == 2,
        };
        return is_year.then_some((at, year));
    }
    let first = group_at(text, at)?;
    let century: u32 = first.digits.parse().ok()?;
    if century == 2000 {
        let after = if text.word(first.last + 1) == Some("and") {
            2
        } else {
            1
        };
        let rest = group_at(text, first.last + after).filter(|it| it.digits.len() < 3);
        let rest = rest.and_then(|it| Some((it.last, it.digits.parse::<u32>().ok()?)));
        return Some(rest.map_or((first.last, 2000), |(last, rest)| (last, 2000 + rest)));
    }
    let second = group_at(text, first.last + 1).filter(|_| matches!(century, 18..=20))?;
    let (last, rest) = match second.digits.as_str() {
        "0" => {
            let third = group_at(text, second.last + 1).filter(|it| it.digits.len() == 1)?;
            (third.last, third.digits)
        }
        _ => (second.last, second.digits),
    };
    let rest: u32 = rest.parse().ok().filter(|it| *it < 100)?;
    Some((last, century * 100 + rest))
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn a_date_of_birth_is_found_however_it_is_written_or_said() {
        for text in [
            "1984-05-03",
            "03/05/1984",
            "3.5.84",
            "May 3rd, 1984",
            "May 3 1984",
            "May the third, 1984",
            "3rd of May 1984",
            "third of May nineteen eighty-four",
            "twenty first of december two thousand and five",
            "Dec. 9 nineteen oh five",
            "May 1984",
            "May 3rd",
        ] {
            let redacted = Redactor::new([]).redact(&format!("I was born on {text}, at home."));
            assert_eq!(redacted, "I was born on [BIRTH_DATE_1], at home.", "{text}");
        }
        let year = Redactor::new([]).redact("She was born in 1984.");
        assert_eq!(year, "She was born in [BIRTH_DATE_1].");
    }

    #[test]
    fn other_dates_stay_and_the_answer_may_be_the_next_text() {
        let mut redactor = Redactor::new([]);
        let appointment = "Shall we say May 3rd, or 04/05/2026?";
        assert_eq!(redactor.redact(appointment), appointment);
        redactor.redact("What's your date of birth?");
        assert_eq!(redactor.redact("May 3rd, 1984."), "[BIRTH_DATE_1].");
        assert_eq!(redactor.redact("So May 3rd, 1984."), "So [BIRTH_DATE_1].");
    }
}
