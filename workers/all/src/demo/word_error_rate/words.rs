//! Text as the words that were said, so that spelling and notation do not count as errors.
//!
//! Both sides of a comparison go through the same rules, and the rules are these:
//! - lower case; punctuation goes; hyphens and dashes part words; `a.m.` and other dotted initials
//!   join; `&` is "and"
//! - whole numbers are cardinals without "and": `120` and "a hundred and twenty" are "one hundred
//!   twenty"; a bare `1100` to `1999` or `2010` to `2099` is read as a year; with a leading zero, digit
//!   by digit
//! - seven digits and more, in one group or several parted by spaces, hyphens or brackets, are a
//!   telephone number and read digit by digit; "oh" beside a digit's name is "zero"
//! - `3rd` is "third", `2.5` "two point five", `20%` "twenty percent", `9:30` "nine thirty", `9:05`
//!   "nine zero five", `9:00` "nine", and "o'clock" goes
//! - `$45.50` is "forty five dollars fifty cents", and so for pounds and euros
//! - contractions are written out ("don't" is "do not"); `'d` is always "would" and `'s` after a
//!   pronoun or question word always "is", which is wrong now and then, but alike on both sides;
//!   any other apostrophe goes
//! - "Dr", "Mr", "Mrs", "OK" and "alright" are written out; a dozen British spellings become American
//!
//! Not handled, and so counted as errors where the two sides differ: fractions, dates in digits,
//! ranges, amounts such as `$3 million`, "double seven", fillers such as "um".

use super::numbers::{cardinal, digits, is_digit_name, is_number_name, ordinal, two_digits, year};
use super::spelling::written_out;

/// The words of a text, normalised.
pub fn words(text: &str) -> Vec<String> {
    let chars = text
        .to_lowercase()
        .replace(['’', '‘'], "'")
        .chars()
        .collect();
    let mut reader = Reader {
        chars,
        at: 0,
        words: Vec::new(),
    };
    while let Some(c) = reader.peek(0) {
        if c.is_ascii_digit() {
            reader.number();
        } else if let Some(currency) = reader.currency() {
            reader.money(currency);
        } else if c.is_alphabetic() {
            reader.word();
        } else {
            if c == '&' {
                reader.words.push("and".to_owned());
            }
            reader.at += 1;
        }
    }
    settle(&reader.words)
}

const TELEPHONE_DIGITS: usize = 7;

/// Sign, whole and part of a currency, each as one and as many.
type Currency = (char, [&'static str; 2], [&'static str; 2]);
const CURRENCIES: [Currency; 3] = [
    ('$', ["dollar", "dollars"], ["cent", "cents"]),
    ('£', ["pound", "pounds"], ["penny", "pence"]),
    ('€', ["euro", "euros"], ["cent", "cents"]),
];

struct Reader {
    chars: Vec<char>,
    at: usize,
    words: Vec<String>,
}

/// Digits as they are written: `1,234.50`.
struct Numeral {
    whole: String,
    has_separators: bool,
    fraction: Option<String>,
}

impl Numeral {
    fn words(&self) -> Vec<String> {
        let mut words = match self.whole.parse::<u64>() {
            Ok(_) if self.whole.len() > 1 && self.whole.starts_with('0') => digits(&self.whole),
            Ok(number @ (1100..=1999 | 2010..=2099)) if self.is_bare() => year(number),
            Ok(number) => cardinal(number),
            Err(_) => digits(&self.whole),
        };
        if let Some(fraction) = &self.fraction {
            words.push("point".to_owned());
            words.extend(digits(fraction));
        }
        words
    }

