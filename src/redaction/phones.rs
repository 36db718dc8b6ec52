//! Telephone numbers: 7 to 15 digits ([E.164]) that are nothing else.
//!
//! No numbering plan is asked: engines drop and mishear digits, so a number that no plan knows is
//! still somebody's. Amounts, years, dates and numbers of things are told apart by what stands around.
//!
//! [E.164]: https://www.itu.int/rec/T-REC-E.164

use std::ops::Range;

use super::dates;
use super::numbers::{Joint, Run, group_at, runs};
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

const MIN_DIGITS: usize = 7;
/// Where a telephone was just named.
const MIN_DIGITS_NAMED: usize = 6;
const MAX_DIGITS: usize = 15;
/// Words before a number in which a telephone, or another thing, is named.
const NEAR: usize = 10;
const NEAR_THING: usize = 4;

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    let dates = dates::all(text);
    for run in runs(text, |token| {
        claims.is_taken(token) || dates.contains(&token)
    }) {
        let segments = run.segments();
        let mut from = 0;
        while from < segments.len() {
            let to = last_piece(&run, &segments, from);
            let groups = segments[from].start..segments[to].end;
            if is_phone(text, topics, &run, groups.clone(), from < to) {
                claim(text, &run, groups, claims);
                from = to;
            }
            from += 1;
        }
    }
}

/// The last segment of a number that is dictated in pieces.
fn last_piece(run: &Run, segments: &[Range<usize>], from: usize) -> usize {
    let mut to = from;
    let mut count = run.count(segments[from].clone());
    while count < MIN_DIGITS || to > from {
        let Some(next) = segments.get(to + 1) else {
            break;
        };
        let more = run.count(next.clone());
        if more >= MIN_DIGITS || count + more > MAX_DIGITS {
            break;
        }
        count += more;
        to += 1;
    }
    to
}

fn is_phone(
    text: &Text<'_>,
    topics: &Topics,
    run: &Run,
    groups: Range<usize>,
    is_dictated: bool,
) -> bool {
    let first = run.groups[groups.start].first;
    let is_named = topics.is_about(first, Topic::Phone, NEAR);
    let count = run.count(groups.clone());
    if count < MIN_DIGITS && !(is_named && count >= MIN_DIGITS_NAMED) {
        return false;
    }
    let is_amount =
        is_amount(text, run, groups.clone()) && !is_dialled(run, groups.clone(), is_named);
    if is_amount || topics.is_about(first, Topic::Thing, NEAR_THING) {
        return false;
    }
    is_named || !(is_list(run, groups.clone(), is_dictated) || is_technical(text, run, groups))
}

/// Whether digits are an amount: money, a share, thousands.
pub fn is_amount(text: &Text<'_>, run: &Run, groups: Range<usize>) -> bool {
    let (first, last) = (
        run.groups[groups.start].first,
        run.groups[groups.end - 1].last,
    );
    let is_money = |index: usize| {
        text.get(index)
            .is_some_and(|it| matches!(it.folded.as_str(), "$" | "€" | "£" | "¥" | "%"))
    };
    let is_unit = text.word(last + 1).is_some_and(|word| {
        matches!(
            word,
            "dollars"
                | "euros"
                | "euro"
                | "pounds"
                | "cents"
                | "percent"
                | "people"
                | "million"
                | "billion"
                | "kilometers"
                | "miles"
                | "users"
                | "usd"
                | "eur"
                | "gbp"
        )
    });
    let is_thousands = groups.len() > 1
        && (groups.start..groups.end - 1).all(|group| {
            run.joints[group] == Joint::Comma && run.groups[group + 1].digits.len() == 3
        });
    is_unit || is_thousands || is_money(last + 1) || first.checked_sub(1).is_some_and(is_money)
}

/// Whether groups of three digits with commas are no thousands: `0664,123,456`, and `664,123,456` where a
/// telephone was just named.
fn is_dialled(run: &Run, groups: Range<usize>, is_named: bool) -> bool {
    let first = &run.groups[groups.start].digits;
    let are_commas = run.joints[groups.start..groups.end - 1].contains(&Joint::Comma);
    are_commas && (first.starts_with('0') || (is_named && first.len() == 3 && groups.len() > 2))
}

/// Years beside each other, counting, or a list of small numbers.
fn is_list(run: &Run, groups: Range<usize>, is_dictated: bool) -> bool {
    let digits = run.digits(groups.clone());
    let groups = &run.groups[groups];
    let is_year = |digits: &str| digits.len() == 4 && matches!(&digits[..2], "18" | "19" | "20");
    let are_years = groups.len() < 4 && groups.iter().all(|it| is_year(&it.digits));
    let is_counting = groups.len() > 3 && "1234567891011121314".starts_with(&digits);
    // No amount begins with a zero: `06, 12, 34, 56, 78`.
    let is_small =
        is_dictated && groups.iter().all(|it| it.digits.len() == 2) && !digits.starts_with('0');
    are_years || is_counting || is_small
}

