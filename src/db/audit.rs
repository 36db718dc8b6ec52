//! The audit log (`audit_log`): who read or changed what. Rows are only added.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use crate::ids::{AccountId, ApiKeyId, AuditId, UserId};

/// What was done to an object.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The account of the object.
    pub account_id: AccountId,
    pub key_id: Option<ApiKeyId>,
    /// `<object>.<verb>`, for example `transcript.read`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: Option<Uuid>,
    pub address: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    /// Names of fields and counts; never what people said or wrote.
    pub details: Value,
}

/// Where a page of the log begins: after this entry, newest first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Position {
    pub at: Timestamp,
    pub id: AuditId,
}

/// Which entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    pub action: Option<&'a str>,
    pub actor_id: Option<UserId>,
    pub object_id: Option<Uuid>,
    /// Included.
    pub from: Option<Timestamp>,
    /// Not included.
    pub to: Option<Timestamp>,
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub struct Logged {
    pub account_id: AccountId,
    pub id: AuditId,
    pub at: Timestamp,
    /// Null where a worker or an operator acted.
    pub actor_id: Option<UserId>,
    pub key_id: Option<ApiKeyId>,
    pub action: String,
    pub object_kind: String,
    pub object_id: Option<Uuid>,
    pub address: Option<String>,
    pub trace_id: Option<String>,
    pub details: Value,
}

struct Row {
    account_id: AccountId,
    id: AuditId,
    at: jiff_sqlx::Timestamp,
    actor_id: Option<UserId>,
    key_id: Option<ApiKeyId>,
    action: String,
    object_kind: String,
    object_id: Option<Uuid>,
    address: Option<String>,
    trace_id: Option<String>,
    details: Value,
}

impl From<Row> for Logged {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            id: row.id,
            at: row.at.into(),
            actor_id: row.actor_id,
            key_id: row.key_id,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object_id,
            address: row.address,
            trace_id: row.trace_id,
            details: row.details,
        }
    }
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

/// One page of the log, newest first, from what `$from` says, which an index answers.
macro_rules! page_of {
    ($from:literal, $tx:expr, $filter:expr, $position:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select account_id as "account_id!: AccountId", id as "id!: AuditId", at as "at!",
                actor_id as "actor_id: UserId", key_id as "key_id: ApiKeyId", action as "action!",
                object_kind as "object_kind!", object_id, address, trace_id, details as "details!"
            from "#
                + $from
                + r#" where ($1::text is null or action = $1)
                and ($2::uuid is null or actor_id = $2)
                and ($3::uuid is null or object_id = $3)
                and ($4::timestamptz is null or at >= $4)
                and ($5::timestamptz is null or at < $5)
                and ($6::timestamptz is null or (at, id) < ($6, $7))
            order by at desc, id desc limit $8"#,
            $filter.action,
            $filter.actor_id.map(|id| id.0),
            $filter.object_id,
            $filter.from.map(jiff_sqlx::Timestamp::from) as _,
            $filter.to.map(jiff_sqlx::Timestamp::from) as _,
            $position.map(|position| jiff_sqlx::Timestamp::from(position.at)) as _,
            $position.map(|position| position.id.0),
            $limit,
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The entries that the principal may read, newest first, after `position`.
pub async fn list(
    tx: &mut Tx,
    filter: Filter<'_>,
    position: Option<Position>,
    limit: i64,
) -> Result<Vec<Logged>, sqlx::Error> {
    let rows = if super::sees_everywhere(tx).await? {
        page_of!("audit_log", tx, filter, position, limit)
    } else {
        page_of!(
            "(select l.* from unnest(app_accounts()) a (account), lateral (
                select * from audit_log where account_id = a.account
                    and ($1::text is null or action = $1)
                    and ($2::uuid is null or actor_id = $2)
                    and ($3::uuid is null or object_id = $3)
                    and ($4::timestamptz is null or at >= $4)
                    and ($5::timestamptz is null or at < $5)
                    and ($6::timestamptz is null or (at, id) < ($6, $7))
                order by at desc, id desc limit $8) l) l",
            tx,
            filter,
            position,
            limit
        )
    };
    Ok(rows?.into_iter().map(Logged::from).collect())
}

/// The names of those of these users who stand in the log that the principal may read.
pub async fn actors(tx: &mut Tx, ids: &[Uuid]) -> Result<HashMap<UserId, String>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id as "id!: UserId", name as "name!" from audit_actors($1)"#,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}
