//! Figures of calls, from `call_rollups` and `call_latencies`.
//!
//! Not here: the calls themselves, which no figure reads, and what days and hours are in a time zone.
//! Whoever asks names clients that it may see; row-level security holds beside.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::Tx;
use crate::ids::{AccountId, ClientId};
use crate::rollups::{Counts, DecodeSketchError, LatencySketches, Sketch};

/// A client whose calls count.
#[derive(Clone, Debug)]
pub struct Of {
    pub account_id: AccountId,
    pub client_id: ClientId,
    pub name: String,
}

/// From a moment up to another, which is not in it. A quarter or an hour is in it when it begins in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Offsets from UTC in seconds, each from a moment on. The first holds before its moment too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub since: Vec<Timestamp>,
    pub seconds: Vec<i32>,
}

/// What a client counted in an hour of the local day.
#[derive(Clone, Copy, Debug)]
pub struct HourOfClient {
    /// Its place among those that were asked for.
    pub place: usize,
    /// From 0 to 23.
    pub hour: u8,
    pub counts: Counts,
}

/// The accounts whose figures the principal sees.
#[derive(Clone, Debug)]
pub struct Sight {
    everywhere: bool,
    accounts: Vec<AccountId>,
}

impl Sight {
    pub fn covers(&self, account: AccountId) -> bool {
        self.everywhere || self.accounts.contains(&account)
    }
}

struct Row {
    place: i64,
    slot: i32,
    calls: i64,
    succeeded: i64,
    failed: i64,
    timed: i64,
    duration_ms: i64,
    positive: i64,
    neutral: i64,
    negative: i64,
    mixed: i64,
    unknown: i64,
    caller_hangup: i64,
    agent_hangup: i64,
    transferred: i64,
    voicemail: i64,
    no_answer: i64,
    busy: i64,
    timeout: i64,
    error: i64,
    other: i64,
}

impl From<&Row> for Counts {
    fn from(row: &Row) -> Self {
        Self {
            calls: row.calls,
            succeeded: row.succeeded,
            failed: row.failed,
            timed: row.timed,
            duration_ms: row.duration_ms,
            sentiments: [
                row.positive,
                row.neutral,
                row.negative,
                row.mixed,
                row.unknown,
            ],
            ended_reasons: [
                row.caller_hangup,
                row.agent_hangup,
                row.transferred,
                row.voicemail,
                row.no_answer,
                row.busy,
                row.timeout,
                row.error,
                row.other,
            ],
        }
    }
}

