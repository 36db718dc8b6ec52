//! International bank account numbers: a country, its length, and a check by 97 ([ISO 13616]).
//!
//! [ISO 13616]: https://www.swift.com/standards/data-standards/iban-international-bank-account-number

use super::numbers::group_at;
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::{Sort, Text};
use super::topics::{Topic, Topics};

/// Words before a number in which an account is named: then it is one whatever its check says.
const NEAR: usize = 8;

/// Countries with the length of their numbers.
const LENGTHS: &str = "\
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 \
    DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 \
    IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 \
    MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 \
    SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    let mut at = 0;
    while at < text.tokens.len() {
        match iban_at(text, at) {
            Some((last, iban))
                if passes_check(&iban)
                    || (topics.is_about(at, Topic::Account, NEAR) && !is_prose(text, at, last)) =>
            {
                claims.claim(Kind::Iban, at, last, iban);
                at = last + 1;
            }
            _ => at += 1,
        }
    }
}

/// Whether words stand between the digits, as in `it is 12 345 and so on and so on`: a number has one
/// group of letters beside its country's at most.
fn is_prose(text: &Text<'_>, first: usize, last: usize) -> bool {
    let is_word = |index: &usize| {
        let word = text.word(*index).is_some_and(|it| it.len() > 1);
        word && !text.is_glued(*index)
            && !text.is_glued(*index - 1)
            && group_at(text, *index).is_none()
    };
    (first + 1..last).filter(is_word).count() > 1
}

/// What is written like the account number of a country from `first` on: its last token, and the
/// number without its joints.
fn iban_at(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    if first > 0 && text.is_glued(first - 1) && text.get(first - 1)?.sort != Sort::Mark {
        return None;
    }
    let mut iban = String::new();
    let mut length = None;
    let mut at = first;
    loop {
        let token = text.get(at)?;
        let mut last = at;
        match token.sort {
            Sort::Digits => iban.push_str(&token.folded),
            Sort::Word => match group_at(text, at).filter(|_| token.folded.len() > 1) {
                Some(group) if iban.len() >= 2 => {
                    iban.push_str(&group.digits);
                    last = group.last;
                }
                _ => iban.push_str(&token.folded.to_ascii_uppercase()),
            },
            Sort::Mark => return None,
        }
        if !fits(&iban) {
            return None;
        }
        if length.is_none() && iban.len() >= 2 {
            length = Some(length_of(&iban[..2])?);
        }
        if let Some(length) = length {
            let is_cut =
                text.is_glued(last) && text.get(last + 1).is_some_and(|it| it.sort != Sort::Mark);
            if iban.len() >= length {
                return (iban.len() == length && !is_cut).then_some((last, iban));
            }
        }
        at = last + 1;
        let is_joint = |index| ["-", ".", ","].iter().any(|it| text.is_mark(index, it));
        if is_joint(at) {
            at += 1;
        }
    }
}

/// Whether a number may begin so: two letters, two digits, then either.
fn fits(iban: &str) -> bool {
    iban.bytes()
        .enumerate()
        .all(|(position, byte)| match position {
            0 | 1 => byte.is_ascii_uppercase(),
            2 | 3 => byte.is_ascii_digit(),
            _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        })
}

fn length_of(country: &str) -> Option<usize> {
    let mut countries = LENGTHS.split_whitespace();
    countries.find_map(|it| it.strip_prefix(country)?.parse().ok())
}

/// The number, its first four characters last and its letters as 10 to 35, leaves 1 when divided by 97.
fn passes_check(iban: &str) -> bool {
    let turned = iban[4..].bytes().chain(iban[..4].bytes());
    let rest = turned.fold(0, |rest: u32, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn an_iban_is_found_however_it_is_written_or_said() {
        for text in [
            "GB29NWBK60161331926819",
            "GB29 NWBK 6016 1331 9268 19",
            "gb29-nwbk-6016-1331-9268-19",
            "GB29, NWBK, 6016, 1331, 9268, 19",
            "G B 29 N W B K 6016 1331 9268 19",
            "gb29\u{a0}nwbk\u{200b}6016 1331 9268 19",
            "ＧＢ２９ＮＷＢＫ６０１６１３３１９２６８１９",
            "G B two nine N W B K six zero one six one three three one nine two six eight one nine",
        ] {
            let mut redactor = Redactor::new([]);
            let redacted = redactor.redact(&format!("It is {text}, thanks."));
            assert_eq!(redacted, "It is [IBAN_1], thanks.", "{text}");
        }
    }

    #[test]
    fn the_check_counts_unless_an_account_was_named() {
        let wrong = "DE89370400440532013001";
        let mut redactor = Redactor::new([]);
        assert!(redactor.redact(&format!("Part {wrong}.")).contains(wrong));
        let named = redactor.redact(&format!("My IBAN is {wrong}."));
        assert_eq!(named, "My IBAN is [IBAN_1].");
        let right = redactor.redact("DE89370400440532013000, NO9386011117947");
        assert_eq!(right, "[IBAN_2], [IBAN_3]");
        let prose = "My account? It is 12 345 and so on and so on, and so on.";
        assert!(
            redactor
                .redact(prose)
                .ends_with(" and so on and so on, and so on.")
        );
        let words = "is 12 people, at 20 past, no 15";
        assert_eq!(redactor.redact(words), words);
    }
}
