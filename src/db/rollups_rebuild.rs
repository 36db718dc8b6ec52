//! Rollups recomputed from the rows of `calls`, compared with what is kept, and put in its place.
//!
//! A day (UTC) is held alone meanwhile: its folds wait and those of other days go on. Memory is that of
//! one client's day of rollups, however many calls there are.

use futures::TryStreamExt;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff_sqlx::ToSqlx;

use super::Tx;
use super::rollups::{Hold, apply, lock_days};
use crate::ids::{AccountId, ClientId};
use crate::rollups::{Counted, Counts, Deltas, Difference, Latencies, LatencySketches, Sketch};

/// What a rebuild of a day found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Clients that have calls or rollups on that day.
    pub clients: u64,
    /// Clients whose rollups were not what their calls say.
    pub mended: u64,
    /// The first of the differences.
    pub first: Option<Difference>,
}

/// A call as far as it is counted, as its row has it.
pub(super) struct CountedRow {
    pub counted_at: jiff_sqlx::Timestamp,
    pub duration_ms: Option<i64>,
    pub success: Option<bool>,
    pub ended_reason: Option<String>,
    pub sentiment: String,
    pub stt_ms: Option<f64>,
    pub llm_ms: Option<f64>,
    pub tts_ms: Option<f64>,
}

impl CountedRow {
    pub(super) fn counted(
        self,
        account_id: AccountId,
        client_id: ClientId,
    ) -> Result<Counted, sqlx::Error> {
        let reason = self.ended_reason.map(|word| word.parse()).transpose();
        Ok(Counted {
            account_id,
            client_id,
            at: self.counted_at.to_jiff(),
            duration_ms: self.duration_ms,
            success: self.success,
            ended_reason: reason.map_err(decode)?,
            sentiment: self.sentiment.parse().map_err(decode)?,
            latencies: Latencies {
                stt_ms: self.stt_ms,
                llm_ms: self.llm_ms,
                tts_ms: self.tts_ms,
            },
        })
    }
}

/// Rebuilds the rollups of a day, and answers what was wrong with them.
pub async fn rebuild(tx: &mut Tx, day: Date) -> Result<Rebuilt, sqlx::Error> {
    lock_days(tx, [start(day)?], Hold::Alone).await?;
    let mut rebuilt = Rebuilt::default();
    for (account_id, client_id) in clients(tx, day).await? {
        rebuilt.clients += 1;
        let truth = recomputed(tx, account_id, client_id, day).await?;
        let kept = kept(tx, account_id, client_id, day).await?;
        if let Some(difference) = truth.first_difference(&kept) {
            replace(tx, account_id, client_id, day, &truth).await?;
            rebuilt.mended += 1;
            rebuilt.first.get_or_insert(difference);
        }
    }
    Ok(rebuilt)
}

