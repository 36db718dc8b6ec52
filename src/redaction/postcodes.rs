//! Postcodes: of the United Kingdom, of Canada, and of the United States with its state by their form, others
//! where one was named or where a street stands before them.

use super::tokens::{Sort, Text};

/// Longest postcode in tokens: `SW 1 A 1 AA`, `CA 94110 - 1234`.
pub const MAX_POSTCODE_TOKENS: usize = 6;

const STATES: &str = "\
    AL AK AZ AR CA CO CT DC DE FL GA HI ID IL IN IA KS KY LA MA MD ME MI MN MO MS MT NC ND NE \
    NH NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UT VA VT WA WI WV WY";

/// The last token of a postcode that begins at `at`. With `is_named` digits alone are one.
pub fn at(text: &Text<'_>, at: usize, is_named: bool) -> Option<usize> {
    if at > 0 && text.get(at - 1)?.sort != Sort::Mark && text.is_glued(at - 1) {
        return None;
    }
    british(text, at)
        .or_else(|| canadian(text, at))
        .or_else(|| american(text, at))
        .or_else(|| {
            let zip = zip(text, at).filter(|_| is_named);
            zip.or_else(|| dutch(text, at).filter(|_| is_named))
        })
}

/// `SW1A 1AA`: one or two letters, a digit, a digit or letter perhaps; a digit and two letters.
fn british(text: &Text<'_>, first: usize) -> Option<usize> {
    let (mut last, mut outward) = (first, String::new());
    loop {
        outward.push_str(&text.get(last)?.folded);
        if !text.is_glued(last) || outward.len() > 7 {
            break;
        }
        last += 1;
    }
    let shape = |code: &str| -> String {
        let sort = |c: char| if c.is_ascii_digit() { '9' } else { 'a' };
        code.chars().map(sort).collect()
    };
    let is_outward = |code: &str| {
        matches!(
            shape(code).as_str(),
            "a9" | "a99" | "aa9" | "aa99" | "a9a" | "aa9a"
        ) && code.is_ascii()
    };
    let is_inward = |code: &str| shape(code) == "9aa" && code.is_ascii();
    if let Some(at) = outward
        .len()
        .checked_sub(3)
        .filter(|at| outward.is_char_boundary(*at))
    {
        let (one, two) = outward.split_at(at);
        if is_outward(one) && is_inward(two) && text.is_capitalised(first) {
            return Some(last);
        }
    }
    let digit = text.digits(last + 1).filter(|it| it.len() == 1)?;
    let letters = text.word(last + 2).filter(|_| text.is_glued(last + 1))?;
    let is_whole = !continues(text, last + 2);
    let is_code = is_outward(&outward) && is_inward(&format!("{digit}{letters}")) && is_whole;
    is_code.then_some(last + 2)
}

/// `H3A 1B1`: letters and digits in turn, six in all.
fn canadian(text: &Text<'_>, first: usize) -> Option<usize> {
    let is_letter = |at: usize| text.slice(at, at).bytes().all(|it| it.is_ascii_uppercase());
    let is_part = |at: usize| {
        let is_right = if (at - first).is_multiple_of(2) {
            is_letter(at)
        } else {
            text.digits(at).is_some()
        };
        is_right && text.get(at).is_some_and(|it| it.end - it.start == 1)
    };
    let is_joined = |at: usize| at == first + 2 || text.is_glued(at);
    let is_code = (first..first + 6).all(is_part) && (first..first + 5).all(is_joined);
    (is_code && !continues(text, first + 5)).then_some(first + 5)
}

/// `CA 94110`, `CA 94110-1234`
fn american(text: &Text<'_>, first: usize) -> Option<usize> {
    let state = text.slice(first, first);
    let is_state = state.len() == 2 && STATES.split_whitespace().any(|it| it == state);
    is_state.then(|| zip(text, first + 1)).flatten()
}

/// Whether a word or number goes on after a token.
fn continues(text: &Text<'_>, at: usize) -> bool {
    let next = text.get(at + 1);
    text.is_glued(at) && next.is_some_and(|it| it.sort != Sort::Mark)
}

/// Five digits, four more perhaps.
fn zip(text: &Text<'_>, at: usize) -> Option<usize> {
    text.digits(at).filter(|it| it.len() == 5)?;
    if text.is_glued(at) && text.word(at + 1).is_some() {
        return None;
    }
    let is_long = text.is_mark(at + 1, "-") && text.digits(at + 2).is_some_and(|it| it.len() == 4);
    Some(if is_long { at + 2 } else { at })
}

/// `1012 AB`
fn dutch(text: &Text<'_>, at: usize) -> Option<usize> {
    text.digits(at).filter(|it| it.len() == 4)?;
    let is_code = text
        .slice(at + 1, at + 1)
        .bytes()
        .filter(u8::is_ascii_uppercase)
        .count()
        == 2
        && text.word(at + 1)?.len() == 2;
    is_code.then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn a_postcode_needs_its_form_or_its_name() {
        for (text, expected) in [
            (
                "In M1 1AE, EC1A1BB and b33 8th.",
                "In [ADDRESS_1], [ADDRESS_2] and [ADDRESS_3].",
            ),
            (
                "H3A 1B1 or H3A1B1, A1 paper",
                "[ADDRESS_1] or [ADDRESS_2], A1 paper",
            ),
            ("San Francisco, CA 94110-1234", "San Francisco, [ADDRESS_1]"),
            ("The zip code is 94110.", "The zip code is [ADDRESS_1]."),
            (
                "We sold 94110 of the A4 3D ones.",
                "We sold 94110 of the A4 3D ones.",
            ),
        ] {
            assert_eq!(Redactor::new([]).redact(text), expected);
        }
    }
}
