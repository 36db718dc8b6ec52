//! The audit log (`audit_log`): who read or changed what. Rows are only added.

use serde_json::Value;

use super::Tx;
use crate::ids::{AccountId, ApiKeyId, AuditId};

/// What was done to an object.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The account of the object.
    pub account_id: AccountId,
    pub key_id: Option<ApiKeyId>,
    /// `<object>.<verb>`, for example `transcript.read`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: Option<uuid::Uuid>,
    pub address: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    /// Names of fields and counts; never what people said or wrote.
    pub details: Value,
}

/// Adds an entry, in the transaction of what it tells. The actor is the transaction's principal.
pub async fn add(tx: &mut Tx, entry: Entry<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_log
            (account_id, id, actor_id, key_id, action, object_kind, object_id, address, trace_id, details)
        values ($1, $2, nullif(current_setting('app.user', true), '')::uuid, $3, $4, $5, $6, $7, $8, $9)",
        entry.account_id.0,
        AuditId::generate().0,
        entry.key_id.map(|id| id.0),
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.address,
        entry.trace_id,
        entry.details,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
