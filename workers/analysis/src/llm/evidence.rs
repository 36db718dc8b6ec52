//! The model's answer held against the transcript: what stays has a quote that was said and text that
//! is plain.

use std::collections::{BTreeMap, HashMap};

use aftercall::custom_fields::CustomFields;
use aftercall::documents::analysis::{
    ActionItem, CustomField, Dropped, Outcome, Question, Quote, RiskFlag, Rubric, Statement, Topic,
};
use aftercall::redaction::Redactor;

use super::answer::{Action, Cite, Ending, Findings, Risk};
use super::custom;
use super::parts::Labels;
use super::plain::{is_plain, plain};
use super::quotes::Said;

const MAX_STATEMENT_CHARS: usize = 500;
const MAX_NAME_CHARS: usize = 80;
/// Of one finding; more prove no more.
const MAX_QUOTES: usize = 3;
/// How success is judged; its words are in the prompts.
const RUBRIC: (&str, &str) = ("request_fulfilled", "1");

/// What a transcript, or a part of one, was found to show.
#[derive(Debug, Default)]
pub struct Found {
    pub summary: Vec<Statement>,
    pub topics: Vec<Topic>,
    pub action_items: Vec<ActionItem>,
    pub questions: Vec<Question>,
    pub outcome: Option<Outcome>,
    pub risk_flags: Vec<RiskFlag>,
    pub custom_fields: BTreeMap<String, CustomField>,
}

/// Holds findings against the transcript, and counts what does not hold.
pub struct Evidence<'a> {
    pub said: Said<'a>,
    pub labels: &'a Labels,
    /// What redacted the transcript for the model.
    pub redactor: Option<Redactor>,
    pub fields: Option<&'a CustomFields>,
    pub dropped: Dropped,
    /// Texts that passed, as the model had worded them: with placeholders.
    pub worded: HashMap<String, String>,
}

impl Evidence<'_> {
    /// What of the findings holds.
    pub fn hold(&mut self, findings: Findings) -> Found {
        let summary = findings.summary.into_iter().filter_map(|it| {
            let quotes = self.quotes(it.quotes)?;
            let text = self.text(&it.text)?;
            Some(Statement { text, quotes })
        });
        let summary = summary.collect();
        let topics = findings.topics.into_iter().filter_map(|it| {
            let quotes = self.quotes(it.quotes)?;
            let name = self.short(&it.name)?;
            Some(Topic { name, quotes })
        });
        let topics = topics.collect();
        let items = findings.action_items.into_iter();
        let action_items = items.filter_map(|it| self.action_item(it)).collect();
        let asked = findings.questions.into_iter();
        let questions = asked.filter_map(|it| {
            let quote = self.needed(&it.quote)?;
            Some(Question { rule: None, quote })
        });
        let questions = questions.collect();
        let outcome = findings.outcome.and_then(|it| self.outcome(it));
        let risks = findings.risk_flags.into_iter();
        let risk_flags = risks.filter_map(|it| self.risk_flag(it)).collect();
        let custom_fields = custom::fill(self, findings.custom_fields);
        Found {
            summary,
            topics,
            action_items,
            questions,
            outcome,
            risk_flags,
            custom_fields,
        }
    }

    fn action_item(&mut self, item: Action) -> Option<ActionItem> {
        let quote = self.needed(&item.quote)?;
        let text = self.text(&item.text)?;
        let speaker = item
            .assignee
            .and_then(|label| self.labels.speaker(&label).map(str::to_owned));
        let due = item.due.and_then(|due| self.restored(&due));
        Some(ActionItem {
            text,
            assignee: speaker,
            due: due.and_then(|due| plain(&due, MAX_NAME_CHARS)),
            rule: None,
            quote,
        })
    }

    fn outcome(&mut self, ending: Ending) -> Option<Outcome> {
        let quotes = self.quotes(ending.quotes)?;
        let text = self.text(&ending.text)?;
        Some(outcome(text, ending.success, ending.confidence, quotes))
    }

    fn risk_flag(&mut self, risk: Risk) -> Option<RiskFlag> {
        let quotes = self.quotes(risk.quotes)?;
        let detail = self.text(&risk.detail)?;
        Some(RiskFlag {
            kind: risk.kind,
            severity: risk.severity,
            detail,
            quotes,
        })
    }

    /// A text of the model as it may pass on; counted where it may not.
    pub fn text(&mut self, text: &str) -> Option<String> {
        self.passed(text, MAX_STATEMENT_CHARS)
    }

    pub fn short(&mut self, text: &str) -> Option<String> {
        self.passed(text, MAX_NAME_CHARS)
    }

    fn passed(&mut self, text: &str, max_chars: usize) -> Option<String> {
        let passed = self.restored(text).and_then(|it| plain(&it, max_chars));
        self.dropped.findings += u32::from(passed.is_none());
        if let (Some(passed), true) = (&passed, self.redactor.is_some()) {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = line.chars().take(max_chars).collect();
            self.worded.insert(passed.clone(), line);
        }
        passed
    }

    /// The quotes that were said; none of them leaves the finding without evidence.
    fn quotes(&mut self, cites: Vec<Cite>) -> Option<Vec<Quote>> {
        let said = cites.into_iter().filter_map(|cite| self.quote(&cite));
        let mut quotes: Vec<Quote> = Vec::new();
        for quote in said {
            if quotes.len() < MAX_QUOTES && !quotes.contains(&quote) {
                quotes.push(quote);
            }
        }
        self.dropped.findings += u32::from(quotes.is_empty());
        (!quotes.is_empty()).then_some(quotes)
    }

    fn needed(&mut self, cite: &Cite) -> Option<Quote> {
        let quote = self.quote(cite);
        self.dropped.findings += u32::from(quote.is_none());
        quote
    }

    /// The words that are cited, where they stand; counted where they do not, or may not pass on.
    pub fn quote(&mut self, cite: &Cite) -> Option<Quote> {
        let text = self.restored(&cite.text);
        let quote = text.and_then(|text| self.said.locate(cite.turn, &text));
        let quote = quote.filter(|quote| is_plain(&quote.text));
        self.dropped.quotes += u32::from(quote.is_none());
        quote
    }

    /// With what placeholders stand for; `None` where the model invented one.
    pub fn restored(&self, text: &str) -> Option<String> {
        match &self.redactor {
            Some(redactor) if redactor.is_invented(text) => None,
            Some(redactor) => Some(redactor.restore(text)),
            None => Some(text.to_owned()),
        }
    }

    /// A text that passed as it may be sent to the model: in its own words, since a number that was
    /// shortened with the text may not be found in it any more.
    pub fn redacted(&mut self, text: &str) -> String {
        match (&mut self.redactor, self.worded.get(text)) {
            (None, _) => text.to_owned(),
            (Some(_), Some(worded)) => worded.clone(),
            (Some(redactor), None) => redactor.redact_apart(text),
        }
    }
}

pub fn outcome(
    text: String,
    success: Option<bool>,
    confidence: f64,
    quotes: Vec<Quote>,
) -> Outcome {
    let (name, version) = RUBRIC;
    Outcome {
        text,
        success,
        rubric: Rubric {
            name: name.to_owned(),
            version: version.to_owned(),
        },
        confidence: Some(confidence),
        quotes,
    }
}
