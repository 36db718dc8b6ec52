//! What handlers write into the audit log.

use serde_json::Value;
use uuid::Uuid;

use super::caller::Caller;
use super::problem::ApiError;
use crate::db::Tx;
use crate::db::audit::{self, Entry};
use crate::ids::{AccountId, CallId, RecordingId, SessionId};

/// Something that is read or changed.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// The account it belongs to.
    pub account_id: AccountId,
    /// For example `session`.
    pub kind: &'static str,
    pub id: Uuid,
}

impl Object {
    /// A session; its transcripts and analyses are noted as the session's.
    pub const fn session(account_id: AccountId, id: SessionId) -> Self {
        Self {
            account_id,
            kind: "session",
            id: id.0,
        }
    }

    /// A call of a client.
    pub const fn call(account_id: AccountId, id: CallId) -> Self {
        Self {
            account_id,
            kind: "call",
            id: id.0,
        }
    }

    /// A recording of a session.
    pub const fn recording(account_id: AccountId, id: RecordingId) -> Self {
        Self {
            account_id,
            kind: "recording",
            id: id.0,
        }
    }
}

/// Notes that the caller did `action` to `object`, in the transaction in which it happens.
///
/// `details` holds names of fields and counts, never contents.
pub async fn note(
    tx: &mut Tx,
    caller: &Caller,
    action: &'static str,
    object: Object,
    details: Value,
) -> Result<(), ApiError> {
    let address = caller.address.map(|address| address.to_string());
    let entry = Entry {
        account_id: object.account_id,
        key_id: caller.key_id(),
        action,
        object_kind: object.kind,
        object_id: Some(object.id),
        address: address.as_deref(),
        trace_id: Some(&caller.trace.trace_id()),
        details,
    };
    Ok(audit::add(tx, entry).await?)
}
