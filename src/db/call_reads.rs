//! Calls as they are read: lists, newest first, and single ones.
//!
//! A list walks the index of each client that the principal sees. What no index answers (sentiment,
//! success, text) is for the caller to judge, a bounded number of calls at a time.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Tx;
use crate::ids::{AccountId, CallId, ClientId, SessionId};

/// No call counts before; Postgres knows no time long before it.
pub const FIRST: Timestamp = Timestamp::UNIX_EPOCH;

/// Where a call stands in a list: newest first, then by id and client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub counted_at: Timestamp,
    pub id: CallId,
    pub client_id: ClientId,
}

/// Which calls a list looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    pub client_id: Option<ClientId>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

/// A call that a list looks at.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub account_id: AccountId,
    pub position: Position,
    pub sentiment: String,
    pub success: Option<bool>,
    /// Only where it was asked for, and is still there.
    pub record: Option<String>,
}

/// A call as it is kept.
#[derive(Clone, Debug)]
pub struct Call {
    pub account_id: AccountId,
    pub client_id: ClientId,
    pub id: CallId,
    pub counted_at: Timestamp,
    pub received_at: Timestamp,
    pub direction: Option<String>,
    pub duration_ms: Option<i64>,
    pub success: Option<bool>,
    pub ended_reason: Option<String>,
    pub sentiment: String,
    pub sentiment_by: Option<String>,
    pub stt_ms: Option<f64>,
    pub llm_ms: Option<f64>,
    pub tts_ms: Option<f64>,
    pub client_inactive: bool,
    pub session_id: Option<SessionId>,
    pub record: Option<String>,
    /// How many others came with its id.
    pub conflicts: i64,
}

/// Another body that came with the id of a call.
#[derive(Clone, Debug)]
pub struct Conflict {
    pub received_at: Timestamp,
    pub record: Option<String>,
}

/// How much is read of a list at a time.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    /// Calls of a client that are looked at.
    pub of_each: i64,
    /// Calls of all clients that are answered: what this bounds is memory.
    pub of_all: i64,
    pub with_record: bool,
    pub sentiment: Option<&'a str>,
    pub success: Option<bool>,
}

/// The next part of a list.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// Newest first. The last may be one that does not match, where `has_more`.
    pub calls: Vec<Candidate>,
    /// Whether there are more calls behind the last of these.
    pub has_more: bool,
    /// How many were looked at for them, about.
    pub looked_at: usize,
}

/// The next calls behind `after`, newest first: those of which every client was looked at as far.
pub async fn candidates(
    tx: &mut Tx,
    range: Range,
    after: Option<Position>,
    portion: Portion<'_>,
) -> Result<Candidates, sqlx::Error> {
    let everywhere = super::sees_everywhere(tx).await?;
    let end = Position {
        counted_at: range.to.unwrap_or(Timestamp::MAX),
        id: CallId(Uuid::nil()),
        client_id: ClientId(Uuid::nil()),
    };
    let until = after.map_or(end, |after| after.min(end));
    // One bound at each end, none of them absent, and a limit right on the walk: only so does the index
    // begin and end where the list does, whatever plan is kept. What does not match stays in the database,
    // but for the call where a client's walk has ended.
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id!: AccountId", c.client_id as "client_id!: ClientId",
            c.id as "id!: CallId", c.counted_at as "counted_at!", c.sentiment as "sentiment!", c.success,
            c.record, c.place as "place!"
        from (
            select account_id, id from clients
            where ($1 or account_id = any (app_accounts())) and ($2::uuid is null or id = $2)
        ) k, lateral (
            select *, row_number() over (order by counted_at desc, id desc) as place
            from (
                select account_id, client_id, id, counted_at, sentiment, success,
                    case when $7 then record end as record
                from calls
                where account_id = k.account_id and client_id = k.id
                    and counted_at >= $3 and (counted_at, id, client_id) < ($4, $5, $6)
                order by counted_at desc, id desc limit $8
            ) walk
        ) c
        where ($10::text is null or c.sentiment = $10) and ($11::bool is null or c.success = $11)
            or c.place = $8
        order by c.counted_at desc, c.id desc, c.client_id desc limit $9"#,
        everywhere,
        range.client_id.map(|id| id.0),
        range.from.unwrap_or(FIRST).to_sqlx() as _,
        until.counted_at.to_sqlx() as _,
        until.id.0,
        until.client_id.0,
        portion.with_record,
        portion.of_each,
        portion.of_all,
        portion.sentiment,
        portion.success,
    )
    .fetch_all(&mut **tx)
    .await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == portion.of_all);
    let mut calls = Vec::with_capacity(rows.len());
    let mut is_cut = false;
    let mut looked_at: HashMap<ClientId, i64> = HashMap::new();
    for row in rows {
        looked_at.insert(row.client_id, row.place);
        if is_cut {
            continue;
        }
        calls.push(Candidate {
            account_id: row.account_id,
            position: Position {
                counted_at: row.counted_at.to_jiff(),
                id: row.id,
                client_id: row.client_id,
            },
            sentiment: row.sentiment,
            success: row.success,
            record: row.record,
        });
        // A client of which as many were looked at as asked may have more; the others were looked at as
        // far as this one, and further.
        is_cut = row.place == portion.of_each;
    }
    let looked_at = looked_at.into_values().sum::<i64>();
    Ok(Candidates {
        calls,
        has_more: is_full || is_cut,
        looked_at: usize::try_from(looked_at).unwrap_or(usize::MAX),
    })
}