    fn is_bare(&self) -> bool {
        !self.has_separators && self.fraction.is_none()
    }
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn is_digit(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|c| c.is_ascii_digit())
    }

    fn is_letter(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(char::is_alphabetic)
    }

    fn word(&mut self) {
        let mut word = self.initials();
        if word.is_empty() {
            while let Some(c) = self.peek(0) {
                if !(c.is_alphabetic() || c == '\'' && self.is_letter(1)) {
                    break;
                }
                word.push(c);
                self.at += 1;
            }
        }
        self.words.extend(written_out(&word));
    }

    /// Takes `a.m.` as "am"; a single letter with a full stop is left alone.
    fn initials(&mut self) -> String {
        let mut letters = String::new();
        while let (Some(letter @ 'a'..='z'), Some('.')) = (
            self.peek(2 * letters.len()),
            self.peek(2 * letters.len() + 1),
        ) {
            letters.push(letter);
        }
        if letters.len() < 2 {
            return String::new();
        }
        self.at += 2 * letters.len();
        letters
    }

    fn number(&mut self) {
        if let Some((number, length)) = self.telephone() {
            self.at += length;
            self.words.extend(digits(&number));
            return;
        }
        let numeral = self.numeral();
        let minutes = self.minutes().filter(|_| numeral.is_bare());
        let whole = numeral.whole.parse::<u64>().ok();
        if let (Some(minutes), Some(hour)) = (minutes, whole) {
            self.at += 3;
            self.words.extend(cardinal(hour));
            if minutes > 0 {
                self.words.extend(two_digits(minutes));
            }
        } else if let (true, Some(rank)) = (numeral.fraction.is_none() && self.is_rank(), whole) {
            self.at += 2;
            self.words.extend(ordinal(rank));
        } else {
            self.words.extend(numeral.words());
        }
        if self.peek(0) == Some('%') {
            self.at += 1;
            self.words.push("percent".to_owned());
        }
    }

    /// Groups of digits that together are long enough for a telephone number, and their length.
    fn telephone(&self) -> Option<(String, usize)> {
        let mut number = String::new();
        let mut length = 0;
        for (index, c) in self.chars[self.at..].iter().enumerate() {
            match c {
                '0'..='9' => {
                    number.push(*c);
                    length = index + 1;
                }
                ' ' | '-' | '‑' | '–' | '(' | ')' => {}
                _ => break,
            }
        }
        (number.len() >= TELEPHONE_DIGITS).then_some((number, length))
    }

    fn numeral(&mut self) -> Numeral {
        let mut numeral = Numeral {
            whole: self.digits(),
            has_separators: false,
            fraction: None,
        };
        while self.peek(0) == Some(',') && (1..=3).all(|i| self.is_digit(i)) && !self.is_digit(4) {
            self.at += 1;
            numeral.whole += &self.digits();
            numeral.has_separators = true;
        }
        if self.peek(0) == Some('.') && self.is_digit(1) {
            self.at += 1;
            numeral.fraction = Some(self.digits());
        }
        numeral
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.is_digit(0) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// The minutes that stand here as `:MM`.
    fn minutes(&self) -> Option<u64> {
        let [tens, ones] = [self.peek(1)?.to_digit(10)?, self.peek(2)?.to_digit(10)?];
        (self.peek(0) == Some(':') && tens < 6 && !self.is_digit(3))
            .then_some(u64::from(10 * tens + ones))
    }

    /// Whether `st`, `nd`, `rd` or `th` stands here as a whole.
    fn is_rank(&self) -> bool {
        let suffix = [self.peek(0), self.peek(1)].map(Option::unwrap_or_default);
        matches!(suffix, ['s', 't'] | ['n' | 'r', 'd'] | ['t', 'h']) && !self.is_letter(2)
    }

    fn currency(&self) -> Option<Currency> {
        let sign = self.peek(0)?;
        CURRENCIES
            .into_iter()
            .find(|(known, ..)| *known == sign)
            .filter(|_| self.is_digit(1))
    }

    fn money(&mut self, (_, whole, part): Currency) {
        self.at += 1;
        let numeral = self.numeral();
        let cents = numeral.fraction.filter(|fraction| fraction.len() == 2);
        for (amount, names) in [(Some(numeral.whole), whole), (cents, part)] {
            let Some(amount) = amount.and_then(|amount| amount.parse::<u64>().ok()) else {
                continue;
            };
            if amount > 0 || names == whole {
                self.words.extend(cardinal(amount));
                self.words.push(names[usize::from(amount != 1)].to_owned());
            }
        }
    }
}

