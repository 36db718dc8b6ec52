//! What stands before the transcript in a question: which part it is, and the fields to fill.

use std::fmt::Write as _;

use aftercall::custom_fields::CustomFields;
use aftercall::documents::transcript::Transcript;
use aftercall::redaction::Redactor;
use serde_json::Value;

/// A field as the model is asked for it.
pub struct AskedField {
    pub name: String,
    /// What its value must be, in full.
    pub schema: Value,
    /// The same as strict servers take it.
    pub strict: Value,
}

/// The fields to fill, without personal data where there is a redactor: people write names and
/// descriptions, and neither is part of what was said.
pub fn asked_fields(
    fields: Option<&CustomFields>,
    mut redactor: Option<&mut Redactor>,
) -> Vec<AskedField> {
    let Some(fields) = fields else {
        return Vec::new();
    };
    let asked = fields.iter().map(|(name, schema)| {
        let mut field = AskedField {
            name: name.to_owned(),
            schema: schema.clone(),
            strict: fields.strict(name),
        };
        if let Some(redactor) = redactor.as_deref_mut() {
            field.name = redactor.redact_apart(name);
            redact_schema(&mut field.schema, redactor);
            redact_schema(&mut field.strict, redactor);
        }
        field
    });
    asked.collect()
}

/// What the model is told of the fields; empty where none are asked for.
pub fn told(fields: &[AskedField]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let mut told = "\n\nFields to fill in custom_fields, each with its JSON Schema:".to_owned();
    for AskedField { name, schema, .. } in fields {
        let _ = write!(told, "\n- {name}: {schema}");
    }
    told
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

/// Redacts what people wrote in a schema: descriptions, choices, and the names of properties.
fn redact_schema(schema: &mut Value, redactor: &mut Redactor) {
    let Some(keywords) = schema.as_object_mut() else {
        return;
    };
    for (keyword, value) in keywords.iter_mut() {
        match (keyword.as_str(), value) {
            ("title" | "description", Value::String(text)) => *text = redactor.redact_apart(text),
            ("enum" | "required", Value::Array(texts)) => {
                for text in texts {
                    if let Value::String(text) = text {
                        *text = redactor.redact_apart(text);
                    }
                }
            }
            ("properties", Value::Object(properties)) => {
                let named = std::mem::take(properties).into_iter();
                *properties = named
                    .map(|(name, mut schema)| {
                        redact_schema(&mut schema, redactor);
                        (redactor.redact_apart(&name), schema)
                    })
                    .collect();
            }
            ("items", items) => redact_schema(items, redactor),
            _ => {}
        }
    }
    // A number cannot be replaced; the model is asked for one all the same.
    let is_personal = |choice: &Value| {
        let written = choice.to_string();
        choice.is_number() && redactor.redact_apart(&written) != written
    };
    let choices = keywords.get("enum").and_then(Value::as_array);
    if choices.is_some_and(|choices| choices.iter().any(is_personal)) {
        keywords.remove("enum");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_people_wrote_into_a_schema_is_sent() {
        let schema = json!({"properties": {"maria_called": {
            "type": "object", "title": "Of Maria", "description": "Whom?\nMaria Lopez, 555-0100",
            "properties": {
                "lopez": {"type": "string", "enum": ["Maria", "nobody"]},
                "line": {"type": "integer", "enum": [4_155_550_100_i64]},
                "floor": {"type": "integer", "enum": [1, 2]},
                "all": {"type": "array", "items": {"type": "string", "description": "as Maria"}},
            },
            "required": ["lopez"],
        }}});
        let fields = CustomFields::read(&schema).expect("a schema");
        let mut redactor = Redactor::new(["Maria Lopez"]);
        let asked = asked_fields(Some(&fields), Some(&mut redactor));
        let told = told(&asked);
        let sent = format!("{told} {}", asked[0].strict);
        for personal in ["aria", "opez", "5550100", "555-0100"] {
            assert!(!sent.contains(personal), "{sent}");
        }
        assert_eq!(redactor.restore(&asked[0].name), "maria_called");
        let strict = &asked[0].strict;
        let names = strict["properties"].as_object().expect("properties").keys();
        let mut names: Vec<_> = names.map(|name| redactor.restore(name)).collect();
        names.sort();
        assert_eq!(names, ["all", "floor", "line", "lopez"]);
        assert_eq!(strict["properties"]["floor"]["enum"], json!([1, 2]));
        assert_eq!(strict["required"].as_array().map(Vec::len), Some(4));
        // What a description is about says nothing of the first turn.
        let about = json!({"properties": {"x": {"type": "string", "description": "order number"}}});
        let about = CustomFields::read(&about).expect("a schema");
        asked_fields(Some(&about), Some(&mut redactor));
        assert!(redactor.redact("5550199").starts_with("[PHONE_"));
    }
}
