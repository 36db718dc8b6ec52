//! The fields that a session wants every analysis to fill: a JSON Schema with one property a field.
//!
//! Only a subset of JSON Schema is taken: what a model can be told and a value can be held against,
//! without references and without patterns (some of which take for ever to match). Not here: who fills
//! the fields, and from what.
//!
//! Invariant: what [`CustomFields::read`] accepts compiles, and checking a value against it takes time
//! in proportion to the value.

use std::collections::BTreeMap;
use std::fmt;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

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

/// The fields, each with what its value must be.
pub struct CustomFields(BTreeMap<String, Field>);

struct Field {
    schema: Value,
    validator: Validator,
}

/// What is wrong with a schema, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SchemaError {
    /// From the schema's root, for example `properties.name.type`; empty for the root.
    pub path: String,
    pub message: String,
}

impl CustomFields {
    /// Reads a schema, or tells everything that is wrong with it.
    pub fn read(schema: &Value) -> Result<Self, Vec<SchemaError>> {
        let mut checks = Checks::default();
        let Some(properties) = checks.root(schema) else {
            return Err(checks.0);
        };
        let mut fields = BTreeMap::new();
        for (name, schema) in properties {
            let path = format!("properties.{name}");
            checks.field(&path, schema, 1);
            if !checks.0.is_empty() {
                continue;
            }
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            match options.build(schema) {
                Ok(validator) => {
                    let schema = schema.clone();
                    fields.insert(name.clone(), Field { schema, validator });
                }
                Err(error) => checks.refuse(&path, error.to_string()),
            }
        }
        if checks.0.is_empty() {
            Ok(Self(fields))
        } else {
            Err(checks.0)
        }
    }

    /// Names and schemas.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.0.iter();
        fields.map(|(name, field)| (name.as_str(), &field.schema))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a value is what the field asks for.
    pub fn accepts(&self, name: &str, value: &Value) -> bool {
        let field = self.0.get(name);
        field.is_some_and(|field| field.validator.is_valid(value))
    }

    /// What a strict server takes as the type of a field: no bounds, every property required. A value is
    /// held against the real schema all the same.
    pub fn strict(&self, name: &str) -> Value {
        let field = self.0.get(name);
        field.map_or_else(|| json!({}), |field| strict(&field.schema))
    }
}

impl fmt::Debug for CustomFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[derive(Default)]
struct Checks(Vec<SchemaError>);

impl Checks {
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(SchemaError {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// The properties of a schema whose root is in order.
    fn root<'a>(&mut self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
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
        let Some(properties) = root.get("properties").and_then(Value::as_object) else {
            self.refuse("properties", "must be an object with a property for each field");
            return None;
        };
        if !(1..=MAX_FIELDS).contains(&properties.len()) {
            self.refuse("properties", format!("must have 1 to {MAX_FIELDS} fields"));
        }
        for name in properties.keys() {
            self.name(&format!("properties.{name}"), name);
        }
        self.0.is_empty().then_some(properties)
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

    fn field(&mut self, path: &str, schema: &Value, depth: usize) {
        let Some(field) = schema.as_object() else {
            return self.refuse(path, "must be an object");
        };
        if depth > MAX_DEPTH {
            return self.refuse(path, format!("is nested more than {MAX_DEPTH} deep"));
        }
        let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
        if !TYPES.contains(&kind) {
            return self.refuse(&format!("{path}.type"), format!("must be one of {}", TYPES.join(", ")));
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
                let message = format!("must be a text of at most {MAX_DESCRIPTION_CHARS} characters");
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
            let message = format!("must be a list of 1 to {MAX_ENUM_VALUES} texts, numbers or booleans");
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

fn strict(schema: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["type", "description", "enum"] {
        if let Some(value) = schema.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(items) = schema.get("items") {
        kept.insert("items".to_owned(), strict(items));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let names: Vec<_> = properties.keys().cloned().collect();
        let properties = properties.iter().map(|(name, schema)| (name.clone(), strict(schema)));
        kept.insert("properties".to_owned(), Value::Object(properties.collect()));
        kept.insert("required".to_owned(), json!(names));
        kept.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(schema: Value) -> Vec<String> {
        let errors = CustomFields::read(&schema).expect_err("it is wrong");
        errors.into_iter().map(|error| error.path).collect()
    }

    fn fields() -> CustomFields {
        CustomFields::read(&json!({
            "type": "object",
            "properties": {
                "insurer": {"type": "string", "maxLength": 20, "description": "Name of the insurer"},
                "visits": {"type": "integer", "minimum": 0},
                "next_visit": {"type": "string", "format": "date"},
                "allergies": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
            },
        }))
        .expect("a schema")
    }

    #[test]
    fn values_are_held_against_their_field() {
        let fields = fields();
        for (name, value, accepted) in [
            ("insurer", json!("AOK"), true),
            ("insurer", json!("a name that is much too long"), false),
            ("insurer", json!(7), false),
            ("visits", json!(0), true),
            ("visits", json!(-1), false),
            ("visits", json!(1.5), false),
            ("next_visit", json!("2026-12-01"), true),
            ("next_visit", json!("Tuesday"), false),
            ("allergies", json!(["nuts", "wasps"]), true),
            ("allergies", json!(["a", "b", "c"]), false),
            ("other", json!("x"), false),
        ] {
            assert_eq!(fields.accepts(name, &value), accepted, "{name} {value}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named_by_its_path() {
        let field = |schema: Value| wrong(json!({"properties": {"x": schema}}));
        assert_eq!(field(json!({"type": "string", "pattern": "(a+)+$"})), ["properties.x.pattern"]);
        assert_eq!(field(json!({"$ref": "#"})), ["properties.x.type"]);
        assert_eq!(field(json!({"type": "array"})), ["properties.x.items"]);
        assert_eq!(field(json!({"type": "object"})), ["properties.x.properties"]);
        assert_eq!(field(json!({"type": "string", "enum": []})), ["properties.x.enum"]);
        assert_eq!(field(json!({"type": "string", "format": "uri"})), ["properties.x.format"]);
        assert_eq!(field(json!({"type": "string", "maxLength": "many"})), ["properties.x"]);
        assert_eq!(field(json!("string")), ["properties.x"]);
        assert_eq!(wrong(json!([])), [""]);
        assert_eq!(wrong(json!({"properties": {}})), ["properties"]);
        assert_eq!(wrong(json!({"properties": {"a b": {"type": "string"}}})), ["properties.a b"]);
        assert_eq!(wrong(json!({"type": "array", "properties": {"x": {"type": "string"}}})), ["type"]);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let mut deep = json!({"type": "string"});
        for _ in 0..3 {
            deep = json!({"type": "array", "items": deep});
        }
        assert_eq!(wrong(json!({"properties": {"x": deep}})), ["properties.x.items.items.items"]);
        let many: Map<_, _> = (0..33).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
        assert_eq!(wrong(json!({"properties": many})), ["properties"]);
        let long = "x".repeat(MAX_SCHEMA_BYTES);
        assert_eq!(wrong(json!({"properties": {"x": {"type": "string", "description": long}}})), [""]);
    }

    #[test]
    fn a_strict_schema_has_no_bounds_and_requires_everything() {
        let fields = CustomFields::read(&json!({"properties": {"person": {"type": "object",
            "properties": {"age": {"type": "integer", "minimum": 0}}}}}));
        assert_eq!(
            fields.expect("a schema").strict("person"),
            json!({"type": "object", "properties": {"age": {"type": "integer"}},
                "required": ["age"], "additionalProperties": false})
        );
    }
}
