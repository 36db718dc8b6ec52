//! The model's answers, read strictly: nothing unknown, nothing twice, nothing missing, nothing huge.

use std::collections::BTreeMap;
use std::fmt;

use aftercall::documents::analysis::Severity;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::unique::Unique;

pub const RISK_KINDS: [&str; 8] = [
    "self_harm",
    "violence",
    "emergency",
    "complaint",
    "legal",
    "privacy",
    "fraud",
    "other",
];
/// Entries of any list; the prompts ask for fewer.
const MAX_ENTRIES: usize = 40;
const MAX_QUOTES: usize = 8;
/// Any one text.
const MAX_TEXT_BYTES: usize = 4_000;

/// What the model finds in a transcript, or a part of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    pub summary: Vec<Sentence>,
    pub topics: Vec<TopicNamed>,
    pub action_items: Vec<Action>,
    pub questions: Vec<Asked>,
    pub outcome: Option<Ending>,
    pub risk_flags: Vec<Risk>,
    #[serde(default)]
    pub custom_fields: BTreeMap<String, FieldAnswer>,
}

/// Words of a turn, as the model has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cite {
    pub turn: u32,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    pub text: String,
    pub quotes: Vec<Cite>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicNamed {
    pub name: String,
    pub quotes: Vec<Cite>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub text: String,
    pub assignee: Option<String>,
    pub due: Option<String>,
    pub quote: Cite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub quote: Cite,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    pub text: String,
    pub success: Option<bool>,
    pub confidence: f64,
    pub quotes: Vec<Cite>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    pub kind: String,
    pub severity: Severity,
    pub detail: String,
    pub quotes: Vec<Cite>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldAnswer {
    pub value: Value,
    pub confidence: f64,
    pub quote: Option<Cite>,
}

/// What the model makes of notes about all parts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reduction {
    pub summary: Vec<SentenceOfNotes>,
    pub topics: Vec<TopicOfNotes>,
    pub outcome: Option<EndingOfNotes>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceOfNotes {
    pub text: String,
    pub notes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicOfNotes {
    pub name: String,
    pub notes: Vec<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndingOfNotes {
    pub text: String,
    pub success: Option<bool>,
    pub confidence: f64,
    pub notes: Vec<usize>,
}

/// What is wrong with an answer, in words for the model, which may repeat its own.
#[derive(Debug)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Invalid {
    /// A complaint is a line; a parser's may quote half of the answer.
    pub fn new(words: impl fmt::Display) -> Self {
        const MAX_CHARS: usize = 200;
        let words = words.to_string();
        let line = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self(line.take(MAX_CHARS).collect())
    }
}

/// An answer that is checked beyond its shape.
pub trait Checked: DeserializeOwned {
    fn check(&self) -> Result<(), Invalid>;
}

/// Reads an answer.
pub fn read<T: Checked>(text: &str) -> Result<T, Invalid> {
    let json = unfenced(text);
    if json.is_empty() {
        return Err(Invalid::new("the answer is empty"));
    }
    serde_json::from_str::<Unique>(json).map_err(Invalid::new)?;
    let answer: T = serde_json::from_str(json).map_err(Invalid::new)?;
    answer.check()?;
    Ok(answer)
}

impl Checked for Findings {
    fn check(&self) -> Result<(), Invalid> {
        for (name, entries) in [
            ("summary", self.summary.len()),
            ("topics", self.topics.len()),
            ("action_items", self.action_items.len()),
            ("questions", self.questions.len()),
            ("risk_flags", self.risk_flags.len()),
        ] {
            at_most(name, entries, MAX_ENTRIES)?;
        }
        for sentence in &self.summary {
            texts(&[&sentence.text])?;
            cites(&sentence.quotes)?;
        }
        for topic in &self.topics {
            texts(&[&topic.name])?;
            cites(&topic.quotes)?;
        }
        for item in &self.action_items {
            let [assignee, due] = [&item.assignee, &item.due];
            texts(&[
                &item.text,
                assignee.as_deref().unwrap_or_default(),
                due.as_deref().unwrap_or_default(),
                &item.quote.text,
            ])?;
        }
        for question in &self.questions {
            texts(&[&question.quote.text])?;
        }
        if let Some(outcome) = &self.outcome {
            texts(&[&outcome.text])?;
            cites(&outcome.quotes)?;
            share("outcome.confidence", outcome.confidence)?;
        }
        for risk in &self.risk_flags {
            texts(&[&risk.detail])?;
            cites(&risk.quotes)?;
            if !RISK_KINDS.contains(&risk.kind.as_str()) {
                return Err(Invalid::new(
                    "the kind of a risk flag is none of those listed",
                ));
            }
        }
        for field in self.custom_fields.values() {
            share("custom_fields.confidence", field.confidence)?;
            cites(field.quote.as_slice())?;
        }
        Ok(())
    }
}

impl Checked for Reduction {
    fn check(&self) -> Result<(), Invalid> {
        at_most("summary", self.summary.len(), MAX_ENTRIES)?;
        at_most("topics", self.topics.len(), MAX_ENTRIES)?;
        for sentence in &self.summary {
            texts(&[&sentence.text])?;
            at_most("notes", sentence.notes.len(), MAX_ENTRIES)?;
        }
        for topic in &self.topics {
            texts(&[&topic.name])?;
            at_most("notes", topic.notes.len(), MAX_ENTRIES)?;
        }
        if let Some(outcome) = &self.outcome {
            texts(&[&outcome.text])?;
            at_most("notes", outcome.notes.len(), MAX_ENTRIES)?;
            share("outcome.confidence", outcome.confidence)?;
        }
        Ok(())
    }
}

/// Without the code fence that chat models like to put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let fenced = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    let Some(inside) = fenced else {
        return text;
    };
    // The rest of the fence's line names the language.
    inside
        .split_once('\n')
        .map_or(inside, |(_, rest)| rest)
        .trim()
}

