//! Messages that carry what is erased (`erasure_messages`), until they are destroyed.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::{Work, count};
use crate::bus::Extent;
use crate::db::Tx;
use crate::db::erasure_sessions::Destroyed;

/// Messages by what was found out about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// They had left the stream before.
    pub trimmed: u64,
    /// Their bytes were gone: destroyed by another erasure, or with an older stream of that name.
    pub gone: u64,
}

/// Notes messages that an erasure is to destroy: when their stream was made, and their sequence.
pub(super) async fn note(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    places: &[(Timestamp, i64)],
) -> Result<(), sqlx::Error> {
    let created: Vec<_> = places.iter().map(|place| place.0.to_sqlx()).collect();
    let sequences: Vec<_> = places.iter().map(|place| place.1).collect();
    sqlx::query!(
        "insert into erasure_messages (account_id, erasure_id, stream, stream_created_at, stream_sequence)
        select distinct $1::uuid, $2::uuid, $3::text, p.* from unnest($4::timestamptz[], $5::bigint[]) p
        on conflict on constraint erasure_messages_pkey do nothing",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        &created as _,
        &sequences,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes messages that were found in a stream.
pub async fn find_in(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    extent: Extent,
    sequences: &[u64],
) -> Result<(), sqlx::Error> {
    let places: Vec<_> = sequences
        .iter()
        .filter_map(|sequence| Some((extent.created_at, i64::try_from(*sequence).ok()?)))
        .collect();
    note(tx, work, stream, &places).await
}

/// Finds out which of the noted messages are still in the stream. Called while an erasure holds the
/// messages ([`Messages::Sought`](crate::db::jobs::Messages)): what is there then stays until it is
/// destroyed.
pub async fn sort_out(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    extent: Extent,
) -> Result<Sorted, sqlx::Error> {
    // The broker tells times in nanoseconds, and Postgres keeps microseconds.
    let gone = sqlx::query!(
        "delete from erasure_messages m where account_id = $1 and erasure_id = $2 and stream = $3
            and (stream_created_at < $4::timestamptz - interval '1 ms'
                or exists (select from destroyed_messages d where d.stream = m.stream
                    and d.stream_created_at = m.stream_created_at and d.stream_sequence = m.stream_sequence))",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        extent.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?
    .rows_affected();
    let trimmed = sqlx::query!(
        "update erasure_messages set state = 'trimmed' where account_id = $1 and erasure_id = $2
            and stream = $3 and state = 'found' and stream_sequence < $4",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        i64::try_from(extent.first_sequence).unwrap_or(i64::MAX),
    )
    .execute(&mut **tx)
    .await?
    .rows_affected();
    Ok(Sorted { trimmed, gone })
}

/// Messages to be destroyed, up to a sequence, at most `limit`.
pub async fn found(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    up_to: u64,
    limit: i64,
) -> Result<Vec<u64>, sqlx::Error> {
    let sequences = sqlx::query_scalar!(
        "select stream_sequence from erasure_messages where account_id = $1 and erasure_id = $2
            and stream = $3 and state = 'found' and stream_sequence <= $4
        order by stream_sequence limit $5",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        i64::try_from(up_to).unwrap_or(i64::MAX),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(sequences
        .into_iter()
        .filter_map(|sequence| u64::try_from(sequence).ok())
        .collect())
}

/// Notes that messages are destroyed.
pub async fn destroyed(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    sequences: &[u64],
) -> Result<(), sqlx::Error> {
    let sequences: Vec<_> = sequences
        .iter()
        .filter_map(|sequence| i64::try_from(*sequence).ok())
        .collect();
    let gone = sqlx::query!(
        "with gone as (
            delete from erasure_messages where account_id = $1 and erasure_id = $2 and stream = $3
                and state = 'found' and stream_sequence = any ($4)
            returning stream, stream_created_at, stream_sequence
        ), known as (
            insert into destroyed_messages select * from gone on conflict do nothing
        )
        select stream_sequence from gone",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        &sequences,
    )
    .fetch_all(&mut **tx)
    .await?;
    let place = format!("stream {stream}");
    count(tx, work, &[Destroyed::of(&place, "messages", gone.len())]).await
}

/// Forgets trimmed messages whose bytes are gone. A message is in one file with at most `file_bytes` of
/// the stream, so once the stream has held more than that behind it, and all of this has left too, its
/// file is gone.
pub async fn look_at_trimmed(
    tx: &mut Tx,
    work: &Work,
    stream: &str,
    extent: Extent,
    holds_more_than_a_file: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from erasure_messages where account_id = $1 and erasure_id = $2 and stream = $3
            and state = 'trimmed' and (gone_beyond < $5
                or stream_created_at < $4::timestamptz - interval '1 ms')",
        work.account_id.0,
        work.erasure_id.0,
        stream,
        extent.created_at.to_sqlx() as _,
        i64::try_from(extent.first_sequence).unwrap_or(i64::MAX),
    )
    .execute(&mut **tx)
    .await?;
    if holds_more_than_a_file {
        sqlx::query!(
            "update erasure_messages set gone_beyond = $4 where account_id = $1 and erasure_id = $2
                and stream = $3 and state = 'trimmed' and gone_beyond is null",
            work.account_id.0,
            work.erasure_id.0,
            stream,
            i64::try_from(extent.last_sequence).unwrap_or(i64::MAX),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
