//! What stands before the transcript in a question: which part it is, and the fields to fill.

use aftercall::custom_fields::CustomFields;
use aftercall::documents::transcript::Transcript;
use aftercall::redaction::Redactor;
use serde_json::Value;

/// What the model is told of the fields; empty where none are asked for.
pub fn asked_fields(fields: Option<&CustomFields>) -> String {
    let Some(fields) = fields else {
        return String::new();
    };
    let lines = fields
        .iter()
        .map(|(name, schema)| format!("\n- {name}: {schema}"));
    format!(
        "\n\nFields to fill in custom_fields, each with its JSON Schema:{}",
        lines.collect::<String>()
    )
}

/// What stands above a part.
pub fn heading(transcript: &Transcript, number: usize, count: usize, asked: &str) -> String {
    let which = if count == 1 {
        "This is the whole transcript.".to_owned()
    } else {
        format!("This is part {number} of {count} of the transcript.")
    };
    // Engines and callers write what they like here.
    let language = transcript.language.as_deref().filter(|tag| {
        tag.len() <= 16
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    let language = language
        .map(|tag| format!(" Its language is {tag}."))
        .unwrap_or_default();
    format!("{which}{language}{asked}")
}

/// Redacts descriptions and choices, which people wrote; names of keywords stay.
pub fn redact_texts(schema: &mut Value, redactor: &mut Redactor) {
    match schema {
        Value::Object(entries) => {
            for (name, value) in entries {
                match (name.as_str(), value) {
                    ("description", Value::String(text)) => *text = redactor.redact(text),
                    ("enum", Value::Array(choices)) => {
                        for choice in choices {
                            if let Value::String(text) = choice {
                                *text = redactor.redact(text);
                            }
                        }
                    }
                    (_, value) => redact_texts(value, redactor),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| redact_texts(item, redactor)),
        _ => {}
    }
}
