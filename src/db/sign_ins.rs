//! Sign-ins and their refresh tokens (`sign_ins`, `refresh_tokens`), which know tokens by their hashes.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::Tx;
use crate::ids::{SignInId, UserId};

/// How long what a sign-in gives lasts. Lengths are in whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// Of a refresh token, from when it is given.
    pub token: Duration,
    /// Of the sign-in, however often it is renewed.
    pub sign_in: Duration,
    /// In which a lost answer to a refresh is given once more.
    pub grace: Duration,
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Its successor is valid.
    Renewed { user_id: UserId, sign_in: SignInId },
    /// It was used before, and somebody has used its successor too: the sign-in has ended.
    Reused,
    /// Unknown, expired, signed out, or of somebody who was deactivated.
    Ended,
}

/// Begins a sign-in of a user whose credentials were checked.
pub async fn begin(
    tx: &mut Tx,
    user: UserId,
    sign_in: SignInId,
    token_hash: &[u8; 32],
    lives: Lives,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_sign_in($1, $2, $3, $4, $5)::text as "done""#,
        user.0,
        sign_in.0,
        token_hash,
        seconds(lives.token),
        seconds(lives.sign_in),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Adds a refresh token to a sign-in.
pub async fn add_token(
    tx: &mut Tx,
    sign_in: SignInId,
    token_hash: &[u8; 32],
    lives: Lives,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_add_token($1, $2, $3)::text as "done""#,
        sign_in.0,
        token_hash,
        seconds(lives.token),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Uses a refresh token. The transaction must be committed whatever comes of it.
pub async fn refresh(
    tx: &mut Tx,
    token_hash: &[u8; 32],
    successor_hash: &[u8; 32],
    lives: Lives,
) -> Result<Refreshed, sqlx::Error> {
    let row = sqlx::query!(
        r#"select outcome as "outcome!", user_id as "user_id: UserId", sign_in_id as "sign_in: SignInId"
        from auth_refresh($1, $2, $3, $4)"#,
        token_hash,
        successor_hash,
        seconds(lives.token),
        seconds(lives.grace),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(match (row.outcome.as_str(), row.user_id, row.sign_in) {
        ("renewed" | "repeated", Some(user_id), Some(sign_in)) => {
            Refreshed::Renewed { user_id, sign_in }
        }
        ("reused", ..) => Refreshed::Reused,
        _ => Refreshed::Ended,
    })
}

/// Ends a sign-in, by its id or by a refresh token of it. Repeats change nothing.
pub async fn end(
    tx: &mut Tx,
    sign_in: Option<SignInId>,
    token_hash: Option<&[u8; 32]>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_sign_out($1, $2)::text as "done""#,
        sign_in.map(|id| id.0),
        token_hash.map(<[u8; 32]>::as_slice),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Forgets sign-ins and refresh tokens that ended before `before`; answers how many.
pub async fn sweep(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    let before = before.to_sqlx();
    let tokens = sqlx::query!(
        "delete from refresh_tokens where expires_at < $1",
        before as _
    )
    .execute(&mut **tx)
    .await?;
    let sign_ins = sqlx::query!(
        "delete from sign_ins where least(expires_at, revoked_at) < $1",
        before as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(tokens.rows_affected() + sign_ins.rows_affected())
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
