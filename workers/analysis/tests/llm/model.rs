//! What the stub's model makes of a request.

use serde_json::{Map, Value, json};

use crate::stub::Asked;

/// Numbers and texts of the lines between the fences.
pub fn lines(asked: &Asked) -> Vec<(u32, String)> {
    let lines = asked.data.lines().map(|line| {
        let (head, text) = line.split_once(": ").expect("number, label, text");
        let number = head.split(' ').next().expect("a number");
        (number.parse().expect("a number"), text.to_owned())
    });
    lines.collect()
}

/// Keeps to its instructions: quotes the first line, and rests on the first note.
pub fn honest(asked: &Asked) -> String {
    let lines = lines(asked);
    let (number, text) = lines.first().expect("a line");
    let quote = json!({"turn": number, "text": first_words(text, 12)});
    report(asked, "They talk about it.", &[quote]).to_string()
}

/// A whole answer in which everything says `text` and rests on `quotes`.
pub fn report(asked: &Asked, text: &str, quotes: &[Value]) -> Value {
    if asked.is_reduction {
        return json!({
            "summary": [{"text": text, "notes": [0]}],
            "topics": [{"name": text, "notes": [0]}],
            "outcome": {"text": text, "success": true, "confidence": 0.8, "notes": [0]},
        });
    }
    let with_each = |make: &dyn Fn(&Value) -> Value| quotes.iter().map(make).collect::<Vec<_>>();
    let mut report = json!({
        "summary": [{"text": text, "quotes": quotes}],
        "topics": [{"name": text, "quotes": quotes}],
        "action_items": with_each(&|quote| json!(
            {"text": text, "assignee": "speaker_0", "due": text, "quote": quote})),
        "questions": with_each(&|quote| json!({"quote": quote})),
        "outcome": {"text": text, "success": true, "confidence": 0.8, "quotes": quotes},
        "risk_flags": [{"kind": "other", "severity": "low", "detail": text, "quotes": quotes}],
    });
    let fields = custom_fields(asked);
    if !fields.is_empty() {
        let filled = fields.into_iter().map(|(name, _)| {
            (
                name,
                json!({"value": text, "confidence": 0.9, "quote": quotes.first()}),
            )
        });
        report["custom_fields"] = Value::Object(filled.collect());
    }
    report
}

/// The custom fields that the schema of the request asks for.
pub fn custom_fields(asked: &Asked) -> Map<String, Value> {
    let schema = &asked.body["response_format"]["json_schema"]["schema"];
    let fields = &schema["properties"]["custom_fields"]["properties"];
    fields.as_object().cloned().unwrap_or_default()
}

fn first_words(text: &str, count: usize) -> String {
    text.split(' ').take(count).collect::<Vec<_>>().join(" ")
}
