//! Shapes that several resources answer with.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::db::sessions::Session;
use crate::db::users::User;
use crate::ids::{AccountId, CustomerId, SessionId, UserId};
use crate::session::{Stages, Status};

/// A person who signs in, as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserShape {
    pub id: UserId,
    pub email: String,
    pub name: String,
    /// `counselor`, `manager` or `admin`.
    pub role: String,
    pub clinic_id: Option<AccountId>,
    pub is_active: bool,
    pub oauth_provider: Option<String>,
    pub created_at: Timestamp,
}

impl From<User> for UserShape {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            clinic_id: user.clinic_id,
            is_active: user.is_active,
            oauth_provider: user.oauth_provider,
            created_at: user.created_at,
        }
    }
}

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
            customer_id: None,
            counselor_id: session.owner_id,
            metadata: session.metadata,
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
    #[schema(value_type = Option<Object>)]
    pub customer: Option<Value>,
    pub counselor: Option<Person>,
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
