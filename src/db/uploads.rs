//! Uploads in progress: the row that precedes the first byte in the object store.

use std::time::Duration;

use jiff::Timestamp;

use super::Tx;
use crate::ids::{AccountId, RecordingId, SessionId};
use uuid::Uuid;

/// An upload.
#[derive(Clone, Debug)]
pub struct Upload {
    pub id: Uuid,
    pub recording_id: RecordingId,
    pub object_key: String,
    /// Null until the object store has opened the multipart upload.
    pub multipart_id: Option<String>,
    /// `running`, `finished` or `abandoned`.
    pub state: String,
    pub active_at: Timestamp,
}

/// What the keys of a session's recordings begin with. Made of nothing that a client says, and short:
/// the embedded S3 makes file names of keys.
pub fn object_prefix(account: AccountId, session: SessionId) -> String {
    let (account, session) = (account.0.simple(), session.0.simple());
    format!("recordings/{account}/{session}/")
}

/// Begins an upload into a session that the principal sees.
///
/// Unique index `uploads_idempotency_unique` refuses a key that is in use.
pub async fn insert(
    tx: &mut Tx,
    id: Uuid,
    (account_id, session_id): (AccountId, SessionId),
    recording_id: RecordingId,
    object_key: &str,
    idempotency_key: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into uploads
            (account_id, id, session_id, user_id, recording_id, object_key, idempotency_key)
        values ($1, $2, $3, app_user(), $4, $5, $6)",
        account_id.0,
        id,
        session_id.0,
        recording_id.0,
        object_key,
        idempotency_key,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The principal's upload into a session under an idempotency key.
pub async fn by_key(
    tx: &mut Tx,
    session_id: SessionId,
    idempotency_key: &str,
) -> Result<Option<Upload>, sqlx::Error> {
    sqlx::query_as!(
        Upload,
        r#"select id, recording_id as "recording_id: RecordingId", object_key, multipart_id, state, active_at
        from uploads
        where session_id = $1 and user_id = app_user() and idempotency_key = $2 and state <> 'abandoned'"#,
        session_id.0,
        idempotency_key,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Notes the multipart upload of the object store; answers whether the upload is still running.
pub async fn set_multipart(tx: &mut Tx, id: Uuid, multipart_id: &str) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update uploads set multipart_id = $2, active_at = clock_timestamp()
        where id = $1 and state = 'running'",
        id,
        multipart_id,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Notes that bytes still arrive; answers whether the upload is still running.
pub async fn touch(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update uploads set active_at = clock_timestamp() where id = $1 and state = 'running'",
        id,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Finishes an upload; answers whether it was still running.
pub async fn finish(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update uploads set state = 'finished', active_at = clock_timestamp()
        where id = $1 and state = 'running'",
        id,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives an upload up unless it has finished; answers whether it is given up now.
pub async fn abandon(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update uploads set state = 'abandoned' where id = $1 and state <> 'finished'",
        id
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Whether an upload of the principal has become a recording. Its row is kept for a day.
pub async fn is_finished(tx: &mut Tx, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from uploads where id = $1 and state = 'finished') as "is_finished!""#,
        id,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Gives an upload up if it has been silent for so long; answers whether it was.
pub async fn abandon_if_silent(
    tx: &mut Tx,
    id: Uuid,
    silent_for: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update uploads set state = 'abandoned' where id = $1 and state = 'running'
            and active_at < clock_timestamp() - make_interval(secs => $2)",
        id,
        silent_for.as_secs_f64(),
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Gives up uploads that have been silent since `before`, so that none of them can still finish.
pub async fn abandon_silent(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "update uploads set state = 'abandoned' where state = 'running' and active_at < $1",
        jiff_sqlx::Timestamp::from(before) as _,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected())
}

/// Uploads that were given up and whose traces in the object store are to be removed.
pub async fn abandoned(tx: &mut Tx, limit: i64) -> Result<Vec<Upload>, sqlx::Error> {
    sqlx::query_as!(
        Upload,
        r#"select id, recording_id as "recording_id: RecordingId", object_key, multipart_id, state, active_at
        from uploads where state = 'abandoned' order by active_at limit $1 for update skip locked"#,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Forgets an upload whose traces are gone.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from uploads where id = $1", id)
        .execute(&mut **tx)
        .await
        .map(|_| ())
}

/// Forgets uploads that finished before `before`; what they made stays. Answers how many.
pub async fn forget_finished(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "delete from uploads where state = 'finished' and active_at < $1",
        jiff_sqlx::Timestamp::from(before) as _,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected())
}
