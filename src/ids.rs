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
    /// A call, as its agent or the ingress named it: unique within its client.
    CallId;
    /// An erasure of a session, a customer, a client or a call.
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

impl CallId {
    /// The namespace of ids of calls whose agent named none (UUIDv5).
    const NAMESPACE: Uuid = Uuid::from_u128(0x1c61_9f3e_52ab_5d08_8f60_27c4_91d3_ca11);

    /// The id of a call that was sent under an `Idempotency-Key`, and on this line of a batch.
    ///
    /// The same client, key and line give the same id, so a repeat is told without asking anybody.
    pub fn derived(client: ClientId, key: &str, line: Option<usize>) -> Self {
        let mut name = Vec::with_capacity(16 + key.len() + 21);
        name.extend_from_slice(client.0.as_bytes());
        if let Some(line) = line {
            name.extend_from_slice(line.to_string().as_bytes());
        }
        name.push(b'/');
        name.extend_from_slice(key.as_bytes());
        Self(Uuid::new_v5(&Self::NAMESPACE, &name))
    }
}

impl SessionId {
    /// The namespace of sessions that calls become (UUIDv5).
    const OF_CALLS: Uuid = Uuid::from_u128(0x5b0e_44d7_9c12_5f6a_b3a8_60d1_e72c_5e55);

    /// The session that a call becomes, if its client's settings say so.
    pub fn of_call(client: ClientId, call: CallId) -> Self {
        let name = [*client.0.as_bytes(), *call.0.as_bytes()].concat();
        Self(Uuid::new_v5(&Self::OF_CALLS, &name))
    }
}

impl RecordingId {
    /// The namespace of recordings of sessions that calls become (UUIDv5).
    const OF_CALLS: Uuid = Uuid::from_u128(0xe30d_51c2_4b7a_5f19_8c5d_92ab_07f4_3ec0);

    /// The one recording of the call that a session was made of, whether or not it is fetched.
    pub fn of_call(session: SessionId) -> Self {
        Self(Uuid::new_v5(&Self::OF_CALLS, session.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_calls_are_told_apart_by_client_key_and_line() {
        let (client, other) = (ClientId::generate(), ClientId::generate());
        let id = CallId::derived(client, "1/k", None);
        assert_eq!(id, CallId::derived(client, "1/k", None));
        assert_ne!(id, CallId::derived(other, "1/k", None));
        assert_ne!(id, CallId::derived(client, "k", Some(1)));
        assert_ne!(
            CallId::derived(client, "k", Some(1)),
            CallId::derived(client, "k", Some(2))
        );
        assert_ne!(
            SessionId::of_call(client, id),
            SessionId::of_call(other, id)
        );
    }

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
