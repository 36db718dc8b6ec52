//! The fields that a session wants every analysis to fill: a JSON Schema with one property a field.
//!
//! Only a subset of JSON Schema is taken: what a model can be told and a value can be held against,
//! without references and without patterns (some of which take for ever to match). Not here: who fills
//! the fields, and from what.
//!
//! Invariant: what [`CustomFields::read`] accepts compiles, and checking a value against it takes time
//! in proportion to the value.

mod checks;

use std::collections::BTreeMap;
use std::fmt;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use checks::Checks;

pub use checks::{MAX_FIELDS, MAX_SCHEMA_BYTES};

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
            return Err(checks.wrong);
        };
        let mut fields = BTreeMap::new();
        for (name, schema) in properties {
            let path = format!("properties.{name}");
            checks.field(&path, schema, 1);
            if !checks.wrong.is_empty() {
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
        if checks.wrong.is_empty() {
            Ok(Self(fields))
        } else {
            Err(checks.wrong)
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

    /// Whether a value is one of the texts that the field itself lists.
    pub fn lists(&self, name: &str, value: &Value) -> bool {
        let choices = self.0.get(name).and_then(|field| field.schema.get("enum"));
        let choices = choices.and_then(Value::as_array);
        choices.is_some_and(|choices| choices.contains(value))
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
        let properties = properties
            .iter()
            .map(|(name, schema)| (name.clone(), strict(schema)));
        kept.insert("properties".to_owned(), Value::Object(properties.collect()));
        kept.insert("required".to_owned(), json!(names));
        kept.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(schema: &Value) -> Vec<String> {
        let errors = CustomFields::read(schema).expect_err("it is wrong");
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
        let field = |schema: Value| wrong(&json!({"properties": {"x": schema}}));
        assert_eq!(
            field(json!({"type": "string", "pattern": "(a+)+$"})),
            ["properties.x.pattern"]
        );
        assert_eq!(field(json!({"$ref": "#"})), ["properties.x.type"]);
        assert_eq!(field(json!({"type": "array"})), ["properties.x.items"]);
        assert_eq!(
            field(json!({"type": "object"})),
            ["properties.x.properties"]
        );
        assert_eq!(
            field(json!({"type": "string", "enum": []})),
            ["properties.x.enum"]
        );
        assert_eq!(
            field(json!({"type": "string", "format": "uri"})),
            ["properties.x.format"]
        );
        assert_eq!(
            field(json!({"type": "string", "maxLength": "many"})),
            ["properties.x"]
        );
        assert_eq!(field(json!("string")), ["properties.x"]);
        for schema in [
            json!({"$ref": "https://example.org/schema"}),
            json!({"$ref": "#"}),
            json!({"patternProperties": {"(a+)+$": {}}}),
        ] {
            let open = json!({"type": "object", "properties": {"a": {"type": "string"}},
                "additionalProperties": schema});
            assert_eq!(field(open), ["properties.x.additionalProperties"]);
        }
        assert_eq!(
            wrong(&json!({"properties": {"x": {"type": "string"}}, "additionalProperties": {}})),
            ["additionalProperties"]
        );
        assert_eq!(wrong(&json!([])), [""]);
        assert_eq!(wrong(&json!({"properties": {}})), ["properties"]);
        assert_eq!(
            wrong(&json!({"properties": {"a b": {"type": "string"}}})),
            ["properties.a b"]
        );
        assert_eq!(
            wrong(&json!({"type": "array", "properties": {"x": {"type": "string"}}})),
            ["type"]
        );
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let mut deep = json!({"type": "string"});
        for _ in 0..3 {
            deep = json!({"type": "array", "items": deep});
        }
        assert_eq!(
            wrong(&json!({"properties": {"x": deep}})),
            ["properties.x.items.items.items"]
        );
        let many: Map<_, _> = (0..33)
            .map(|n| (format!("f{n}"), json!({"type": "string"})))
            .collect();
        assert_eq!(wrong(&json!({"properties": many})), ["properties"]);
        let long = "x".repeat(MAX_SCHEMA_BYTES);
        assert_eq!(
            wrong(&json!({"properties": {"x": {"type": "string", "description": long}}})),
            [""]
        );
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
