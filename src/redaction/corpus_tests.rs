//! The redactor on lines of speech, made up and labelled by hand: `corpus.jsonl`, one JSON object a line
//! with personal data as `{KIND:value}`, and the names that its session declares.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::Redactor;
use super::placeholders::Kind;

/// Least recall and precision of each kind, in percent. The first four have a fixed form: none may be
/// missed.
const FLOORS: [(Kind, u32, u32); 8] = [
    (Kind::Phone, 100, 95),
    (Kind::Email, 100, 95),
    (Kind::Card, 100, 95),
    (Kind::Iban, 100, 95),
    (Kind::Account, 90, 95),
    (Kind::BirthDate, 85, 95),
    (Kind::Address, 85, 90),
    (Kind::Name, 85, 95),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    line: String,
    #[serde(default)]
    names: Vec<String>,
}

struct Line {
    text: String,
    names: Vec<String>,
    labels: Vec<(Kind, Range<usize>)>,
}

/// Counts of one kind.
#[derive(Clone, Copy, Default)]
struct Score {
    labels: u32,
    /// Labels of which nothing is left.
    hidden: u32,
    placeholders: u32,
    /// Placeholders that stand for something labelled, be it as another kind.
    right: u32,
}

impl Line {
    fn of(row: &str) -> Self {
        let row: Row = serde_json::from_str(row).expect("a row");
        let (mut text, mut labels) = (String::new(), Vec::new());
        let mut rest = row.line.as_str();
        while let Some((before, marked)) = rest.split_once('{') {
            let (marked, after) = marked.split_once('}').expect("a label ends");
            let (kind, value) = marked.split_once(':').expect("a label has a kind");
            let kind = Kind::ALL.into_iter().find(|it| it.word() == kind);
            text.push_str(before);
            labels.push((kind.expect("a kind"), text.len()..text.len() + value.len()));
            text.push_str(value);
            rest = after;
        }
        text.push_str(rest);
        Self {
            text,
            names: row.names,
            labels,
        }
    }

    /// What is left of a label, and what was taken that is none.
    fn score(&self, scores: &mut BTreeMap<&'static str, Score>) -> Vec<String> {
        let mut redactor = Redactor::new(self.names.iter().map(String::as_str));
        let redacted = redactor.redact_with_places(&self.text);
        assert_eq!(redactor.restore(&redacted.text), self.text);
        let mut wrong = Vec::new();
        for (kind, label) in &self.labels {
            let score = scores.entry(kind.word()).or_default();
            let is_left =
                |byte: &usize| !redacted.replaced.iter().any(|it| it.bytes.contains(byte));
            let said = label
                .clone()
                .filter(|byte| self.text.as_bytes()[*byte].is_ascii_alphanumeric());
            score.labels += 1;
            if said.clone().any(|byte| is_left(&byte)) {
                wrong.push(format!("missed {}: {}", kind.word(), redacted.text));
            } else {
                score.hidden += 1;
            }
        }
        for replaced in &redacted.replaced {
            let kind = Kind::ALL.into_iter();
            let kind = kind
                .map(Kind::word)
                .find(|word| replaced.placeholder[1..].starts_with(word));
            let score = scores.entry(kind.expect("a kind")).or_default();
            let mut labels = self.labels.iter();
            let is_right = labels.any(|(_, label)| {
                label.start < replaced.bytes.end && replaced.bytes.start < label.end
            });
            score.placeholders += 1;
            score.right += u32::from(is_right);
            if !is_right {
                wrong.push(format!("too much: {} of {}", redacted.text, self.text));
            }
        }
        wrong
    }
}

#[test]
fn nothing_with_a_fixed_form_is_missed() {
    let lines: Vec<_> = include_str!("corpus.jsonl").lines().map(Line::of).collect();
    assert!(lines.len() >= 200);
    let mut scores = BTreeMap::new();
    for line in &lines {
        for wrong in line.score(&mut scores) {
            println!("{wrong}");
        }
    }
    println!("{} lines", lines.len());
    let percent = |part: u32, whole: u32| (part * 100).checked_div(whole).unwrap_or(100);
    let mut below = Vec::new();
    for (kind, least_recall, least_precision) in FLOORS {
        let score = scores.get(kind.word()).copied().unwrap_or_default();
        let recall = percent(score.hidden, score.labels);
        let precision = percent(score.right, score.placeholders);
        println!(
            "{:>10}: recall {recall} % ({} of {}), precision {precision} % ({} of {})",
            kind.word(),
            score.hidden,
            score.labels,
            score.right,
            score.placeholders,
        );
        if recall < least_recall || precision < least_precision || score.labels < 15 {
            below.push(kind.word());
        }
    }
    assert!(below.is_empty(), "below its floor: {below:?}");
}
