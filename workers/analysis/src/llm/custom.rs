//! The custom fields of a session: filled with evidence, or null with the reason.

use std::collections::BTreeMap;

use aftercall::custom_fields::CustomFields;
use aftercall::documents::analysis::{CustomField, CustomFieldState};
use serde_json::{Map, Value};

use super::answer::FieldAnswer;
use super::evidence::Evidence;
use super::plain::plain;

const MAX_VALUE_CHARS: usize = 2_000;

const NOT_SAID: &str = "The conversation does not show it.";
const NO_ANSWER: &str = "The model gave no answer for it.";
const NO_QUOTE: &str = "The model gave a value without words of the conversation that show it.";
const WRONG_VALUE: &str = "The model gave a value that does not fit the field.";
const NOT_PLAIN: &str = "The model gave a value with a link or markup.";
const INVENTED: &str = "The model gave a value that stands for nothing that was said.";
const NOT_THIS_ENGINE: &str = "The local engine does not fill custom fields.";
const NOBODY_SPOKE: &str = "Nothing was said.";
const SCHEMA_UNREADABLE: &str = "The schema of the custom fields cannot be read.";

/// Every field that is asked for, from the answers of the model.
pub fn fill(
    evidence: &mut Evidence<'_>,
    answers: BTreeMap<String, FieldAnswer>,
) -> BTreeMap<String, CustomField> {
    let Some(fields) = evidence.fields else {
        return BTreeMap::new();
    };
    let answers = answers.into_iter();
    let answers = answers.filter_map(|(name, answer)| Some((evidence.restored(&name)?, answer)));
    let mut answers: BTreeMap<_, _> = answers.collect();
    let filled = fields.names().map(|name| {
        let field = match answers.remove(name) {
            None => null(CustomFieldState::Failed, NO_ANSWER),
            Some(answer) => judge(evidence, fields, name, answer),
        };
        (name.to_owned(), field)
    });
    filled.collect()
}

fn judge(
    evidence: &mut Evidence<'_>,
    fields: &CustomFields,
    name: &str,
    answer: FieldAnswer,
) -> CustomField {
    if answer.value.is_null() {
        return null(CustomFieldState::NotFound, NOT_SAID);
    }
    let Some(value) = restored(evidence, answer.value) else {
        return null(CustomFieldState::Failed, INVENTED);
    };
    // What the field itself lists is nobody else's words.
    let value = if fields.lists(name, &value) {
        value
    } else if let Some(value) = clean(value) {
        value
    } else {
        return null(CustomFieldState::Failed, NOT_PLAIN);
    };
    if !fields.accepts(name, &value) {
        return null(CustomFieldState::Failed, WRONG_VALUE);
    }
    let Some(quote) = answer.quote.and_then(|cite| evidence.quote(&cite)) else {
        return null(CustomFieldState::Failed, NO_QUOTE);
    };
    CustomField {
        state: CustomFieldState::Found,
        value: Some(value),
        confidence: Some(answer.confidence),
        quote: Some(quote),
        reason: None,
    }
}

/// The value with its texts and names restored; `None` if the model invented a placeholder.
fn restored(evidence: &Evidence<'_>, value: Value) -> Option<Value> {
    mapped(value, &|text| evidence.restored(text), &|name| {
        evidence.restored(name)
    })
}

/// The value with its texts plain; `None` if one, or a name, may not pass on.
fn clean(value: Value) -> Option<Value> {
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    mapped(value, &|text| plain(text, MAX_VALUE_CHARS), &|name| {
        is_plain(name).then(|| name.to_owned())
    })
}

type Change<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The value with its texts and the names of its entries changed; `None` if one has no other form.
fn mapped(value: Value, text: Change<'_>, name: Change<'_>) -> Option<Value> {
    Some(match value {
        Value::String(it) => Value::String(text(&it)?),
        Value::Array(items) => {
            let items = items.into_iter().map(|item| mapped(item, text, name));
            Value::Array(items.collect::<Option<_>>()?)
        }
        Value::Object(entries) => {
            let entries = entries.into_iter();
            let entries = entries.map(|(key, it)| Some((name(&key)?, mapped(it, text, name)?)));
            Value::Object(entries.collect::<Option<Map<_, _>>>()?)
        }
        plain => plain,
    })
}

/// What two parts of a conversation say of the same field: what was found counts before what was not,
/// the surer before the less sure, and the later of two that are as sure.
pub fn merge(all: &mut BTreeMap<String, CustomField>, part: BTreeMap<String, CustomField>) {
    for (name, field) in part {
        match all.get(&name) {
            Some(known) if rank(known) > rank(&field) => {}
            _ => {
                all.insert(name, field);
            }
        }
    }
}

fn rank(field: &CustomField) -> (u8, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a confidence is from 0 to 1"
    )]
    let confidence = (field.confidence.unwrap_or(0.0) * 1_000.0) as u32;
    let state = match field.state {
        CustomFieldState::Skipped => 0,
        CustomFieldState::NotFound => 1,
        CustomFieldState::Failed => 2,
        CustomFieldState::Found => 3,
    };
    (state, confidence)
}

/// All fields that a schema asks for, as an engine leaves them that fills none.
pub fn skipped(schema: &Value) -> BTreeMap<String, CustomField> {
    everywhere(schema, CustomFieldState::Skipped, NOT_THIS_ENGINE)
}

/// All fields, where there was nothing to read.
pub fn not_said(schema: &Value) -> BTreeMap<String, CustomField> {
    everywhere(schema, CustomFieldState::NotFound, NOBODY_SPOKE)
}

/// All fields of a schema that another version of the program took, and this one does not.
pub fn unreadable(schema: &Value) -> BTreeMap<String, CustomField> {
    everywhere(schema, CustomFieldState::Failed, SCHEMA_UNREADABLE)
}

fn everywhere(
    schema: &Value,
    state: CustomFieldState,
    reason: &str,
) -> BTreeMap<String, CustomField> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = properties.into_iter().flat_map(Map::keys);
    names
        .map(|name| (name.clone(), null(state, reason)))
        .collect()
}

fn null(state: CustomFieldState, reason: &str) -> CustomField {
    CustomField {
        state,
        value: None,
        confidence: None,
        quote: None,
        reason: Some(reason.to_owned()),
    }
}
