//! JSON Schemas of the model's answers, in the subset that strict servers take: every property required,
//! no additional ones, and no bounds (<https://platform.openai.com/docs/guides/structured-outputs>).
//! What they cannot say is checked when an answer is read.

use serde_json::{Map, Value, json};

use super::answer::RISK_KINDS;
use super::question::AskedField;

pub const FINDINGS: &str = "findings";
pub const REDUCTION: &str = "reduction";

/// Of [`Findings`](super::answer::Findings).
pub fn findings(fields: &[AskedField]) -> Value {
    let mut properties = json!({
        "summary": list(object(json!({"text": text(), "quotes": quotes()}))),
        "topics": list(object(json!({"name": text(), "quotes": quotes()}))),
        "action_items": list(object(json!({
            "text": text(),
            "assignee": nullable(text()),
            "due": nullable(text()),
            "quote": quote(),
        }))),
        "questions": list(object(json!({"quote": quote()}))),
        "outcome": nullable(object(json!({
            "text": text(),
            "success": nullable(json!({"type": "boolean"})),
            "confidence": number(),
            "quotes": quotes(),
        }))),
        "risk_flags": list(object(json!({
            "kind": {"type": "string", "enum": RISK_KINDS},
            "severity": {"type": "string", "enum": ["low", "medium", "high"]},
            "detail": text(),
            "quotes": quotes(),
        }))),
    });
    if !fields.is_empty() {
        let field = |field: &AskedField| {
            let asked = json!({
                "value": nullable(field.strict.clone()),
                "confidence": number(),
                "quote": nullable(quote()),
            });
            (field.name.clone(), object(asked))
        };
        let asked: Map<_, _> = fields.iter().map(field).collect();
        properties["custom_fields"] = object(Value::Object(asked));
    }
    object(properties)
}

/// Of [`Reduction`](super::answer::Reduction).
pub fn reduction() -> Value {
    let notes = list(json!({"type": "integer"}));
    object(json!({
        "summary": list(object(json!({"text": text(), "notes": notes}))),
        "topics": list(object(json!({"name": text(), "notes": notes}))),
        "outcome": nullable(object(json!({
            "text": text(),
            "success": nullable(json!({"type": "boolean"})),
            "confidence": number(),
            "notes": notes,
        }))),
    }))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "each value is made for one place"
)]
fn object(properties: Value) -> Value {
    let names: Vec<_> = properties
        .as_object()
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "each value is made for one place"
)]
fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "each value is made for one place"
)]
fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn quote() -> Value {
    object(json!({ "turn": { "type": "integer" }, "text": text() }))
}

fn quotes() -> Value {
    list(quote())
}
