//! Dates of birth: a date where a birth was just named, or is named right after.
//!
//! Other dates stay, since appointments are what most conversations are about.

use super::dates;
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::Text;
use super::topics::{Topic, Topics};

/// Words before a date in which a birth is named; fewer where only a year follows.
const NEAR: usize = 14;
const NEAR_YEAR: usize = 5;
/// Words from the beginning of a date to a birth that is named after it.
const NEAR_AHEAD: usize = 8;

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    let mut at = 0;
    while at < text.tokens.len() {
        let is_named =
            topics.is_near(at, Topic::Birth, NEAR) || topics.is_ahead(at, Topic::Birth, NEAR_AHEAD);
        if claims.is_taken(at) || !is_named {
            at += 1;
            continue;
        }
        let only_year = || {
            let is_near = topics.is_near(at, Topic::Birth, NEAR_YEAR);
            let is_quoted = text.digits(at).is_none() && text.digits(at + 1).is_some();
            let (last, year) =
                dates::year(text, at).filter(|it| is_near && (it.1 >= 1900 || is_quoted))?;
            Some((last, year.to_string()))
        };
        let date = dates::at(text, at).or_else(only_year);
        at = match date {
            Some((last, value)) => {
                claims.claim(Kind::BirthDate, at, last, value);
                last + 1
            }
            None => at + 1,
        };
    }
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
            "ninth of May eighty-nine",
            "oh three, eleven, seventy-two",
            "May 3rd",
        ] {
            let redacted = Redactor::new([]).redact(&format!("I was born on {text}, at home."));
            assert_eq!(redacted, "I was born on [BIRTH_DATE_1], at home.", "{text}");
        }
        let after = Redactor::new([]).redact("May 3rd, 1984, that's my birthday.");
        assert_eq!(after, "[BIRTH_DATE_1], that's my birthday.");
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