/// The rules that look at neighbours.
fn settle(words: &[String]) -> Vec<String> {
    let mut settled: Vec<String> = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let previous = settled.last().map_or("", String::as_str);
        let next = words.get(index + 1).map_or("", String::as_str);
        let is_scale = |word: &str| matches!(word, "hundred" | "thousand" | "million");
        match word.as_str() {
            "and" if is_scale(previous) && is_number_name(next) => {}
            "a" if is_scale(next) => settled.push("one".to_owned()),
            "oh" if is_digit_name(previous) || is_digit_name(next) => {
                settled.push("zero".to_owned());
            }
            "cent" if previous == "per" => {
                settled.pop();
                settled.push("percent".to_owned());
            }
            _ => settled.push(word.clone()),
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line: as written, as said.
    #[track_caller]
    fn reads(cases: &[(&str, &str)]) {
        for (written, said) in cases {
            assert_eq!(words(written).join(" "), *said, "from {written:?}");
        }
    }

    #[test]
    fn case_punctuation_and_hyphens() {
        reads(&[
            ("", ""),
            (" … — !", ""),
            ("Well, HELLO there!", "well hello there"),
            ("“Quoted” front-desk—now", "quoted front desk now"),
            ("salt & pepper", "salt and pepper"),
            (
                "At 10 a.m. in the U.S. by J. Smith.",
                "at ten am in the us by j smith",
            ),
            ("Ünïcode naïve", "ünïcode naïve"),
        ]);
    }

    #[test]
    fn whole_numbers_and_years() {
        reads(&[
            ("21 days", "twenty one days"),
            ("twenty-one days", "twenty one days"),
            ("120", "one hundred twenty"),
            ("a hundred and twenty", "one hundred twenty"),
            (
                "1,859 people",
                "one thousand eight hundred fifty nine people",
            ),
            ("in 1859.", "in eighteen fifty nine"),
            ("in 2008", "in two thousand eight"),
            ("in 2026,", "in twenty twenty six"),
            ("5000", "five thousand"),
            ("room 007", "room zero zero seven"),
            ("5-7 days", "five seven days"),
            ("99,999,999,999,999,999,999", "nine ".repeat(20).trim_end()),
        ]);
    }

    #[test]
    fn other_notations() {
        reads(&[
            ("the 3rd of May", "the third of may"),
            ("the 21st", "the twenty first"),
            ("3things", "three things"),
            ("2.5 hours", "two point five hours"),
            (
                "20% off, 7.5 per cent",
                "twenty percent off seven point five percent",
            ),
            ("9:30", "nine thirty"),
            ("9:05 or 9:00", "nine zero five or nine"),
            ("nine o'clock", "nine"),
            ("10am", "ten am"),
            ("3:1 odds", "three one odds"),
            ("$45", "forty five dollars"),
            ("$1", "one dollar"),
            ("£1,200.01", "one thousand two hundred pounds one penny"),
            ("€3.50.", "three euros fifty cents"),
            ("$ 5", "five"),
        ]);
    }

    #[test]
    fn telephone_numbers_are_read_digit_by_digit() {
        let said = "call five five five zero one four two";
        reads(&[
            ("Call 555-0142.", said),
            ("call 5550142", said),
            ("call 555 01 42", said),
            ("call five five five, oh one four two", said),
            (
                "(020) 7946 0958",
                "zero two zero seven nine four six zero nine five eight",
            ),
            ("oh dear", "oh dear"),
        ]);
    }

    proptest! {
        #[test]
        fn any_text_gives_clean_words(text in prop_oneof![any::<String>(), "[a-t0-9,.:$%' -]{0,40}"]) {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && word.chars().all(char::is_alphabetic), "{word:?}");
            }
        }
    }
}
