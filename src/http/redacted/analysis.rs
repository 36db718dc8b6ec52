//! An analysis without personal data.

use serde_json::Value;

use super::transcript::TurnText;
use crate::redaction::Redactor;

/// Fields that hold words of ours, ids and times, never what somebody said. All others are redacted.
const OURS: &[&str] = &[
    "cost",
    "engine",
    "kind",
    "label",
    "language",
    "provenance",
    "recording_id",
    "rubric",
    "rule",
    "session_id",
    "severity",
    "state",
];

/// Redacts every text of a document. A quote stays a literal part of its turn, as that is shown.
pub fn redact(redactor: &mut Redactor, turns: &[TurnText], document: Value) -> Value {
    match document {
        Value::String(text) => Value::String(redactor.redact_apart(&text)),
        Value::Array(items) => {
            let items = items.into_iter();
            items.map(|item| redact(redactor, turns, item)).collect()
        }
        Value::Object(fields) => {
            let index = fields.get("turn_index").and_then(Value::as_u64);
            let index = index.and_then(|index| usize::try_from(index).ok());
            let turn = index.and_then(|index| turns.get(index));
            let fields = fields.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    (name, value) if OURS.contains(&name) => value,
                    ("text", Value::String(text)) => {
                        let quote = turn.and_then(|turn| turn.quote(&text));
                        Value::String(quote.unwrap_or_else(|| redactor.redact_apart(&text)))
                    }
                    // Their names are people's, and may be among ours.
                    ("custom_fields", Value::Object(fields)) => {
                        let fields = fields.into_iter();
                        let redacted =
                            fields.map(|(name, field)| (name, redact(redactor, turns, field)));
                        Value::Object(redacted.collect())
                    }
                    ("value", value) => redact_value(redactor, value),
                    (_, value) => redact(redactor, turns, value),
                };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// Redacts what a field was filled with, of which nothing is ours: numbers too, and whatever a part of it
/// is called.
fn redact_value(redactor: &mut Redactor, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redactor.redact_apart(&text)),
        Value::Number(number) => {
            let written = number.to_string();
            let redacted = redactor.redact_apart(&written);
            if redacted == written {
                Value::Number(number)
            } else {
                Value::String(redacted)
            }
        }
        Value::Array(items) => {
            let items = items.into_iter();
            items.map(|item| redact_value(redactor, item)).collect()
        }
        Value::Object(parts) => {
            let parts = parts.into_iter();
            // A model chooses the names of an open object.
            let redacted = parts
                .map(|(name, part)| (redactor.redact_apart(&name), redact_value(redactor, part)));
            Value::Object(redacted.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_name_of_a_field_keeps_its_value() {
        let mut redactor = Redactor::new(["Maria Lopez"]);
        let filled = |value: Value| json!({ "state": "found", "value": value, "reason": null });
        for name in OURS.iter().chain(&["value", "text", "custom_fields"]) {
            let document = json!({ "custom_fields": {
                *name: filled(json!("Maria Lopez")),
                "all": filled(json!({ *name: { *name: ["Maria Lopez", 4_155_550_100_i64, 4, true] } })),
            } });
            let redacted = redact(&mut redactor, &[], document);
            let expected = json!({ "custom_fields": {
                *name: filled(json!("[NAME_1]")),
                "all": filled(json!({ *name: { *name: ["[NAME_1]", "[PHONE_1]", 4, true] } })),
            } });
            assert_eq!(redacted, expected, "{name}");
        }
    }

    #[test]
    fn names_that_a_model_chose_are_redacted() {
        let mut redactor = Redactor::new(["Maria Lopez"]);
        let filled = |value: Value| json!({ "custom_fields": { "called": { "value": value } } });
        let document = filled(json!({ "+1 415 555 0100": 2, "Maria": { "Lopez": true } }));
        let redacted = redact(&mut redactor, &[], document);
        let text = redacted.to_string();
        for said in ["415", "Maria", "Lopez"] {
            assert!(!text.contains(said), "{text}");
        }
    }

    #[test]
    fn every_text_is_redacted_but_those_of_ours() {
        let mut redactor = Redactor::new(["Maria Lopez"]);
        // Who comes first gets the first number, and fields come in any order.
        for said in [
            "Maria",
            "415-555-0100",
            "Maria Lopez",
            "4155550100",
            "Lopez",
        ] {
            redactor.redact_apart(said);
        }
        let id = "01234567-8901-7234-8567-012345678901";
        let document = json!({
            "session_id": id, "version": 1, "duration_ms": 4_155_550_100_i64,
            "summary": [{ "text": "Maria wants a call at 415-555-0100.", "quotes": [] }],
            "speakers": [{ "speaker": "Maria Lopez" }],
            "custom_fields": {
                "phone": { "state": "found", "value": 4_155_550_100_i64, "reason": null },
                "guests": { "state": "found", "value": 4 },
                "all": { "value": { "names": ["Lopez"] } },
            },
            "engine": { "name": "maria", "version": "415-555-0100" },
        });
        let redacted = redact(&mut redactor, &[], document);
        let expected = json!({
            "session_id": id, "version": 1, "duration_ms": 4_155_550_100_i64,
            "summary": [{ "text": "[NAME_1] wants a call at [PHONE_1].", "quotes": [] }],
            "speakers": [{ "speaker": "[NAME_1_2]" }],
            "custom_fields": {
                "phone": { "state": "found", "value": "[PHONE_1_2]", "reason": null },
                "guests": { "state": "found", "value": 4 },
                "all": { "value": { "names": ["[NAME_1_3]"] } },
            },
            "engine": { "name": "maria", "version": "415-555-0100" },
        });
        assert_eq!(redacted, expected);
    }
}
