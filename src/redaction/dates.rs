//! Dates, in digits and in English words.

use std::collections::HashSet;

use super::numbers::group_at;
use super::tokens::Text;

const MONTHS: &str =
    "january february march april may june july august september october november december";
const ORDINALS: &str = "\
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth \
    thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth";

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

/// A date that begins at `first`: its last token, and the same text for every writing of it.
pub fn at(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    in_digits(text, first)
        .or_else(|| in_words(text, first))
        .or_else(|| dictated(text, first))
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

/// `zero three, eleven, seventy-two`
fn dictated(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    let after = |last: usize| {
        if text.is_mark(last + 1, ",") {
            last + 2
        } else {
            last + 1
        }
    };
    let (last, one) = small(text, first)?;
    let (last, two) = small(text, after(last))?;
    let (last, three) = year(text, after(last))?;
    let is_date = (1..=31).contains(&one) && (1..=31).contains(&two) && (one <= 12 || two <= 12);
    is_date.then(|| (last, format!("{one}-{two}-{three}")))
}

/// A number of one or two digits, its zero said or not.
fn small(text: &Text<'_>, at: usize) -> Option<Part> {
    let mut group = group_at(text, at)?;
    if group.digits == "0" {
        group = group_at(text, group.last + 1).filter(|it| it.digits.len() == 1)?;
    }
    (group.digits.len() < 3).then_some((group.last, group.digits.parse().ok()?))
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
    let matches = |month: &str| month == word || (word.len() == 3 && month.starts_with(word));
    let month = MONTHS
        .split(' ')
        .position(matches)
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
        let position = ORDINALS.split(' ').position(|it| it == word)?;
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
pub fn year(text: &Text<'_>, at: usize) -> Option<Part> {
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
    let second = group_at(text, first.last + 1).filter(|_| matches!(century, 18..=20));
    let Some(second) = second else {
        return (century > 20 && century < 100).then_some((first.last, century));
    };
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
