//! What a schema of custom fields may hold.

use serde_json::{Map, Value};

use super::SchemaError;

/// Fields of one session.
pub const MAX_FIELDS: usize = 32;
/// The schema, written without spaces.
pub const MAX_SCHEMA_BYTES: usize = 16 * 1024;
/// Schemas inside a field's schema: a list of objects has three.
const MAX_DEPTH: usize = 3;
const MAX_NAME_BYTES: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_ENUM_VALUES: usize = 100;
const MAX_PROPERTIES: usize = 32;

const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];
const FORMATS: [&str; 4] = ["date", "time", "date-time", "email"];
/// Beside `properties`, at the top.
const OF_THE_ROOT: [&str; 7] = [
    "$schema",
    "type",
    "title",
    "description",
    "properties",
    "required",
    "additionalProperties",
];

/// What is wrong so far.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) wrong: Vec<SchemaError>,
}

impl Checks {
    pub(super) fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.wrong.push(SchemaError {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// The properties of a schema whose root is in order.
    pub(super) fn root<'a>(&mut self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let Some(root) = schema.as_object() else {
            self.refuse("", "must be an object");
            return None;
        };
        // Before anything is walked through.
        if schema.to_string().len() > MAX_SCHEMA_BYTES {
            let message = format!("must have at most {MAX_SCHEMA_BYTES} bytes");
            self.refuse("", message);
            return None;
        }
        self.keywords("", root, &OF_THE_ROOT);
        if root.get("type").is_some_and(|kind| kind != "object") {
            self.refuse("type", "must be \"object\"");
        }
        self.additional("", root);
        let Some(properties) = root.get("properties").and_then(Value::as_object) else {
            self.refuse(
                "properties",
                "must be an object with a property for each field",
            );
            return None;
        };
        if !(1..=MAX_FIELDS).contains(&properties.len()) {
            self.refuse("properties", format!("must have 1 to {MAX_FIELDS} fields"));
        }
        for name in properties.keys() {
            self.name(&format!("properties.{name}"), name);
        }
        self.wrong.is_empty().then_some(properties)
    }

    fn name(&mut self, path: &str, name: &str) {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !starts || !rest || name.len() > MAX_NAME_BYTES {
            let message = format!(
                "the name must be a letter and then letters, digits and underscores, {MAX_NAME_BYTES} at most"
            );
            self.refuse(path, message);
        }
    }

    pub(super) fn field(&mut self, path: &str, schema: &Value, depth: usize) {
        let Some(field) = schema.as_object() else {
            return self.refuse(path, "must be an object");
        };
        if depth > MAX_DEPTH {
            return self.refuse(path, format!("is nested more than {MAX_DEPTH} deep"));
        }
        let kind = field
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !TYPES.contains(&kind) {
            return self.refuse(
                &format!("{path}.type"),
                format!("must be one of {}", TYPES.join(", ")),
            );
        }
        let mut known = vec!["type", "title", "description", "enum"];
        known.extend_from_slice(keywords_of(kind));
        self.keywords(path, field, &known);
        self.texts(path, field);
        self.choices(path, field);
        if let Some(items) = field.get("items") {
            self.field(&format!("{path}.items"), items, depth + 1);
        } else if kind == "array" {
            self.refuse(&format!("{path}.items"), "must say what the list holds");
        }
        if kind == "object" {
            self.properties(path, field, depth);
            self.additional(path, field);
        }
    }

    fn properties(&mut self, path: &str, field: &Map<String, Value>, depth: usize) {
        let path = format!("{path}.properties");
        let Some(properties) = field.get("properties").and_then(Value::as_object) else {
            return self.refuse(&path, "must be an object");
        };
        if !(1..=MAX_PROPERTIES).contains(&properties.len()) {
            self.refuse(&path, format!("must have 1 to {MAX_PROPERTIES} properties"));
        }
        for (name, schema) in properties {
            let path = format!("{path}.{name}");
            self.name(&path, name);
            self.field(&path, schema, depth + 1);
        }
    }

    /// As a schema of its own it could hold everything that is refused elsewhere.
    fn additional(&mut self, path: &str, schema: &Map<String, Value>) {
        let additional = schema.get("additionalProperties");
        if additional.is_some_and(|value| !value.is_boolean()) {
            let path = if path.is_empty() {
                "additionalProperties".to_owned()
            } else {
                format!("{path}.additionalProperties")
            };
            self.refuse(&path, "must be true or false");
        }
    }

    fn keywords(&mut self, path: &str, schema: &Map<String, Value>, known: &[&str]) {
        for name in schema.keys().filter(|name| !known.contains(&name.as_str())) {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            self.refuse(&path, "is not supported here");
        }
    }

    fn texts(&mut self, path: &str, field: &Map<String, Value>) {
        for name in ["title", "description"] {
            let is_short = |value: &Value| {
                let text = value.as_str();
                text.is_some_and(|text| text.chars().count() <= MAX_DESCRIPTION_CHARS)
            };
            if field.get(name).is_some_and(|value| !is_short(value)) {
                let message =
                    format!("must be a text of at most {MAX_DESCRIPTION_CHARS} characters");
                self.refuse(&format!("{path}.{name}"), message);
            }
        }
        let format = field.get("format").map(Value::as_str);
        if format.is_some_and(|name| name.is_none_or(|name| !FORMATS.contains(&name))) {
            let message = format!("must be one of {}", FORMATS.join(", "));
            self.refuse(&format!("{path}.format"), message);
        }
    }

    fn choices(&mut self, path: &str, field: &Map<String, Value>) {
        let Some(choices) = field.get("enum") else {
            return;
        };
        let plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        let fits = choices.as_array().is_some_and(|choices| {
            (1..=MAX_ENUM_VALUES).contains(&choices.len()) && choices.iter().all(plain)
        });
        if !fits {
            let message =
                format!("must be a list of 1 to {MAX_ENUM_VALUES} texts, numbers or booleans");
            self.refuse(&format!("{path}.enum"), message);
        }
    }
}

/// What else may stand in a schema of this type.
fn keywords_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "string" => &["minLength", "maxLength", "format"],
        "number" | "integer" => &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
        "array" => &["items", "minItems", "maxItems"],
        "object" => &["properties", "required", "additionalProperties"],
        _ => &[],
    }
}
