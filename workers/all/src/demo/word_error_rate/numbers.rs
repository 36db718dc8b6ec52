//! Numbers as English words, without "and" and without hyphens.

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const SCALES: [(u64, &str); 4] = [
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];
const IRREGULAR_ORDINALS: [(&str, &str); 7] = [
    ("one", "first"),
    ("two", "second"),
    ("three", "third"),
    ("five", "fifth"),
    ("eight", "eighth"),
    ("nine", "ninth"),
    ("twelve", "twelfth"),
];

/// 120 is "one hundred twenty".
pub fn cardinal(number: u64) -> Vec<String> {
    let mut words = Vec::new();
    count(number, &mut words);
    words
}

/// 22 is "twenty second".
pub fn ordinal(number: u64) -> Vec<String> {
    let mut words = cardinal(number);
    if let Some(last) = words.last_mut() {
        let irregular = IRREGULAR_ORDINALS.iter().find(|(one, _)| one == last);
        *last = match (irregular, last.strip_suffix('y')) {
            (Some((_, first)), _) => (*first).to_owned(),
            (None, Some(stem)) => format!("{stem}ieth"),
            (None, None) => format!("{last}th"),
        };
    }
    words
}

/// 1859 is "eighteen fifty nine", 1905 "nineteen zero five", 1900 "nineteen hundred".
pub fn year(number: u64) -> Vec<String> {
    let mut words = cardinal(number / 100);
    match number % 100 {
        0 => words.push("hundred".to_owned()),
        rest => words.extend(two_digits(rest)),
    }
    words
}

/// Minutes of an hour and years of a century: 5 is "zero five", 30 is "thirty".
pub fn two_digits(number: u64) -> Vec<String> {
    let mut words = cardinal(number);
    if number < 10 {
        words.insert(0, ONES[0].to_owned());
    }
    words
}

/// Each digit for itself; other characters are skipped.
pub fn digits(text: &str) -> Vec<String> {
    text.chars()
        .filter_map(|c| c.to_digit(10))
        .map(|digit| ONES[digit as usize].to_owned())
        .collect()
}

/// Whether a word is a digit's name.
pub fn is_digit_name(word: &str) -> bool {
    ONES[..10].contains(&word)
}

/// Whether a word can stand after "hundred and".
pub fn is_number_name(word: &str) -> bool {
    ONES.contains(&word) || TENS[2..].contains(&word)
}

fn count(number: u64, words: &mut Vec<String>) {
    if let Some((scale, name)) = SCALES.iter().find(|(scale, _)| number >= *scale) {
        count(number / scale, words);
        words.push((*name).to_owned());
        if !number.is_multiple_of(*scale) {
            count(number % scale, words);
        }
        return;
    }
    // Below a thousand the casts cannot fail.
    let number = usize::try_from(number).unwrap_or_default();
    match number {
        0..20 => words.push(ONES[number].to_owned()),
        20..100 => {
            words.push(TENS[number / 10].to_owned());
            if number % 10 > 0 {
                words.push(ONES[number % 10].to_owned());
            }
        }
        _ => {
            words.push(ONES[number / 100].to_owned());
            words.push("hundred".to_owned());
            if number % 100 > 0 {
                count((number % 100) as u64, words);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals() {
        for (number, expected) in [
            (0, "zero"),
            (13, "thirteen"),
            (20, "twenty"),
            (45, "forty five"),
            (100, "one hundred"),
            (999, "nine hundred ninety nine"),
            (1_200, "one thousand two hundred"),
            (2_009, "two thousand nine"),
            (1_000_000, "one million"),
            (12_000_034, "twelve million thirty four"),
        ] {
            assert_eq!(cardinal(number).join(" "), expected);
        }
        assert!(
            cardinal(u64::MAX)
                .join(" ")
                .starts_with("eighteen million four hundred")
        );
    }

    #[test]
    fn ordinals() {
        for (number, expected) in [
            (1, "first"),
            (3, "third"),
            (12, "twelfth"),
            (14, "fourteenth"),
            (20, "twentieth"),
            (22, "twenty second"),
            (100, "one hundredth"),
        ] {
            assert_eq!(ordinal(number).join(" "), expected);
        }
    }

    #[test]
    fn years() {
        assert_eq!(year(1859).join(" "), "eighteen fifty nine");
        assert_eq!(year(1905).join(" "), "nineteen zero five");
        assert_eq!(year(1900).join(" "), "nineteen hundred");
        assert_eq!(year(2026).join(" "), "twenty twenty six");
    }
}