fn at_most(name: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count > most {
        return Err(Invalid::new(format_args!(
            "{name} has more than {most} entries"
        )));
    }
    Ok(())
}

fn texts(texts: &[&str]) -> Result<(), Invalid> {
    if texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(Invalid::new("a text is too long"));
    }
    Ok(())
}

fn cites(cites: &[Cite]) -> Result<(), Invalid> {
    at_most("quotes", cites.len(), MAX_QUOTES)?;
    cites.iter().try_for_each(|cite| texts(&[&cite.text]))
}

fn share(name: &str, value: f64) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(format_args!("{name} is not from 0 to 1")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema;
    use super::*;

    fn good() -> Value {
        let quote = json!({"turn": 0, "text": "Hello"});
        json!({
            "summary": [{"text": "They greet.", "quotes": [quote]}],
            "topics": [{"name": "greeting", "quotes": [quote]}],
            "action_items": [{"text": "Call back", "assignee": null, "due": "Monday", "quote": quote}],
            "questions": [{"quote": quote}],
            "outcome": {"text": "Done.", "success": null, "confidence": 0.5, "quotes": [quote]},
            "risk_flags": [{"kind": "legal", "severity": "low", "detail": "A threat.", "quotes": []}],
        })
    }

    fn complaint(text: &str) -> String {
        read::<Findings>(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn an_answer_that_fits_the_schema_is_read_with_and_without_a_fence() {
        let text = good().to_string();
        assert!(jsonschema::is_valid(&schema::findings(&[]), &good()));
        for text in [
            text.clone(),
            format!("```json\n{text}\n```"),
            format!("\n {text} \n"),
        ] {
            read::<Findings>(&text).expect("it is read");
        }
    }

    #[test]
    fn what_is_not_exactly_the_answer_is_refused() {
        let changed = |change: fn(&mut Value)| {
            let mut answer = good();
            change(&mut answer);
            complaint(&answer.to_string())
        };
        assert!(changed(|a| a["extra"] = json!(1)).contains("unknown field"));
        assert!(changed(|a| a["topics"] = json!(null)).contains("invalid type"));
        assert!(changed(|a| a["outcome"]["confidence"] = json!(1.1)).contains("0 to 1"));
        assert!(changed(|a| a["risk_flags"][0]["kind"] = json!("x")).contains("kind"));
        assert!(changed(|a| a["summary"][0]["text"] = json!("x".repeat(5_000))).contains("long"));
        let many = |a: &mut Value| a["questions"] = json!(vec![a["questions"][0].clone(); 41]);
        assert!(changed(many).contains("more than 40"));
        assert!(changed(|a| a["summary"][0]["quotes"][0]["turn"] = json!(-1)).contains("invalid"));

        let text = good().to_string();
        let twice = text.replacen('{', r#"{"topics":[],"#, 1);
        assert!(complaint(&twice).contains("twice"), "{}", complaint(&twice));
        assert!(!complaint(&text.replace("0.5", "NaN")).is_empty());
        assert!(!complaint(&text.replace("0.5", "1e999")).is_empty());
        assert!(!complaint(&format!("Here it is: {text}")).is_empty());
        assert!(!complaint(&text[..text.len() - 1]).is_empty());
        assert!(complaint("  ").contains("empty"));
        assert!(!complaint("[]").is_empty());
        assert!(!complaint(&"[".repeat(100_000)).is_empty());
    }

    #[test]
    fn a_key_twice_within_a_custom_field_is_refused() {
        let field = r#""custom_fields":{"x":{"value":{"a":1,"a":2},"confidence":1,"quote":null}},"#;
        let text = good().to_string().replacen('{', &format!("{{{field}"), 1);
        assert!(complaint(&text).contains("twice"));
    }
}
