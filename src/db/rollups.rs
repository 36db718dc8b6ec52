//! `call_rollups` and `call_latencies`: changes to them, and their locks.
//!
//! Everything that changes rollups goes through [`lock_days`] and [`apply`], in this order, after the
//! rows of the calls. All take their locks sorted, so writers wait for each other and never deadlock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::Tx;
use crate::rollups::{Counts, Deltas, HourKey, LatencySketches, QuarterKey, Sketch};

/// Tells the locks of days from other advisory locks: "call" in ASCII.
const LOCK_CLASS: i32 = 0x6361_6c6c;
const DAY_S: i64 = 24 * 60 * 60;

/// How a day of rollups (UTC) is held until the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Changes are added beside others.
    Shared,
    /// Nobody else changes that day: it is rebuilt.
    Alone,
}

/// Holds the days of these times.
pub async fn lock_days(
    tx: &mut Tx,
    times: impl IntoIterator<Item = Timestamp>,
    hold: Hold,
) -> Result<(), sqlx::Error> {
    let mut days: Vec<i32> = times
        .into_iter()
        .map(|at| {
            i32::try_from(at.as_second().div_euclid(DAY_S)).expect("days of ten thousand years")
        })
        .collect();
    days.sort_unstable();
    days.dedup();
    match hold {
        Hold::Shared => {
            sqlx::query!(
                r#"select pg_advisory_xact_lock_shared($1, day)::text as locked
                from (select day from unnest($2::int[]) day order by day) days"#,
                LOCK_CLASS,
                &days,
            )
            .fetch_all(&mut **tx)
            .await?;
        }
        Hold::Alone => {
            sqlx::query!(
                r#"select pg_advisory_xact_lock($1, day)::text as locked
                from (select day from unnest($2::int[]) day order by day) days"#,
                LOCK_CLASS,
                &days,
            )
            .fetch_all(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// Adds changes to the rollups; what becomes empty is removed.
pub async fn apply(tx: &mut Tx, deltas: &Deltas) -> Result<(), sqlx::Error> {
    if !deltas.quarters.is_empty() {
        add_quarters(tx, &deltas.quarters).await?;
    }
    if !deltas.hours.is_empty() {
        add_hours(tx, &deltas.hours).await?;
    }
    Ok(())
}

async fn add_quarters(
    tx: &mut Tx,
    quarters: &BTreeMap<QuarterKey, Counts>,
) -> Result<(), sqlx::Error> {
    let column = |of: fn(&Counts) -> i64| quarters.values().map(of).collect::<Vec<_>>();
    let accounts: Vec<_> = quarters.keys().map(|key| key.0.0).collect();
    let clients: Vec<_> = quarters.keys().map(|key| key.1.0).collect();
    let times: Vec<_> = quarters.keys().map(|key| key.2.to_sqlx()).collect();
    sqlx::query!(
        "insert into call_rollups as r (account_id, client_id, quarter, calls, succeeded, failed, timed,
            duration_ms, positive, neutral, negative, mixed, unknown, caller_hangup, agent_hangup,
            transferred, voicemail, no_answer, busy, timeout, error, other)
        select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
            $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[])
        order by 1, 2, 3
        on conflict on constraint call_rollups_pkey do update set
            calls = r.calls + excluded.calls,
            succeeded = r.succeeded + excluded.succeeded,
            failed = r.failed + excluded.failed,
            timed = r.timed + excluded.timed,
            duration_ms = r.duration_ms + excluded.duration_ms,
            positive = r.positive + excluded.positive,
            neutral = r.neutral + excluded.neutral,
            negative = r.negative + excluded.negative,
            mixed = r.mixed + excluded.mixed,
            unknown = r.unknown + excluded.unknown,
            caller_hangup = r.caller_hangup + excluded.caller_hangup,
            agent_hangup = r.agent_hangup + excluded.agent_hangup,
            transferred = r.transferred + excluded.transferred,
            voicemail = r.voicemail + excluded.voicemail,
            no_answer = r.no_answer + excluded.no_answer,
            busy = r.busy + excluded.busy,
            timeout = r.timeout + excluded.timeout,
            error = r.error + excluded.error,
            other = r.other + excluded.other",
        &accounts,
        &clients,
        &times as _,
        &column(|counts| counts.calls),
        &column(|counts| counts.succeeded),
        &column(|counts| counts.failed),
        &column(|counts| counts.timed),
        &column(|counts| counts.duration_ms),
        &column(|counts| counts.sentiments[0]),
        &column(|counts| counts.sentiments[1]),
        &column(|counts| counts.sentiments[2]),
        &column(|counts| counts.sentiments[3]),
        &column(|counts| counts.sentiments[4]),
        &column(|counts| counts.ended_reasons[0]),
        &column(|counts| counts.ended_reasons[1]),
        &column(|counts| counts.ended_reasons[2]),
        &column(|counts| counts.ended_reasons[3]),
        &column(|counts| counts.ended_reasons[4]),
        &column(|counts| counts.ended_reasons[5]),
        &column(|counts| counts.ended_reasons[6]),
        &column(|counts| counts.ended_reasons[7]),
        &column(|counts| counts.ended_reasons[8]),
    )
    .execute(&mut **tx)
    .await?;
    if quarters.values().any(|counts| counts.calls < 0) {
        sqlx::query!(
            "delete from call_rollups r
            using unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) k (account_id, client_id, quarter)
            where r.account_id = k.account_id and r.client_id = k.client_id and r.quarter = k.quarter
                and r.calls = 0",
            &accounts,
            &clients,
            &times as _,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Sketches are merged here, under the locks of their rows: in SQL it would cost more than the calls.
async fn add_hours(
    tx: &mut Tx,
    hours: &BTreeMap<HourKey, LatencySketches>,
) -> Result<(), sqlx::Error> {
    let accounts: Vec<_> = hours.keys().map(|key| key.0.0).collect();
    let clients: Vec<_> = hours.keys().map(|key| key.1.0).collect();
    let times: Vec<_> = hours.keys().map(|key| key.2.to_sqlx()).collect();
    let kept = loop {
        add_missing_hours(tx, &accounts, &clients, &times).await?;
        let kept = lock_hours(tx, &accounts, &clients, &times).await?;
        // One that somebody else emptied and removed in between is made again.
        if kept.len() == hours.len() {
            break kept;
        }
    };
    let mut columns: [Vec<Vec<u8>>; 4] = Default::default();
    let mut emptied = false;
    for (kept, delta) in kept.iter().zip(hours.values()) {
        for ((column, kept), delta) in columns.iter_mut().zip(kept).zip(delta.all()) {
            let mut sketch =
                Sketch::decode(kept).map_err(|error| sqlx::Error::Decode(error.into()))?;
            sketch.merge(delta);
            column.push(sketch.encode());
        }
        emptied |= columns
            .iter()
            .all(|column| column.last().is_some_and(Vec::is_empty));
    }
    let [stt, llm, tts, total] = columns;
    sqlx::query!(
        "update call_latencies l set stt = k.stt, llm = k.llm, tts = k.tts, total = k.total
        from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])
            k (account_id, client_id, hour, stt, llm, tts, total)
        where l.account_id = k.account_id and l.client_id = k.client_id and l.hour = k.hour",
        &accounts,
        &clients,
        &times as _,
        &stt,
        &llm,
        &tts,
        &total,
    )
    .execute(&mut **tx)
    .await?;
    if emptied {
        sqlx::query!(
            "delete from call_latencies l
            using unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) k (account_id, client_id, hour)
            where l.account_id = k.account_id and l.client_id = k.client_id and l.hour = k.hour
                and l.stt = '' and l.llm = '' and l.tts = '' and l.total = ''",
            &accounts,
            &clients,
            &times as _,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Every row is there before the first is locked, so that locks are taken in one order.
async fn add_missing_hours(
    tx: &mut Tx,
    accounts: &[Uuid],
    clients: &[Uuid],
    times: &[jiff_sqlx::Timestamp],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into call_latencies (account_id, client_id, hour, stt, llm, tts, total)
        select k.*, '', '', '', '' from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) k
        order by 1, 2, 3
        on conflict on constraint call_latencies_pkey do nothing",
        accounts,
        clients,
        times as _,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Locks the rows that are there, in their order; answers their four sketches.
async fn lock_hours(
    tx: &mut Tx,
    accounts: &[Uuid],
    clients: &[Uuid],
    times: &[jiff_sqlx::Timestamp],
) -> Result<Vec<[Vec<u8>; 4]>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.stt, l.llm, l.tts, l.total
        from call_latencies l
        join unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) k (account_id, client_id, hour)
            using (account_id, client_id, hour)
        order by l.account_id, l.client_id, l.hour
        for update of l"#,
        accounts,
        clients,
        times as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let sketches = rows
        .into_iter()
        .map(|row| [row.stt, row.llm, row.tts, row.total]);
    Ok(sketches.collect())
}
