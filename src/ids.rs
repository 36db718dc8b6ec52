//! Typed identifiers.
//!
//! Every id is a UUID. Ids made here are version 7, so that they sort by the time they were made;
//! ids of facts are version 5, derived from the fact, so that publishing a fact twice gives one id.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            sqlx::Type, JsonSchema, ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id (UUIDv7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

typed_id! {
    /// A tenant: a clinic, or a person's own account.
    AccountId;
    /// A person who signs in.
    UserId;
    /// A sign-in of a person; ends with a logout.
    SignInId;
    /// A key of an agent or a program.
    ApiKeyId;
    /// The person in a session.
    CustomerId;
    /// A business that an account answers for.
    ClientId;
    /// An erasure of a session or a customer.
    ErasureId;
    /// An entry of the audit log.
    AuditId;
    /// A conversation.
    SessionId;
    /// One uploaded recording of a session.
    RecordingId;
    /// A fact; derived from it ([`EventId::derived`]).
    EventId;
    /// A filed dead letter.
    DeadLetterId;
}

impl EventId {
    /// The namespace of fact ids (UUIDv5).
    const NAMESPACE: Uuid = Uuid::from_u128(0x7d1f_2b54_6c0e_5a39_9d43_1f0c_aa5e_c0de);

    /// The id of the fact called `name` that is told apart by `key`, for example
    /// `("recording.uploaded", "<recording id>/1")`.
    pub fn derived(name: &str, key: &str) -> Self {
        Self(Uuid::new_v5(
            &Self::NAMESPACE,
            format!("{name}/{key}").as_bytes(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_stable_and_told_apart() {
        let id = EventId::derived("recording.uploaded", "a/1");
        assert_eq!(id, EventId::derived("recording.uploaded", "a/1"));
        assert_ne!(id, EventId::derived("recording.uploaded", "a/2"));
        assert_ne!(id, EventId::derived("recording.stored", "a/1"));
        assert_eq!(id.as_uuid().get_version_num(), 5);
    }

    #[test]
    fn fresh_ids_sort_by_time() {
        let (a, b) = (SessionId::generate(), SessionId::generate());
        assert!(a < b);
    }
}