/// A decimal fraction, or an address of the internet.
fn is_technical(text: &Text<'_>, run: &Run, groups: Range<usize>) -> bool {
    let groups = &run.groups[groups];
    let are_dotted = groups.len() > 1
        && groups
            .windows(2)
            .all(|pair| pair[1].first == pair[0].last + 2 && text.is_mark(pair[0].last + 1, "."));
    let lengths: Vec<_> = groups.iter().map(|it| it.digits.len()).collect();
    let is_octet = |digits: &str| {
        digits
            .parse::<u8>()
            .is_ok_and(|it| it.to_string() == digits)
    };
    are_dotted
        && match groups.len() {
            2 => lengths != [3, 4],
            // Pairs are a telephone's: `22.33.44.55`.
            4 => groups.iter().all(|it| is_octet(&it.digits)) && lengths != [2; 4],
            _ => false,
        }
}

fn claim(text: &Text<'_>, run: &Run, groups: Range<usize>, claims: &mut Claims) {
    let mut digits = run.digits(groups.clone());
    let (first, last) = (
        run.groups[groups.start].first,
        run.groups[groups.end - 1].last,
    );
    let closes = (first..last).any(|index| text.is_mark(index, ")"));
    let mut start = first;
    // `(+44 20)`: at most a sign and a bracket.
    for _ in 0..2 {
        let is_part = |before: &usize| {
            let is_sign = text.is_mark(*before, "+") || text.word(*before) == Some("plus");
            (is_sign || (text.is_mark(*before, "(") && closes)) && !claims.is_taken(*before)
        };
        start = start.checked_sub(1).filter(is_part).unwrap_or(start);
    }
    let end = match extension(text, last + 1) {
        Some((end, extension)) if claims.is_free(last, end) => {
            digits = format!("{digits}x{extension}");
            end
        }
        _ => last,
    };
    claims.claim(Kind::Phone, start, end, digits);
}

/// The last token of an extension that begins at `at`, after a comma perhaps.
fn extension(text: &Text<'_>, at: usize) -> Option<(usize, String)> {
    let at = if text.is_mark(at, ",") { at + 1 } else { at };
    if !matches!(text.word(at)?, "ext" | "extension" | "x") {
        return None;
    }
    let at = if text.is_mark(at + 1, ".") {
        at + 2
    } else {
        at + 1
    };
    if let Some(digits) = text.digits(at) {
        return Some((at, digits.to_owned()));
    }
    let mut group = group_at(text, at)?;
    while group.digits.len() < 6
        && let Some(next) = group_at(text, group.last + 1)
    {
        group.digits.push_str(&next.digits);
        group.last = next.last;
    }
    Some((group.last, group.digits))
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn a_number_is_found_however_it_is_written_or_said() {
        for text in [
            "555-0100",
            "+1 (415) 555-0100",
            "(020) 7946 0958",
            "07700 900 123",
            "415.555.0100",
            "06 12 34 56 78",
            "+4930123456",
            "22.33.44.55",
            "06, 12, 34, 56, 78",
            "0664,123,456",
            "555     0100",
            "５５５-０１００",
            "555\u{200b}0100",
            "٠٥٥ ١٢٣ ٤٥٦٧",
            "0161 496 0000 ext. 12",
            "5550100x12",
            "five five five, oh one, double oh",
            "plus four four seven seven double oh nine hundred one two three",
            "4, 1, 5, 5, 5, 5, 0, 1, 0, 0",
            "one eight hundred 555 0100, extension four two",
        ] {
            let mut redactor = Redactor::new([]);
            let redacted = redactor.redact(&format!("It is {text}. Thanks."));
            assert_eq!(redacted, "It is [PHONE_1]. Thanks.", "{text}");
        }
        let short = Redactor::new([]).redact("My phone number is 86 12 34.");
        assert_eq!(short, "My phone number is [PHONE_1].");
        let commas = Redactor::new([]).redact("My number is 664,123,456.");
        assert_eq!(commas, "My number is [PHONE_1].");
    }

    #[test]
    fn what_only_looks_like_a_number_stays() {
        for text in [
            "It costs 1,250,000 in all.",
            "That is $12500000, or 1234567 euros.",
            "From 1999-2004, then 2024 2025.",
            "On 2026-11-21, 21/11/2026 and 21.11.2026.",
            "At 10:30 or 11:45, room 204.",
            "Order number 48812345, please.",
            "Pi is 3.1415926, the host 192.168.100.100.",
            "One, two, three, four, five, six, seven.",
            "We have 12, 15, 20, 25 left.",
            "It is 123456.",
        ] {
            assert_eq!(Redactor::new([]).redact(text), text);
        }
    }
}
