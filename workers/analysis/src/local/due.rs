//! When something is due: the words of a sentence that name a day or a time.

use super::text::Word;

const DAYS: &[&str] = &[
    "today",
    "tonight",
    "tomorrow",
    "noon",
    "midnight",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const MONTHS: &[&str] = &[
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
const NUMBERS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
];
const UNITS: &[&str] = &["minute", "hour", "day", "week", "month", "year"];
const PARTS: &[&str] = &[
    "week",
    "month",
    "year",
    "weekend",
    "morning",
    "afternoon",
    "evening",
];
const CLOCK: &[&str] = &["am", "pm", "a.m", "p.m", "o'clock"];
/// Words that may stand between two parts of one time: "Tuesday afternoon at 3 p.m.".
const JOINTS: &[&str] = &[
    "at",
    "on",
    "by",
    "the",
    "of",
    "in",
    "around",
    "before",
    "after",
    "morning",
    "afternoon",
    "evening",
];

/// The first day or time that is named, with what belongs to it.
pub fn find<'t>(text: &'t str, words: &[Word]) -> Option<&'t str> {
    let (first, mut end) = (0..words.len()).find_map(|at| Some((at, at + len_at(words, at)?)))?;
    let mut next = end;
    while let Some(word) = words.get(next) {
        if let Some(len) = len_at(words, next) {
            next += len;
            end = next;
        } else if JOINTS.contains(&word.lower.as_str()) {
            next += 1;
            if PARTS.contains(&word.lower.as_str()) {
                end = next;
            }
        } else {
            break;
        }
    }
    Some(&text[words[first].start..words[end - 1].end])
}

/// How many words name a day or a time from here; none where they do not.
fn len_at(words: &[Word], at: usize) -> Option<usize> {
    let word = |offset: usize| {
        words
            .get(at + offset)
            .map_or("", |word| word.lower.as_str())
    };
    let first = word(0);
    if DAYS.contains(&first) || is_ordinal(first) || is_clock_time(first) {
        return Some(1);
    }
    if MONTHS.contains(&first) {
        let after_the = usize::from(word(1) == "the");
        return (is_number(word(1 + after_the)) || is_ordinal(word(1 + after_the)))
            .then_some(2 + after_the);
    }
    match first {
        "this" | "next" | "coming" => {
            (PARTS.contains(&word(1)) || DAYS.contains(&word(1))).then_some(2)
        }
        "in" | "within" => {
            let counted = is_number(word(1)) || matches!(word(1), "a" | "an");
            (counted && UNITS.contains(&word(2).trim_end_matches('s'))).then_some(3)
        }
        "end" => {
            let the = usize::from(word(2) == "the");
            (word(1) == "of" && matches!(word(2 + the), "day" | "week" | "month" | "year"))
                .then_some(3 + the)
        }
        _ if is_number(first) => {
            // "3:30" comes as two words.
            let minutes = usize::from(is_minutes(word(1)));
            CLOCK.contains(&word(1 + minutes)).then_some(2 + minutes)
        }
        _ => None,
    }
}

fn is_number(word: &str) -> bool {
    NUMBERS.contains(&word)
        || ((1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_minutes(word: &str) -> bool {
    word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_ordinal(word: &str) -> bool {
    ["st", "nd", "rd", "th"].iter().any(|ending| {
        word.strip_suffix(ending)
            .is_some_and(|day| day.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day)))
    })
}

/// "3pm", as one word.
fn is_clock_time(word: &str) -> bool {
    ["am", "pm"].iter().any(|ending| {
        word.strip_suffix(ending).is_some_and(|hour| {
            hour.parse::<u8>()
                .is_ok_and(|hour| (1..=12).contains(&hour))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::local::text::words;

    #[test]
    fn days_and_times_are_found_as_said() {
        for (text, expected) in [
            ("I'll call you tomorrow morning.", Some("tomorrow morning")),
            (
                "Come on Tuesday, March 3rd at 3:30 p.m. sharp.",
                Some("Tuesday, March 3rd at 3:30 p.m"),
            ),
            (
                "Send it by the end of the week please",
                Some("end of the week"),
            ),
            ("We ship in two weeks.", Some("in two weeks")),
            ("Be here at 9am on the 5th.", Some("9am on the 5th")),
            ("Next Friday at the office.", Some("Next Friday")),
            ("I may call you.", None),
            ("In the end it was one of three.", None),
            ("", None),
        ] {
            assert_eq!(find(text, &words(text)), expected, "{text}");
        }
    }
}
