//! Digits as people write and say them, joined to the longest runs that may be one number.
//!
//! Speech to text writes one number in many ways: `4111-1111`, `4111, 1111`, `four one one one`,
//! `double five`, `one eight hundred`. A run holds its groups with what joins them; what a run is, the
//! detectors decide. Number words are English.

use super::tokens::{Sort, Text};

/// A group of digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// First and last token.
    pub first: usize,
    pub last: usize,
    pub digits: String,
}

/// What stands between two groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// Space, hyphen, dot, slash, bracket: within a number.
    Weak,
    /// Comma, the end of a sentence, `then`: within a number that is dictated, else between two.
    Strong,
    /// A comma between two digits, as in thousands.
    Comma,
}

/// Groups that follow one another; `joints[i]` stands after `groups[i]`.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub groups: Vec<Group>,
    pub joints: Vec<Joint>,
}

/// Marks between two groups, and characters between two tokens, which are spaces and what shows nothing.
const MAX_MARKS: usize = 3;
const MAX_SPACE: usize = 24;

const UNITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
const TEENS: [&str; 10] = [
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
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

impl Run {
    /// The ranges of groups that only weak joints hold together.
    pub fn segments(&self) -> Vec<std::ops::Range<usize>> {
        let mut segments = Vec::new();
        let mut start = 0;
        for (index, joint) in self.joints.iter().enumerate() {
            if *joint != Joint::Weak {
                segments.push(start..index + 1);
                start = index + 1;
            }
        }
        segments.push(start..self.groups.len());
        segments
    }

    pub fn digits(&self, groups: std::ops::Range<usize>) -> String {
        self.groups[groups]
            .iter()
            .map(|it| it.digits.as_str())
            .collect()
    }

    pub fn count(&self, groups: std::ops::Range<usize>) -> usize {
        self.groups[groups].iter().map(|it| it.digits.len()).sum()
    }

    /// Whether nothing weak holds the group to the one before, or after.
    pub fn begins(&self, group: usize) -> bool {
        group == 0 || self.joints[group - 1] != Joint::Weak
    }

    pub fn ends(&self, group: usize) -> bool {
        self.joints
            .get(group)
            .is_none_or(|joint| *joint != Joint::Weak)
    }
}

/// The runs of a text without the tokens that `is_taken`.
pub fn runs(text: &Text<'_>, is_taken: impl Fn(usize) -> bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open = false;
    let mut at = 0;
    while at < text.tokens.len() {
        let group = group_at(text, at).filter(|it| !(it.first..=it.last).any(&is_taken));
        let Some(group) = group else {
            // What was to follow is no group of its own: `5550100, 12th`.
            if open && let Some(run) = runs.last_mut() {
                run.joints.pop();
            }
            open = false;
            at += 1;
            continue;
        };
        let next = group.last + 1;
        if !open {
            runs.push(Run::default());
        }
        let run = runs.last_mut().expect("one was pushed");
        run.groups.push(group);
        let joined = joint_at(text, next, &is_taken);
        run.joints.extend(joined.map(|(joint, _)| joint));
        open = joined.is_some();
        at = joined.map_or(next, |(_, following)| following);
    }
    runs
}

/// A group that begins at `at`.
pub fn group_at(text: &Text<'_>, at: usize) -> Option<Group> {
    let token = text.get(at)?;
    let group = |last, digits| {
        Some(Group {
            first: at,
            last,
            digits,
        })
    };
    match token.sort {
        Sort::Mark => None,
        Sort::Digits => {
            let is_word = |index| text.word(index).is_some();
            let follows_letters = at > 0 && text.is_glued(at - 1) && is_word(at - 1);
            let leads_letters = text.is_glued(at) && is_word(at + 1);
            // `12th`, `5pm`, `A4`; a number of full length only lost its space: `5550100x12`.
            if follows_letters || (leads_letters && token.folded.len() < 7) {
                return None;
            }
            group(at, token.folded.clone())
        }
        Sort::Word => match token.folded.as_str() {
            "double" | "triple" | "treble" => {
                let times = if token.folded == "double" { 2 } else { 3 };
                let digit = text.digits(at + 1).filter(|it| it.len() == 1);
                let digit = digit
                    .map(str::to_owned)
                    .or_else(|| unit(text.word(at + 1)?))?;
                group(at + 1, digit.repeat(times))
            }
            word => {
                let (last, digits) = spoken(text, at, word)?;
                group(last, digits)
            }
        },
    }
}

fn spoken(text: &Text<'_>, at: usize, word: &str) -> Option<(usize, String)> {
    if let Some(digit) = unit(word) {
        let zeros = match text.word(at + 1) {
            Some("hundred") if digit != "0" => "00",
            Some("thousand") if digit != "0" => "000",
            _ => return Some((at, digit)),
        };
        return Some((at + 1, digit + zeros));
    }
    if let Some(teen) = TEENS.iter().position(|it| *it == word) {
        return Some((at, (10 + teen).to_string()));
    }
    let tens = TENS.iter().position(|it| *it == word)?;
    let after = if text.is_mark(at + 1, "-") {
        at + 2
    } else {
        at + 1
    };
    let unit = text
        .word(after)
        .and_then(|it| UNITS.iter().position(|unit| *unit == it));
    match unit {
        Some(unit) if unit > 0 => Some((after, ((tens + 2) * 10 + unit).to_string())),
        _ => Some((at, ((tens + 2) * 10).to_string())),
    }
}

fn unit(word: &str) -> Option<String> {
    if matches!(word, "oh" | "o" | "nought" | "naught" | "nil") {
        return Some("0".to_owned());
    }
    let digit = UNITS.iter().position(|it| *it == word)?;
    Some(digit.to_string())
}

/// What joins a group that ended before `at` to one that follows, and where that begins.
fn joint_at(
    text: &Text<'_>,
    mut at: usize,
    is_taken: &impl Fn(usize) -> bool,
) -> Option<(Joint, usize)> {
    let mut joint = Joint::Weak;
    for marks in 0..=MAX_MARKS {
        let token = text.get(at)?;
        let before = text.get(at.checked_sub(1)?)?;
        let between = text.source[before.end..token.start].chars();
        if between.take(MAX_SPACE + 1).count() > MAX_SPACE || is_taken(at) {
            return None;
        }
        match token.folded.as_str() {
            _ if token.sort == Sort::Digits => return Some((joint, at)),
            "," | ";" => {
                let is_tight = text.is_glued(at) && text.is_glued(at - 1);
                joint = if is_tight {
                    Joint::Comma
                } else {
                    Joint::Strong
                };
            }
            "." if !text.is_glued(at) => joint = Joint::Strong,
            "then" => joint = Joint::Strong,
            "-" | "‐" | "‑" | "–" | "—" | "." | "/" | "(" | ")" | "·" | "•" | "_" | "dash"
            | "hyphen" | "dot" => {}
            _ => return (group_at(text, at).is_some()).then_some((joint, at)),
        }
        if marks == MAX_MARKS {
            return None;
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let text = Text::of(text);
        let runs = runs(&text, |_| false);
        let show = |run: &Run| {
            let segments = run.segments().into_iter();
            let segments = segments.map(|segment| {
                let groups = run.groups[segment].iter().map(|it| it.digits.as_str());
                groups.collect::<Vec<_>>().join(" ")
            });
            segments.collect::<Vec<_>>().join(", ")
        };
        runs.iter().map(show).collect()
    }

    #[test]
    fn written_and_said_digits_are_the_same() {
        let wide = format!("5{}6", " ".repeat(25));
        for (text, expected) in [
            ("4111-1111 (22), 33", &["4111 1111 22, 33"][..]),
            ("double five oh, triple 7 dash one", &["55 0, 777 1"]),
            (
                "one eight hundred 555 twenty-one forty",
                &["1 800 555 21 40"],
            ),
            ("it is 3. 14 people", &["3, 14"]),
            ("the 12th at 5pm, A4, 10:30", &["10", "30"]),
            ("5550100x12", &["5550100"]),
            ("5     6", &["5 6"]),
            (wide.as_str(), &["5", "6"]),
            ("double trouble, nothing", &[]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
