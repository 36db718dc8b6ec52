//! What people write about users, and what is checked about it.

use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::fields::{Checks, present};
use super::problem::ApiError;
use crate::auth::{Email, Role, check_fit};
use crate::db::people::{Change, Draft};
use crate::ids::{AccountId, UserId};

/// What a user is created with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Upper and lower case are the same.
    #[schema(example = "ada@example.org", max_length = 254)]
    email: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// `counselor` where it is left out; managers make no others.
    role: Option<Role>,
    /// Without one the user cannot sign in with a password.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Managers make users of their own clinic, whose id may be left out.
    clinic_id: Option<AccountId>,
}

/// What changes; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 254)]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Role, required = false)]
    role: Option<Option<Role>>,
    /// Null leaves the clinic.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<AccountId>)]
    clinic_id: Option<Option<AccountId>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    is_active: Option<Option<bool>>,
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Needed to change one's own password.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// A password that somebody wants to set.
pub struct PasswordWish {
    pub new: SecretString,
    pub current: Option<SecretString>,
}

impl NewUser {
    /// The draft of a user, and their password.
    pub fn checked(
        self,
        password_min_length: usize,
    ) -> Result<(Draft, Option<SecretString>), ApiError> {
        let mut checks = Checks::default();
        let draft = Draft {
            id: UserId::generate(),
            account_id: AccountId::generate(),
            email: email(&mut checks, &self.email),
            name: checks.name("name", &self.name),
            role: self.role.unwrap_or(Role::Counselor),
            clinic_id: self.clinic_id,
            password_hash: None,
        };
        check_password(&mut checks, self.password.as_ref(), password_min_length);
        checks.finish().map(|()| (draft, self.password))
    }
}

impl UserChange {
    /// The change but for the password, and the password.
    pub fn checked(
        self,
        password_min_length: usize,
    ) -> Result<(Change, Option<PasswordWish>), ApiError> {
        let mut checks = Checks::default();
        let address = set(&mut checks, "email", self.email);
        let change = Change {
            email: address.map(|address| email(&mut checks, &address)),
            name: checks.name_change("name", self.name),
            role: set(&mut checks, "role", self.role),
            clinic_id: self.clinic_id,
            is_active: set(&mut checks, "is_active", self.is_active),
            password: None,
        };
        check_password(&mut checks, self.password.as_ref(), password_min_length);
        checks.finish()?;
        let current = self.current_password;
        Ok((
            change,
            self.password.map(|new| PasswordWish { new, current }),
        ))
    }
}

/// A field that may be left out, but not emptied.
fn set<T>(checks: &mut Checks, field: &str, value: Option<Option<T>>) -> Option<T> {
    let value = value?;
    if value.is_none() {
        checks.refuse(field, "must not be null");
    }
    value
}

fn email(checks: &mut Checks, text: &str) -> String {
    match text.parse::<Email>() {
        Ok(email) => email.to_string(),
        Err(error) => {
            checks.refuse("email", error.to_string());
            String::new()
        }
    }
}

fn check_password(checks: &mut Checks, password: Option<&SecretString>, min_length: usize) {
    if let Some(Err(error)) = password.map(|password| check_fit(password, min_length)) {
        checks.refuse("password", error.to_string());
    }
}
