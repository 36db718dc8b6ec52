//! The rows of erased calls, and what they count.

use jiff::Timestamp;

use super::messages::note;
use super::{Work, count};
use crate::db::Tx;
use crate::db::erasure_sessions::Destroyed;
use crate::db::rollups::{Hold, apply, lock_days};
use crate::db::rollups_rebuild::CountedRow;
use crate::ids::{CallId, SessionId};
use crate::rollups::Deltas;

const POSTGRES: &str = "postgres";

/// Sessions that calls of an erasure became, at most `limit`; those that are erased are left out.
pub async fn sessions(tx: &mut Tx, work: &Work, limit: i64) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select s.id as "id: SessionId" from calls c
        join sessions s on s.account_id = c.account_id and s.id = c.session_id
        where c.account_id = $1 and c.client_id = $2 and ($3::uuid is null or c.id = $3)
            and s.erased_at is null
        limit $4"#,
        work.account_id.0,
        work.subject.client_id.0,
        work.subject.call_id.map(|id| id.0),
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Removes at most `limit` calls, takes them out of the rollups and notes their messages; answers how
/// many calls that were.
pub async fn remove(tx: &mut Tx, work: &Work, limit: i64) -> Result<usize, sqlx::Error> {
    let (account, client) = (work.account_id, work.subject.client_id);
    let keys = keys(tx, work, limit).await?;
    if keys.is_empty() {
        return Ok(0);
    }
    lock_days(tx, keys.iter().map(|key| key.1), Hold::Shared).await?;
    let ids: Vec<_> = keys.iter().map(|key| key.0.0).collect();
    let rows = sqlx::query!(
        r#"with locked as (
            select id from calls where account_id = $1 and client_id = $2 and id = any ($3)
            order by id for update
        )
        delete from calls c using locked
        where c.account_id = $1 and c.client_id = $2 and c.id = locked.id
        returning c.counted_at as "counted_at: jiff_sqlx::Timestamp", c.duration_ms, c.success, c.ended_reason,
            c.sentiment, c.stt_ms, c.llm_ms, c.tts_ms,
            c.stream_created_at as "stream_created_at: jiff_sqlx::Timestamp", c.stream_sequences"#,
        account.0,
        client.0,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let removed = rows.len();
    let (mut deltas, mut places) = (Deltas::default(), Vec::new());
    for row in rows {
        let created_at = row.stream_created_at.to_jiff();
        places.extend(
            row.stream_sequences
                .iter()
                .map(|sequence| (created_at, *sequence)),
        );
        let counted = CountedRow {
            counted_at: row.counted_at,
            duration_ms: row.duration_ms,
            success: row.success,
            ended_reason: row.ended_reason,
            sentiment: row.sentiment,
            stt_ms: row.stt_ms,
            llm_ms: row.llm_ms,
            tts_ms: row.tts_ms,
        };
        deltas.subtract(&counted.counted(account, client)?);
    }
    let conflicts = remove_conflicts(tx, work, &ids, &mut places).await?;
    apply(tx, &deltas).await?;
    note(tx, work, crate::bus::CALLS, &places).await?;
    let destroyed = [
        Destroyed::of(POSTGRES, "calls", removed),
        Destroyed::of(POSTGRES, "conflicting calls", conflicts),
    ];
    count(tx, work, &destroyed).await?;
    // Another process may have removed some meanwhile; there may be more all the same.
    Ok(keys.len())
}

/// Removes the rollups of a client that has no calls any more: nothing, unless they were not exact.
pub async fn remove_leftovers(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    if work.subject.call_id.is_some() {
        return Ok(());
    }
    sqlx::query!(
        "with counts as (delete from call_rollups where account_id = $1 and client_id = $2)
        delete from call_latencies where account_id = $1 and client_id = $2",
        work.account_id.0,
        work.subject.client_id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The next calls that go, and where they count.
async fn keys(
    tx: &mut Tx,
    work: &Work,
    limit: i64,
) -> Result<Vec<(CallId, Timestamp)>, sqlx::Error> {
    let (account, client) = (work.account_id.0, work.subject.client_id.0);
    // Two statements, because their plans differ.
    if let Some(call) = work.subject.call_id {
        let row = sqlx::query!(
            r#"select counted_at as "counted_at: jiff_sqlx::Timestamp" from calls
            where account_id = $1 and client_id = $2 and id = $3"#,
            account,
            client,
            call.0,
        )
        .fetch_optional(&mut **tx)
        .await?;
        return Ok(row
            .map(|row| (call, row.counted_at.to_jiff()))
            .into_iter()
            .collect());
    }
    let rows = sqlx::query!(
        r#"select id as "id: CallId", counted_at as "counted_at: jiff_sqlx::Timestamp" from calls
        where account_id = $1 and client_id = $2 order by counted_at desc, id desc limit $3"#,
        account,
        client,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.counted_at.to_jiff()))
        .collect())
}

async fn remove_conflicts(
    tx: &mut Tx,
    work: &Work,
    ids: &[uuid::Uuid],
    places: &mut Vec<(Timestamp, i64)>,
) -> Result<usize, sqlx::Error> {
    let rows = sqlx::query!(
        r#"delete from call_conflicts where account_id = $1 and client_id = $2 and call_id = any ($3)
        returning stream_created_at as "stream_created_at: jiff_sqlx::Timestamp", stream_sequences"#,
        work.account_id.0,
        work.subject.client_id.0,
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let created_at = row.stream_created_at.to_jiff();
        places.extend(
            row.stream_sequences
                .iter()
                .map(|sequence| (created_at, *sequence)),
        );
    }
    Ok(rows.len())
}
