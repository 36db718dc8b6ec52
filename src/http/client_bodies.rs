//! How a client is written and shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{Checks, MAX_LONG_TEXT_CHARS, MAX_NAME_CHARS, given, present};
use super::problem::ApiError;
use crate::db::clients::{Change, Client, Draft};
use crate::ids::ClientId;

/// A business that an account answers for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientShape {
    pub id: ClientId,
    pub name: String,
    /// Digits, with `+` and the country code where it was given.
    pub phone_number: Option<String>,
    pub profession: Option<String>,
    pub voice_id: Option<String>,
    pub voice_name: Option<String>,
    pub system_prompt: Option<String>,
    /// False once deleted.
    pub is_active: bool,
    /// Whether the recording of each call is fetched from its `recording_url`.
    pub fetch_recordings: bool,
    /// Whether the transcript of each call is analysed.
    pub analyze_calls: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a client is created with.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewClient {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(example = "+4930123456")]
    phone_number: Option<String>,
    #[schema(max_length = 200)]
    profession: Option<String>,
    #[schema(max_length = 200)]
    voice_id: Option<String>,
    #[schema(max_length = 200)]
    voice_name: Option<String>,
    #[schema(max_length = 50_000)]
    system_prompt: Option<String>,
    /// True where it is left out.
    is_active: Option<bool>,
    /// Makes a session of each call and fetches its recording; false where it is left out.
    fetch_recordings: Option<bool>,
    /// Makes a session of each call and analyses its transcript; false where it is left out.
    analyze_calls: Option<bool>,
}

/// What changes; null empties a field, what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ClientChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    phone_number: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    profession: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    voice_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    voice_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 50_000)]
    system_prompt: Option<Option<String>>,
    /// True brings back a deleted client.
    is_active: Option<bool>,
    fetch_recordings: Option<bool>,
    analyze_calls: Option<bool>,
}

impl From<Client> for ClientShape {
    fn from(client: Client) -> Self {
        Self {
            id: client.id,
            name: client.name,
            phone_number: client.phone_number,
            profession: client.profession,
            voice_id: client.voice_id,
            voice_name: client.voice_name,
            system_prompt: client.system_prompt,
            is_active: client.is_active,
            fetch_recordings: client.fetch_recordings,
            analyze_calls: client.analyze_calls,
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}

impl NewClient {
    /// The draft of a client, or every field that is wrong.
    pub fn checked(self) -> Result<Draft, ApiError> {
        let mut checks = Checks::default();
        let draft = Draft {
            name: checks.name("name", &self.name),
            phone_number: checks.phone_number("phone_number", self.phone_number),
            profession: checks.text("profession", self.profession, MAX_NAME_CHARS),
            voice_id: checks.text("voice_id", self.voice_id, MAX_NAME_CHARS),
            voice_name: checks.text("voice_name", self.voice_name, MAX_NAME_CHARS),
            system_prompt: checks.text("system_prompt", self.system_prompt, MAX_LONG_TEXT_CHARS),
            is_active: self.is_active.unwrap_or(true),
            fetch_recordings: self.fetch_recordings.unwrap_or(false),
            analyze_calls: self.analyze_calls.unwrap_or(false),
        };
        checks.finish().map(|()| draft)
    }
}

impl ClientChange {
    /// The change, or every field that is wrong.
    pub fn checked(self) -> Result<Change, ApiError> {
        let mut checks = Checks::default();
        let mut text = |field: &str, value: Option<Option<String>>, max_chars: usize| {
            value.map(|value| checks.text(field, value, max_chars))
        };
        let profession = text("profession", self.profession, MAX_NAME_CHARS);
        let voice_id = text("voice_id", self.voice_id, MAX_NAME_CHARS);
        let voice_name = text("voice_name", self.voice_name, MAX_NAME_CHARS);
        let system_prompt = text("system_prompt", self.system_prompt, MAX_LONG_TEXT_CHARS);
        let change = Change {
            name: checks.name_change("name", self.name),
            phone_number: self
                .phone_number
                .map(|number| checks.phone_number("phone_number", number)),
            profession,
            voice_id,
            voice_name,
            system_prompt,
            is_active: self.is_active,
            fetch_recordings: self.fetch_recordings,
            analyze_calls: self.analyze_calls,
        };
        checks.finish().map(|()| change)
    }
}

/// The names of the fields that change.
pub fn changed(change: &Change) -> Vec<&'static str> {
    given(&[
        ("name", change.name.is_some()),
        ("phone_number", change.phone_number.is_some()),
        ("profession", change.profession.is_some()),
        ("voice_id", change.voice_id.is_some()),
        ("voice_name", change.voice_name.is_some()),
        ("system_prompt", change.system_prompt.is_some()),
        ("is_active", change.is_active.is_some()),
        ("fetch_recordings", change.fetch_recordings.is_some()),
        ("analyze_calls", change.analyze_calls.is_some()),
    ])
}
