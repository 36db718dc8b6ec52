//! Locks of the periodic jobs: of any number of processes, one runs a job at a time.

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
