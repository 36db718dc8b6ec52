//! Recordings that are to be fetched (`recording_fetches`), until they are recordings.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::timeline::LockedSession;
use crate::events::{RecordingFailed, RecordingRequested};
use crate::ids::{AccountId, RecordingId, SessionId};

/// A recording that is to be fetched.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub account_id: AccountId,
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    /// `None` once it was fetched.
    pub url: Option<String>,
    /// `requested`, `fetched` or `failed`.
    pub state: String,
    pub run: i32,
}

pub async fn get(tx: &mut Tx, id: RecordingId) -> Result<Option<Fetch>, sqlx::Error> {
    sqlx::query_as!(
        Fetch,
        r#"select account_id as "account_id: AccountId", session_id as "session_id: SessionId",
            recording_id as "recording_id: RecordingId", url, state, run
        from recording_fetches where recording_id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Begins the upload that a fetch is, on behalf of the session's owner; `false` where the session is gone.
pub async fn begin_upload(
    tx: &mut Tx,
    id: Uuid,
    fetch: &Fetch,
    object_key: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "insert into uploads (account_id, id, session_id, user_id, recording_id, object_key)
        select s.account_id, $2, s.id, s.owner_id, $4, $5
        from sessions s where s.account_id = $1 and s.id = $3",
        fetch.account_id.0,
        id,
        fetch.session_id.0,
        fetch.recording_id.0,
        object_key,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Marks a recording fetched and forgets its address; answers whether it was still to be fetched.
pub async fn finish(tx: &mut Tx, account: AccountId, id: RecordingId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update recording_fetches set state = 'fetched', url = null, updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and state <> 'fetched'",
        account.0,
        id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Marks the run of a fetch failed, unless a newer run has begun.
pub async fn mark_failed(
    tx: &mut Tx,
    account: AccountId,
    failed: &RecordingFailed,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recording_fetches set state = 'failed', updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and run = $3 and state = 'requested'",
        account.0,
        failed.recording_id.0,
        failed.run,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Begins the next run of each fetch of a session that failed.
pub async fn retry(
    tx: &mut Tx,
    session: &LockedSession,
) -> Result<Vec<RecordingRequested>, sqlx::Error> {
    sqlx::query_as!(
        RecordingRequested,
        r#"update recording_fetches set state = 'requested', run = run + 1, updated_at = clock_timestamp()
        where account_id = $1 and session_id = $2 and state = 'failed'
        returning session_id as "session_id: SessionId", recording_id as "recording_id: RecordingId", run"#,
        session.account_id.0,
        session.session_id.0,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Claims fetches that have waited since before `before`: they are to be asked for again.
pub async fn claim_unfinished(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<RecordingRequested>, sqlx::Error> {
    sqlx::query_as!(
        RecordingRequested,
        r#"update recording_fetches set updated_at = clock_timestamp()
        where (account_id, recording_id) in (
            select account_id, recording_id from recording_fetches
            where state = 'requested' and updated_at < $1
            order by updated_at limit $2 for update skip locked
        )
        returning session_id as "session_id: SessionId", recording_id as "recording_id: RecordingId", run"#,
        jiff_sqlx::Timestamp::from(before) as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
