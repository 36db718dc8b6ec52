//! What people write about a session, and what is checked about it.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::consent::ConsentGiven;
use super::fields::{MAX_NAME_CHARS, present};
use super::problem::{ApiError, FieldError};
use crate::custom_fields::CustomFields;
use crate::db::sessions::{Change, Draft};
use crate::ids::{CustomerId, UserId};
use crate::session::Status;

const MAX_TITLE_CHARS: usize = 500;
const MAX_NOTES_CHARS: usize = 50_000;
const MAX_DECLARED_NAMES: usize = 50;

/// What a session is created with; everything may be left out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewSession {
    pub title: Option<String>,
    pub notes: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    /// A customer of the account.
    pub customer_id: Option<CustomerId>,
    /// Whose session it is: the caller's where it is left out. Only managers and admins name others.
    pub counselor_id: Option<UserId>,
    /// Transcribe recordings without being asked; true where it is left out.
    pub auto_transcribe: Option<bool>,
    /// Analyse transcripts without being asked; true where it is left out.
    pub auto_analyze: Option<bool>,
    pub consent: Option<ConsentGiven>,
    /// JSON Schema of an object whose properties analyses fill from the transcript, each with a quote:
    /// 1 to 32 fields of the types string, number, integer, boolean, array and object, without `$ref`
    /// and `pattern`.
    #[schema(value_type = Option<Object>)]
    pub custom_fields_schema: Option<Value>,
    /// Names to redact, beside the customer's and the counsellor's: at most 50.
    #[serde(default)]
    pub declared_names: Vec<String>,
}

/// What changes; null empties a field, what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct SessionChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub title: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub notes: Option<Option<String>>,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<CustomerId>)]
    pub customer_id: Option<Option<CustomerId>>,
    /// Taking consent back erases what was made with it. Null is no consent.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<ConsentGiven>)]
    pub consent: Option<Option<ConsentGiven>>,
    /// As when a session is created; analyses that exist already stay as they are.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub custom_fields_schema: Option<Option<Value>>,
    /// Replaces all of them.
    pub declared_names: Option<Vec<String>>,
    /// Only `completed`: signs the session off.
    pub status: Option<String>,
}

impl NewSession {
    /// The draft of a session, or every field that is wrong.
    pub fn checked(self) -> Result<Draft, ApiError> {
        let mut errors = Vec::new();
        check_texts(
            self.title.as_deref(),
            self.notes.as_deref(),
            self.metadata.as_ref(),
            &mut errors,
        );
        check_custom_fields(self.custom_fields_schema.as_ref(), &mut errors);
        check_names(&self.declared_names, &mut errors);
        if !errors.is_empty() {
            return Err(ApiError::Invalid(errors));
        }
        Ok(Draft {
            title: self.title,
            notes: self.notes,
            metadata: self.metadata,
            customer_id: self.customer_id,
            counselor_id: self.counselor_id,
            custom_fields_schema: self.custom_fields_schema,
            declared_names: self.declared_names,
            auto_transcribe: self.auto_transcribe.unwrap_or(true),
            auto_analyze: self.auto_analyze.unwrap_or(true),
        })
    }
}

impl SessionChange {
    /// The change, and whether it signs the session off.
    pub fn checked(self) -> Result<(Change, bool), ApiError> {
        let mut errors = Vec::new();
        let title = self.title.as_ref().and_then(Option::as_deref);
        let notes = self.notes.as_ref().and_then(Option::as_deref);
        check_texts(title, notes, self.metadata.as_ref(), &mut errors);
        let schema = self.custom_fields_schema.as_ref();
        check_custom_fields(schema.and_then(Option::as_ref), &mut errors);
        check_names(
            self.declared_names.as_deref().unwrap_or_default(),
            &mut errors,
        );
        let sign_off = self.status.as_deref().map(str::parse::<Status>);
        if sign_off.is_some() && sign_off != Some(Ok(Status::Completed)) {
            errors.push(FieldError::of("status", "can only be set to completed"));
        }
        if !errors.is_empty() {
            return Err(ApiError::Invalid(errors));
        }
        let change = Change {
            title: self.title,
            notes: self.notes,
            metadata: self.metadata,
            customer_id: self.customer_id,
            custom_fields_schema: self.custom_fields_schema,
            declared_names: self.declared_names,
        };
        Ok((change, sign_off.is_some()))
    }
}

fn check_texts(
    title: Option<&str>,
    notes: Option<&str>,
    metadata: Option<&Value>,
    errors: &mut Vec<FieldError>,
) {
    for (field, text, limit) in [
        ("title", title, MAX_TITLE_CHARS),
        ("notes", notes, MAX_NOTES_CHARS),
    ] {
        if text.is_some_and(|text| text.chars().count() > limit) {
            errors.push(FieldError::of(
                field,
                format!("must have at most {limit} characters"),
            ));
        }
    }
    if metadata.is_some_and(|value| !value.is_object()) {
        errors.push(FieldError::of("metadata", "must be an object"));
    }
}

fn check_custom_fields(schema: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(Err(wrong)) = schema.map(CustomFields::read) else {
        return;
    };
    errors.extend(wrong.into_iter().map(|wrong| {
        let dot = if wrong.path.is_empty() { "" } else { "." };
        let field = format!("custom_fields_schema{dot}{}", wrong.path);
        FieldError::of(field, wrong.message)
    }));
}

fn check_names(names: &[String], errors: &mut Vec<FieldError>) {
    if names.len() > MAX_DECLARED_NAMES {
        let message = format!("must have at most {MAX_DECLARED_NAMES} names");
        errors.push(FieldError::of("declared_names", message));
    }
    for (position, name) in names.iter().take(MAX_DECLARED_NAMES).enumerate() {
        let is_name = name.chars().any(char::is_alphabetic) && !name.contains('\0');
        if !is_name || name.chars().count() > MAX_NAME_CHARS {
            errors.push(FieldError::of(
                format!("declared_names.{position}"),
                format!("must be a name of at most {MAX_NAME_CHARS} characters"),
            ));
        }
    }
}