/// How many calls a list has that only names clients and days, from the rollups: days begin with a
/// quarter of an hour.
pub async fn count(
    tx: &mut Tx,
    range: Range,
    sentiment: Option<&str>,
    success: Option<bool>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(sum(case
            when $4 = 'positive' then positive when $4 = 'neutral' then neutral
            when $4 = 'negative' then negative when $4 = 'mixed' then mixed
            when $4 = 'unknown' then unknown
            when $5 then succeeded when not $5 then failed
            else calls end), 0)::bigint as "count!"
        from call_rollups
        where ($1::uuid is null or client_id = $1)
            and ($2::timestamptz is null or quarter >= $2)
            and ($3::timestamptz is null or quarter < $3)"#,
        range.client_id.map(|id| id.0),
        range.from.map(ToSqlx::to_sqlx) as _,
        range.to.map(ToSqlx::to_sqlx) as _,
        sentiment,
        success,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The calls at these keys, in no order; conflicts are counted, records are there.
pub async fn of_keys(
    tx: &mut Tx,
    keys: &[(AccountId, CallId, ClientId)],
) -> Result<Vec<Call>, sqlx::Error> {
    let accounts: Vec<_> = keys.iter().map(|key| key.0.0).collect();
    let ids: Vec<_> = keys.iter().map(|key| key.1.0).collect();
    let clients: Vec<_> = keys.iter().map(|key| key.2.0).collect();
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.client_id as "client_id: ClientId",
            c.id as "id: CallId", c.counted_at, c.received_at, c.direction, c.duration_ms, c.success,
            c.ended_reason, c.sentiment, c.sentiment_by, c.stt_ms, c.llm_ms, c.tts_ms, c.client_inactive,
            c.session_id as "session_id: SessionId", c.record,
            (select count(*) from call_conflicts f where f.account_id = c.account_id and f.call_id = c.id
                and f.client_id = c.client_id) as "conflicts!"
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) k (account_id, id, client_id)
        join calls c using (account_id, id, client_id)"#,
        &accounts,
        &ids,
        &clients,
    )
    .fetch_all(&mut **tx)
    .await?;
    let calls = rows.into_iter().map(|row| Call {
        account_id: row.account_id,
        client_id: row.client_id,
        id: row.id,
        counted_at: row.counted_at.to_jiff(),
        received_at: row.received_at.to_jiff(),
        direction: row.direction,
        duration_ms: row.duration_ms,
        success: row.success,
        ended_reason: row.ended_reason,
        sentiment: row.sentiment,
        sentiment_by: row.sentiment_by,
        stt_ms: row.stt_ms,
        llm_ms: row.llm_ms,
        tts_ms: row.tts_ms,
        client_inactive: row.client_inactive,
        session_id: row.session_id,
        record: row.record,
        conflicts: row.conflicts,
    });
    Ok(calls.collect())
}

/// The keys of the calls with this id that the principal sees: one for each client that used it.
pub async fn keys_of(
    tx: &mut Tx,
    id: CallId,
    client_id: Option<ClientId>,
) -> Result<Vec<(AccountId, CallId, ClientId)>, sqlx::Error> {
    let everywhere = super::sees_everywhere(tx).await?;
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.client_id as "client_id: ClientId"
        from accounts a, lateral (
            select account_id, client_id from calls where account_id = a.id and id = $1
        ) c
        where ($2 or a.id = any (app_accounts())) and ($3::uuid is null or c.client_id = $3)
            and exists (select from clients k where k.account_id = c.account_id and k.id = c.client_id)
        limit 2"#,
        id.0,
        everywhere,
        client_id.map(|id| id.0),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account_id, id, row.client_id))
        .collect())
}

/// What else came with the id of a call, first come first.
pub async fn conflicts(
    tx: &mut Tx,
    key: (AccountId, CallId, ClientId),
) -> Result<Vec<Conflict>, sqlx::Error> {
    let rows = sqlx::query!(
        "select received_at, record from call_conflicts
        where account_id = $1 and call_id = $2 and client_id = $3
        order by received_at, record_sha256 limit 100",
        key.0.0,
        key.1.0,
        key.2.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    let conflicts = rows.into_iter().map(|row| Conflict {
        received_at: row.received_at.to_jiff(),
        record: row.record,
    });
    Ok(conflicts.collect())
}
