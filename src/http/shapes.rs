//! Shapes that several resources answer with.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::db::sessions::Session;
use crate::ids::{CustomerId, SessionId, UserId};
use crate::policy::Consent;
use crate::session::{Stages, Status};

/// A session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionShape {
    pub id: SessionId,
    /// The same as `id`.
    pub session_id: SessionId,
    /// Address of the video room; null without one.
    pub room_url: Option<String>,
    pub status: Status,
    pub title: Option<String>,
    pub notes: Option<String>,
    pub customer_id: Option<CustomerId>,
    pub counselor_id: UserId,
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// JSON Schema of the fields that analyses fill; null where none are asked for.
    #[schema(value_type = Option<Object>)]
    pub custom_fields_schema: Option<Value>,
    /// What the person in the session agreed to; null where nobody has noted it.
    pub consent: Option<Consent>,
    /// Names to redact, beside the customer's and the counsellor's.
    pub declared_names: Vec<String>,
    pub stages: Stages,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl From<Session> for SessionShape {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            session_id: session.id,
            room_url: None,
            status: session.status,
            title: session.title,
            notes: session.notes,
            customer_id: session.customer_id,
            counselor_id: session.owner_id,
            metadata: session.metadata,
            custom_fields_schema: session.custom_fields_schema,
            consent: session.consent,
            declared_names: session.declared_names,
            stages: session.stages,
            created_at: session.created_at,
            updated_at: session.updated_at,
            started_at: session.started_at,
            ended_at: session.ended_at,
            expires_at: session.expires_at,
        }
    }
}

/// A session with the people in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionDetail {
    #[serde(flatten)]
    pub session: SessionShape,
    /// The person in the session; null where nobody is named.
    pub customer: Option<SessionCustomer>,
    pub counselor: Option<Person>,
}

/// The person in a session, and how to reach them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionCustomer {
    pub id: CustomerId,
    pub name: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
}

/// A name and how to reach it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Person {
    pub id: UserId,
    pub name: String,
    pub email: String,
}

/// The answer to a request that starts a stage.
#[derive(Clone, Debug, Serialize, serde::Deserialize, ToSchema, JsonSchema)]
pub struct Requested {
    /// The generation that is being made, or was made already.
    pub generation: i32,
    /// `running` or `done`.
    pub status: String,
}