/// Sums over the quarters of clients in a range, by two numbers that are made of each quarter.
macro_rules! sums {
    ($place:literal, $slot:literal, $tx:expr, $of:expr, $range:expr, $($more:expr),+) => {
        sqlx::query_as!(
            Row,
            "select "
                + $place
                + r#" as "place!", "#
                + $slot
                + r#" as "slot!",
                sum(r.calls)::bigint as "calls!", sum(r.succeeded)::bigint as "succeeded!",
                sum(r.failed)::bigint as "failed!", sum(r.timed)::bigint as "timed!",
                sum(r.duration_ms)::bigint as "duration_ms!", sum(r.positive)::bigint as "positive!",
                sum(r.neutral)::bigint as "neutral!", sum(r.negative)::bigint as "negative!",
                sum(r.mixed)::bigint as "mixed!", sum(r.unknown)::bigint as "unknown!",
                sum(r.caller_hangup)::bigint as "caller_hangup!",
                sum(r.agent_hangup)::bigint as "agent_hangup!",
                sum(r.transferred)::bigint as "transferred!", sum(r.voicemail)::bigint as "voicemail!",
                sum(r.no_answer)::bigint as "no_answer!", sum(r.busy)::bigint as "busy!",
                sum(r.timeout)::bigint as "timeout!", sum(r.error)::bigint as "error!",
                sum(r.other)::bigint as "other!"
            from unnest($1::uuid[], $2::uuid[]) with ordinality k (account_id, client_id, place)
            join call_rollups r using (account_id, client_id)
            where r.quarter >= $3 and r.quarter < $4
            group by 1, 2"#,
            &accounts($of),
            &clients($of),
            $range.from.to_sqlx() as _,
            $range.to.to_sqlx() as _,
            $($more),+
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The clients that the principal sees, deleted ones too: their calls still count.
pub async fn seen(tx: &mut Tx) -> Result<Vec<Of>, sqlx::Error> {
    if super::sees_everywhere(tx).await? {
        return sqlx::query_as!(
            Of,
            r#"select account_id as "account_id: AccountId", id as "client_id: ClientId", name from clients"#,
        )
        .fetch_all(&mut **tx)
        .await;
    }
    sqlx::query_as!(
        Of,
        r#"select c.account_id as "account_id: AccountId", c.id as "client_id: ClientId", c.name
        from unnest(app_accounts()) a (account) join clients c on c.account_id = a.account"#,
    )
    .fetch_all(&mut **tx)
    .await
}

pub async fn sight(tx: &mut Tx) -> Result<Sight, sqlx::Error> {
    sqlx::query_as!(
        Sight,
        r#"select app_everywhere() as "everywhere!",
            coalesce(app_accounts(), '{}') as "accounts!: Vec<AccountId>""#,
    )
    .fetch_one(&mut **tx)
    .await
}

/// What clients counted in a range, all together.
pub async fn total(tx: &mut Tx, of: &[Of], range: Range) -> Result<Counts, sqlx::Error> {
    let whole = by_part(tx, of, &[range.from, range.to]).await?;
    Ok(whole.first().copied().unwrap_or_default())
}

/// What clients counted, all together, from each of these moments to the next. They are in order.
pub async fn by_part(
    tx: &mut Tx,
    of: &[Of],
    moments: &[Timestamp],
) -> Result<Vec<Counts>, sqlx::Error> {
    let [from, .., to] = *moments else {
        return Ok(Vec::new());
    };
    let starts = &moments[..moments.len() - 1];
    let sql_starts: Vec<_> = starts.iter().map(|at| at.to_sqlx()).collect();
    let rows = sums!(
        "0::bigint",
        "width_bucket(r.quarter, $5::timestamptz[])",
        tx,
        of,
        Range { from, to },
        &sql_starts as _
    )?;
    let mut parts = vec![Counts::default(); starts.len()];
    for row in &rows {
        let part =
            usize::try_from(row.slot - 1).expect("a quarter in range is after the first moment");
        parts[part] += row.into();
    }
    Ok(parts)
}

/// What each client counted in each hour of the local day.
pub async fn by_client_and_hour(
    tx: &mut Tx,
    of: &[Of],
    range: Range,
    offsets: &Offsets,
) -> Result<Vec<HourOfClient>, sqlx::Error> {
    let since: Vec<_> = offsets.since.iter().map(|at| at.to_sqlx()).collect();
    let rows = sums!(
        "k.place",
        "mod(mod(floor((date_part('epoch', r.quarter)
            + ($6::int[])[greatest(width_bucket(r.quarter, $5::timestamptz[]), 1)]) / 3600)::bigint, 24) + 24, 24)::int",
        tx,
        of,
        range,
        &since as _,
        &offsets.seconds
    )?;
    let hours = rows.iter().map(|row| HourOfClient {
        place: usize::try_from(row.place - 1).expect("places count from 1"),
        hour: u8::try_from(row.slot).expect("a remainder of 24"),
        counts: row.into(),
    });
    Ok(hours.collect())
}

/// The latencies of clients in a range, all together.
pub async fn latencies(
    tx: &mut Tx,
    of: &[Of],
    range: Range,
) -> Result<LatencySketches, sqlx::Error> {
    let rows = sqlx::query!(
        "select l.stt, l.llm, l.tts, l.total
        from unnest($1::uuid[], $2::uuid[]) k (account_id, client_id)
        join call_latencies l using (account_id, client_id)
        where l.hour >= $3 and l.hour < $4",
        &accounts(of),
        &clients(of),
        range.from.to_sqlx() as _,
        range.to.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let sums = || {
        Ok(LatencySketches {
            stt: Sketch::sum(rows.iter().map(|row| row.stt.as_slice()))?,
            llm: Sketch::sum(rows.iter().map(|row| row.llm.as_slice()))?,
            tts: Sketch::sum(rows.iter().map(|row| row.tts.as_slice()))?,
            total: Sketch::sum(rows.iter().map(|row| row.total.as_slice()))?,
        })
    };
    sums().map_err(|error: DecodeSketchError| sqlx::Error::Decode(error.into()))
}

fn accounts(of: &[Of]) -> Vec<uuid::Uuid> {
    of.iter().map(|of| of.account_id.0).collect()
}

fn clients(of: &[Of]) -> Vec<uuid::Uuid> {
    of.iter().map(|of| of.client_id.0).collect()
}
