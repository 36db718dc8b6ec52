//! Checks of fields that several resources have. Each answers the value as it is kept, and all
//! that is wrong is told at once.

use garde::rules::email::parse_email;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::{ApiError, FieldError};

pub const MAX_NAME_CHARS: usize = 200;
pub const MAX_LONG_TEXT_CHARS: usize = 50_000;
/// Longest address that mail carries ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)).
const MAX_EMAIL_CHARS: usize = 254;
/// Digits of a number with its country code (E.164), and of the shortest that is dialled without.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// What is wrong with a body so far.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    pub fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError::of(field, message));
    }

    /// A name that must be there.
    pub fn name(&mut self, field: &str, value: &str) -> String {
        let value = value.trim();
        if value.is_empty() || value.chars().count() > MAX_NAME_CHARS {
            self.refuse(field, format!("must have 1 to {MAX_NAME_CHARS} characters"));
        }
        value.to_owned()
    }

    /// A name that may be left out, but not emptied.
    pub fn name_change(&mut self, field: &str, value: Option<Option<String>>) -> Option<String> {
        let value = value?;
        if value.is_none() {
            self.refuse(field, "must not be null");
        }
        value.map(|value| self.name(field, &value))
    }

    pub fn text(&mut self, field: &str, value: Option<String>, max_chars: usize) -> Option<String> {
        if value
            .as_deref()
            .is_some_and(|text| text.chars().count() > max_chars)
        {
            self.refuse(field, format!("must have at most {max_chars} characters"));
        }
        value
    }

    pub fn email(&mut self, field: &str, value: Option<String>) -> Option<String> {
        let value = value?.trim().to_owned();
        if value.chars().count() > MAX_EMAIL_CHARS || parse_email(&value).is_err() {
            self.refuse(field, "must be an e-mail address");
        }
        Some(value)
    }

    /// A phone number; what people put between digits is left out.
    pub fn phone_number(&mut self, field: &str, value: Option<String>) -> Option<String> {
        let value: String = value?
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/'))
            .collect();
        let digits = value.strip_prefix('+').unwrap_or(&value);
        if !PHONE_DIGITS.contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            self.refuse(
                field,
                "must be a phone number, best with its country code: +4930123456",
            );
        }
        Some(value)
    }

    pub fn object(&mut self, field: &str, value: Option<&Value>) {
        if value.is_some_and(|value| !value.is_object()) {
            self.refuse(field, "must be an object");
        }
    }

    /// Refuses with all that was wrong.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(ApiError::Invalid(self.0))
    }
}

/// Tells a field that is null from one that is left out.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The names of those fields that are given, for the audit log.
pub fn given(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    let given = fields.iter().filter(|(_, given)| *given);
    given.map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(text: &str) -> Option<String> {
        let mut checks = Checks::default();
        let kept = checks.phone_number("phone_number", Some(text.to_owned()));
        checks.finish().ok().and(kept)
    }

    #[test]
    fn phone_numbers_are_kept_as_digits() {
        for (given, kept) in [
            ("+49 (30) 123-456", "+4930123456"),
            ("030/123.456", "030123456"),
            ("112", "112"),
        ] {
            assert_eq!(phone(given).as_deref(), Some(kept));
        }
        for wrong in [
            "",
            "+",
            "12",
            "call me",
            "++49123",
            "49+123",
            "1234567890123456",
            "١٢٣٤",
        ] {
            assert_eq!(phone(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut checks = Checks::default();
        checks.name("name", "  ");
        checks.name_change("other", Some(None));
        checks.email("email", Some("nobody".to_owned()));
        checks.text("notes", Some("éé".to_owned()), 1);
        checks.object("metadata", Some(&Value::Null));
        let Err(ApiError::Invalid(errors)) = checks.finish() else {
            panic!("refused");
        };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["name", "other", "email", "notes", "metadata"]);
    }
}
