//! Locks of the periodic jobs: of any number of processes, one runs a job at a time. And the lock between
//! those that look for messages in order to destroy them and the one that trims streams.

use super::Tx;

/// Takes the lock of a job until the end of this transaction; `false` while another process has it.
pub async fn try_lock(tx: &mut Tx, job: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('aftercall job ' || $1, 0)) as "locked!""#,
        job,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Who holds the messages of the streams until the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// An erasure looks for them, and writes down which it will destroy. Several may.
    Sought,
    /// The trimmer reads what is written down, and takes the oldest others away.
    Trimmed,
}

/// Waits until nobody holds the messages in the other way: what an erasure has found is still there
/// when it is destroyed, and what is not there is known to be trimmed.
pub async fn hold_messages(tx: &mut Tx, how: Messages) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select case when $1
            then pg_advisory_xact_lock_shared(hashtextextended('aftercall messages', 0))::text
            else pg_advisory_xact_lock(hashtextextended('aftercall messages', 0))::text end as held"#,
        how == Messages::Sought,
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}
