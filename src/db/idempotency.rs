//! Answers that are given again: `Idempotency-Key` of the commands.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use crate::ids::UserId;

/// The answer to a request that was made before.
#[derive(Clone, Debug)]
pub struct Answer {
    /// SHA-256 of the request's body.
    pub request_sha256: Vec<u8>,
    pub status: i16,
    pub body: Value,
}

/// Takes the principal's key for this transaction; `false` while another transaction has it.
pub async fn try_lock(tx: &mut Tx, path: &str, key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(
            hashtextextended(app_user()::text || ' ' || $1 || ' ' || $2, 0)) as "locked!""#,
        path,
        key,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The answer that was given under the principal's key.
pub async fn find(tx: &mut Tx, path: &str, key: &str) -> Result<Option<Answer>, sqlx::Error> {
    sqlx::query_as!(
        Answer,
        "select request_sha256, status, body from idempotency_keys
        where user_id = app_user() and path = $1 and key = $2",
        path,
        key,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Keeps an answer, in the transaction of the effect.
pub async fn insert(
    tx: &mut Tx,
    path: &str,
    key: &str,
    answer: &Answer,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into idempotency_keys (account_id, user_id, path, key, request_sha256, status, body)
        values (app_account(), app_user(), $1, $2, $3, $4, $5)",
        path,
        key,
        answer.request_sha256,
        answer.status,
        answer.body,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Keeps that a registration has made this user, in the transaction of the effect.
pub async fn keep_registration(
    tx: &mut Tx,
    user: UserId,
    key: &str,
    request: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_keep_registration($1, $2, $3)::text as "done""#,
        user.0,
        key,
        request,
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// The hash of the registration that has made the user with this address under this key.
pub async fn find_registration(
    tx: &mut Tx,
    email: &str,
    key: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("select auth_find_registration($1, $2)", email, key)
        .fetch_one(&mut **tx)
        .await
}

/// Forgets answers older than `before`; answers how many.
pub async fn delete_before(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "delete from idempotency_keys where created_at < $1",
        jiff_sqlx::Timestamp::from(before) as _,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected())
}
