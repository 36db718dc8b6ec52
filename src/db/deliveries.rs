//! `delivery_failures`: how earlier deliveries of a message to a handler ended.
//!
//! Only messages that did not succeed at once have a row.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::Tx;

/// Names a message and who handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub handler: &'static str,
    /// When the stream was made: sequences start again with a new stream.
    pub stream_created_at: Timestamp,
    pub stream_sequence: i64,
}

/// What is recorded of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub retries: i32,
    /// Since the first time that it was too early.
    pub waiting: Option<Duration>,
    /// The last delivery whose end was recorded.
    pub explained_through: i64,
    /// Runs alone begun since then.
    pub alone_runs: i32,
}

/// What a recorded end adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Retry,
    NotYet,
    /// Explained and not counted: a stop, an outage.
    Uncounted,
}

pub async fn find(tx: &mut Tx, key: Key) -> Result<Option<Record>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select retries, explained_through, alone_runs,
            extract(epoch from clock_timestamp() - waiting_since)::float8 as waiting_s
        from delivery_failures
        where handler = $1 and stream_created_at = $2 and stream_sequence = $3"#,
        key.handler,
        key.stream_created_at.to_sqlx() as _,
        key.stream_sequence,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Record {
        retries: row.retries,
        // A clock set back would make it negative.
        waiting: row
            .waiting_s
            .map(|s| Duration::try_from_secs_f64(s).unwrap_or_default()),
        explained_through: row.explained_through,
        alone_runs: row.alone_runs,
    }))
}

/// Records how delivery number `delivered` ended.
pub async fn record_end(
    tx: &mut Tx,
    key: Key,
    delivered: i64,
    end: End,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into delivery_failures as f
            (handler, stream_created_at, stream_sequence, retries, waiting_since, explained_through)
        values ($1, $2, $3, $4, case when $5 then clock_timestamp() end, $6)
        on conflict on constraint delivery_failures_pkey do update set
            retries = f.retries + excluded.retries,
            waiting_since = coalesce(f.waiting_since, excluded.waiting_since),
            explained_through = greatest(f.explained_through, excluded.explained_through),
            alone_runs = 0,
            updated_at = clock_timestamp()",
        key.handler,
        key.stream_created_at.to_sqlx() as _,
        key.stream_sequence,
        i32::from(end == End::Retry),
        end == End::NotYet,
        delivered,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Records that a run alone begins.
pub async fn begin_alone(tx: &mut Tx, key: Key) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into delivery_failures as f
            (handler, stream_created_at, stream_sequence, alone_runs)
        values ($1, $2, $3, 1)
        on conflict on constraint delivery_failures_pkey do update set
            alone_runs = f.alone_runs + 1, updated_at = clock_timestamp()",
        key.handler,
        key.stream_created_at.to_sqlx() as _,
        key.stream_sequence,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets a message that is settled.
pub async fn forget(tx: &mut Tx, key: Key) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from delivery_failures
        where handler = $1 and stream_created_at = $2 and stream_sequence = $3",
        key.handler,
        key.stream_created_at.to_sqlx() as _,
        key.stream_sequence,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes what nobody asked for since `before`: the rest of messages that left the stream meanwhile.
pub async fn sweep(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        "delete from delivery_failures where updated_at < $1",
        before.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(swept.rows_affected())
}
