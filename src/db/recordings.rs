//! Recordings.

use jiff::Timestamp;

use super::Tx;
use super::timeline::LockedSession;
use crate::events::RecordingFailed;
use crate::ids::{AccountId, RecordingId, SessionId};

/// A recording as it is stored.
#[derive(Clone, Debug)]
pub struct Recording {
    pub account_id: AccountId,
    pub id: RecordingId,
    pub session_id: SessionId,
    /// Key in the object store; of server-made parts only.
    pub object_key: String,
    /// Place in the session, from 0, in the order of upload.
    pub position: i32,
    pub file_name: Option<String>,
    pub content_type: String,
    pub size_bytes: i64,
    pub sha256: Vec<u8>,
    /// `uploaded`, `stored`, `failed` or `erased`.
    pub state: String,
    /// Counts the runs of its check, from 1.
    pub run: i32,
    pub late: bool,
    pub duration_ms: Option<i64>,
    pub channels: Option<i32>,
    pub sample_rate_hz: Option<i32>,
    pub created_at: Timestamp,
}

/// A finished upload.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    pub recording_id: RecordingId,
    pub object_key: &'a str,
    pub file_name: Option<&'a str>,
    pub content_type: &'a str,
    pub size_bytes: i64,
    pub sha256: [u8; 32],
    /// The run of its first check.
    pub run: i32,
    pub late: bool,
}

/// What decoding found.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    pub duration_ms: i64,
    pub channels: i32,
    pub sample_rate_hz: i32,
}

/// Adds a recording at the end of a locked session.
pub async fn insert(
    tx: &mut Tx,
    session: &LockedSession,
    upload: &Upload<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into recordings (account_id, id, session_id, object_key, position, file_name,
            content_type, size_bytes, sha256, late, run)
        select $1, $2, $3, $4, count(*)::int, $5, $6, $7, $8, $9, $10::int
        from recordings where account_id = $1 and session_id = $3",
        session.account_id.0,
        upload.recording_id.0,
        session.session_id.0,
        upload.object_key,
        upload.file_name,
        upload.content_type,
        upload.size_bytes,
        upload.sha256.as_slice(),
        upload.late,
        upload.run,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

pub async fn get(tx: &mut Tx, id: RecordingId) -> Result<Option<Recording>, sqlx::Error> {
    sqlx::query_as!(
        Recording,
        r#"select account_id as "account_id: AccountId", id as "id: RecordingId",
            session_id as "session_id: SessionId", object_key, position, file_name, content_type,
            size_bytes, sha256, state, run, late, duration_ms, channels, sample_rate_hz, created_at
        from recordings where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The recordings of a session in the order of upload.
pub async fn of_session(tx: &mut Tx, session_id: SessionId) -> Result<Vec<Recording>, sqlx::Error> {
    sqlx::query_as!(
        Recording,
        r#"select account_id as "account_id: AccountId", id as "id: RecordingId",
            session_id as "session_id: SessionId", object_key, position, file_name, content_type,
            size_bytes, sha256, state, run, late, duration_ms, channels, sample_rate_hz, created_at
        from recordings where session_id = $1 order by position"#,
        session_id.0,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Recordings of a session that stand after a place in it, in the order of upload.
pub async fn page(
    tx: &mut Tx,
    session_id: SessionId,
    after: Option<i32>,
    limit: i64,
) -> Result<Vec<Recording>, sqlx::Error> {
    sqlx::query_as!(
        Recording,
        r#"select account_id as "account_id: AccountId", id as "id: RecordingId",
            session_id as "session_id: SessionId", object_key, position, file_name, content_type,
            size_bytes, sha256, state, run, late, duration_ms, channels, sample_rate_hz, created_at
        from recordings where session_id = $1 and ($2::int is null or position > $2)
        order by position limit $3"#,
        session_id.0,
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Marks a recording stored; the first result stands. Answers whether this was it.
pub async fn mark_stored(
    tx: &mut Tx,
    account_id: AccountId,
    id: RecordingId,
    probed: Probed,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update recordings set state = 'stored', duration_ms = $3, channels = $4,
            sample_rate_hz = $5, updated_at = clock_timestamp()
        where account_id = $1 and id = $2 and state not in ('stored', 'erased')",
        account_id.0,
        id.0,
        probed.duration_ms,
        probed.channels,
        probed.sample_rate_hz,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Marks the run of a check failed, unless a newer run has begun.
pub async fn mark_failed(
    tx: &mut Tx,
    account_id: AccountId,
    failed: &RecordingFailed,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update recordings set state = 'failed', updated_at = clock_timestamp()
        where account_id = $1 and id = $2 and run = $3 and state = 'uploaded'",
        account_id.0,
        failed.recording_id.0,
        failed.run,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Begins the next run of a failed check; answers its number, or `None` if it has not failed.
pub async fn retry(
    tx: &mut Tx,
    account_id: AccountId,
    id: RecordingId,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "update recordings set state = 'uploaded', run = run + 1, updated_at = clock_timestamp()
        where account_id = $1 and id = $2 and state = 'failed' returning run",
        account_id.0,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Claims recordings whose check was due before `before` and that nobody has checked, oldest first.
///
/// They count as touched now, so that the next call does not claim them again.
pub async fn claim_unchecked(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Recording>, sqlx::Error> {
    sqlx::query_as!(
        Recording,
        r#"update recordings set updated_at = clock_timestamp()
        where (account_id, id) in (
            select account_id, id from recordings where state = 'uploaded' and updated_at < $1
            order by updated_at limit $2 for update skip locked
        )
        returning account_id as "account_id: AccountId", id as "id: RecordingId",
            session_id as "session_id: SessionId", object_key, position, file_name, content_type,
            size_bytes, sha256, state, run, late, duration_ms, channels, sample_rate_hz, created_at"#,
        jiff_sqlx::Timestamp::from(before) as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