/// Where the rollups of a day first differ from what its calls say. Nothing is changed.
pub async fn first_difference(tx: &mut Tx, day: Date) -> Result<Option<Difference>, sqlx::Error> {
    lock_days(tx, [start(day)?], Hold::Alone).await?;
    for (account_id, client_id) in clients(tx, day).await? {
        let truth = recomputed(tx, account_id, client_id, day).await?;
        let kept = kept(tx, account_id, client_id, day).await?;
        if let Some(difference) = truth.first_difference(&kept) {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// What the calls of a client on a day say.
pub async fn recomputed(
    tx: &mut Tx,
    account_id: AccountId,
    client_id: ClientId,
    day: Date,
) -> Result<Deltas, sqlx::Error> {
    let (from, until) = (start(day)?, end(day)?);
    let mut rows = sqlx::query_as!(
        CountedRow,
        r#"select counted_at as "counted_at: jiff_sqlx::Timestamp", duration_ms, success, ended_reason,
            sentiment, stt_ms, llm_ms, tts_ms
        from calls
        where account_id = $1 and client_id = $2 and counted_at >= $3 and counted_at < $4"#,
        account_id.0,
        client_id.0,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch(&mut **tx);
    let mut deltas = Deltas::default();
    while let Some(row) = rows.try_next().await? {
        deltas.add(&row.counted(account_id, client_id)?);
    }
    Ok(deltas)
}

/// The rollups of a client on a day, as they are kept.
pub async fn kept(
    tx: &mut Tx,
    account_id: AccountId,
    client_id: ClientId,
    day: Date,
) -> Result<Deltas, sqlx::Error> {
    let (from, until) = (start(day)?, end(day)?);
    let mut deltas = Deltas::default();
    let quarters = sqlx::query!(
        r#"select quarter as "quarter: jiff_sqlx::Timestamp", calls, succeeded, failed, timed, duration_ms,
            array[positive, neutral, negative, mixed, unknown] as "sentiments!",
            array[caller_hangup, agent_hangup, transferred, voicemail, no_answer, busy, timeout, error, other]
                as "ended_reasons!"
        from call_rollups
        where account_id = $1 and client_id = $2 and quarter >= $3 and quarter < $4"#,
        account_id.0,
        client_id.0,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in quarters {
        let mut counts = Counts {
            calls: row.calls,
            succeeded: row.succeeded,
            failed: row.failed,
            timed: row.timed,
            duration_ms: row.duration_ms,
            ..Counts::default()
        };
        counts.sentiments.copy_from_slice(&row.sentiments);
        counts.ended_reasons.copy_from_slice(&row.ended_reasons);
        let key = (account_id, client_id, row.quarter.to_jiff());
        deltas.quarters.insert(key, counts);
    }
    let hours = sqlx::query!(
        r#"select hour as "hour: jiff_sqlx::Timestamp", stt, llm, tts, total
        from call_latencies
        where account_id = $1 and client_id = $2 and hour >= $3 and hour < $4"#,
        account_id.0,
        client_id.0,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in hours {
        let sketches = LatencySketches {
            stt: sketch(&row.stt)?,
            llm: sketch(&row.llm)?,
            tts: sketch(&row.tts)?,
            total: sketch(&row.total)?,
        };
        let key = (account_id, client_id, row.hour.to_jiff());
        deltas.hours.insert(key, sketches);
    }
    Ok(deltas)
}

/// The first and the last day that have calls or rollups.
pub async fn extent(tx: &mut Tx) -> Result<Option<(Date, Date)>, sqlx::Error> {
    // By client, because the indexes are.
    let row = sqlx::query!(
        r#"with recursive keys (account_id, client_id, at) as (
            (select account_id, client_id, 'call' from calls order by 1, 2 limit 1)
            union all
            select n.* from keys k, lateral (select c.account_id, c.client_id, 'call' from calls c
                where (c.account_id, c.client_id) > (k.account_id, k.client_id) order by 1, 2 limit 1) n
        ), times (at) as (
            select unnest(array[f.at, l.at]) from keys k,
                lateral (select c.counted_at as at from calls c
                    where c.account_id = k.account_id and c.client_id = k.client_id
                    order by c.counted_at limit 1) f,
                lateral (select c.counted_at as at from calls c
                    where c.account_id = k.account_id and c.client_id = k.client_id
                    order by c.counted_at desc limit 1) l
            union all select min(quarter) from call_rollups
            union all select max(quarter) from call_rollups
            union all select min(hour) from call_latencies
            union all select max(hour) from call_latencies
        )
        select min(at) as "first: jiff_sqlx::Timestamp", max(at) as "last: jiff_sqlx::Timestamp" from times"#,
    )
    .fetch_one(&mut **tx)
    .await?;
    let date = |at: jiff_sqlx::Timestamp| at.to_jiff().to_zoned(TimeZone::UTC).date();
    Ok(row.first.map(date).zip(row.last.map(date)))
}

/// The clients that have calls or rollups on a day. Every client is looked at, by index: there are few.
async fn clients(tx: &mut Tx, day: Date) -> Result<Vec<(AccountId, ClientId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with recursive of_calls as (
            (select account_id, client_id from calls order by account_id, client_id limit 1)
            union all
            select n.* from of_calls k, lateral (select c.account_id, c.client_id from calls c
                where (c.account_id, c.client_id) > (k.account_id, k.client_id) order by 1, 2 limit 1) n
        ), of_rollups as (
            (select account_id, client_id from call_rollups order by account_id, client_id limit 1)
            union all
            select n.* from of_rollups k, lateral (select c.account_id, c.client_id from call_rollups c
                where (c.account_id, c.client_id) > (k.account_id, k.client_id) order by 1, 2 limit 1) n
        ), of_latencies as (
            (select account_id, client_id from call_latencies order by account_id, client_id limit 1)
            union all
            select n.* from of_latencies k, lateral (select c.account_id, c.client_id from call_latencies c
                where (c.account_id, c.client_id) > (k.account_id, k.client_id) order by 1, 2 limit 1) n
        ), keys as (
            select * from of_calls union select * from of_rollups union select * from of_latencies
        )
        select k.account_id as "account_id!: AccountId", k.client_id as "client_id!: ClientId" from keys k
        where exists (select from calls c where c.account_id = k.account_id and c.client_id = k.client_id
                and c.counted_at >= $1 and c.counted_at < $2)
            or exists (select from call_rollups r where r.account_id = k.account_id
                and r.client_id = k.client_id and r.quarter >= $1 and r.quarter < $2)
            or exists (select from call_latencies l where l.account_id = k.account_id
                and l.client_id = k.client_id and l.hour >= $1 and l.hour < $2)
        order by 1, 2"#,
        start(day)?.to_sqlx() as _,
        end(day)?.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account_id, row.client_id))
        .collect())
}

async fn replace(
    tx: &mut Tx,
    account_id: AccountId,
    client_id: ClientId,
    day: Date,
    truth: &Deltas,
) -> Result<(), sqlx::Error> {
    let (from, until) = (start(day)?, end(day)?);
    sqlx::query!(
        "with counts as (
            delete from call_rollups
            where account_id = $1 and client_id = $2 and quarter >= $3 and quarter < $4
        )
        delete from call_latencies
        where account_id = $1 and client_id = $2 and hour >= $3 and hour < $4",
        account_id.0,
        client_id.0,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    apply(tx, truth).await
}

fn start(day: Date) -> Result<Timestamp, sqlx::Error> {
    let midnight = day.to_zoned(TimeZone::UTC).map_err(decode)?;
    Ok(midnight.timestamp())
}

fn end(day: Date) -> Result<Timestamp, sqlx::Error> {
    start(day.tomorrow().map_err(decode)?)
}

fn sketch(bytes: &[u8]) -> Result<Sketch, sqlx::Error> {
    Sketch::decode(bytes).map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
