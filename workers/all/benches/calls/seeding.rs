//! Calls by the million, for dashboards: two clients, 30 days, every quarter of an hour filled.
//!
//! Rows and counts are written by the administrator in set-based statements; sketches are made here of
//! the latencies that the rows have. A sample of it is then compared with what the product would have
//! written of the same rows.

use std::collections::BTreeMap;

use aftercall::embedded::agent::Agent;
use aftercall::embedded::recount;
use aftercall::ids::ClientId;
use aftercall::rollups::{Latencies, LatencySketches};
use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, Row as _};

const DAYS: i64 = 30;
const QUARTERS: i64 = DAYS * 96;

/// Calls of `numbers`, counted from zero. Latencies take few values, so that hours can be summed by
/// the database.
const CALLS: &str = "
    insert into calls (account_id, client_id, id, counted_at, received_at, direction, duration_ms, success,
        ended_reason, sentiment, sentiment_by, stt_ms, llm_ms, tts_ms, client_inactive, record,
        stream_created_at, stream_sequences)
    select $1, c.client_id, uuidv7(), c.at, c.at, 'inbound', 20000 + n % 90000, n % 5 <> 0,
        (array['caller_hangup', 'agent_hangup', 'transferred', 'voicemail'])[1 + n % 4],
        (array['positive', 'neutral', 'negative', 'mixed'])[1 + n / 7 % 4], 'agent',
        40 + n % 37 * 5, 200 + n % 41 * 25, 60 + n % 31 * 8, false,
        format('{\"client_id\":\"%s\",\"caller_name\":\"Caller %s\",\"notes\":\"asked for %s\"}', c.client_id,
            n, (array['an appointment', 'the opening hours', 'a refund', 'directions'])[1 + n / 3 % 4]),
        $4, array[n]
    from generate_series($5::bigint, $6::bigint - 1) n
    cross join lateral (select ($2::uuid[])[1 + n % 2] as client_id,
        $3::timestamptz + n / 2 % $7 * interval '15 minutes' + n % 900 * interval '1 second' as at) c";

const COUNTS: &str = "
    insert into call_rollups (account_id, client_id, quarter, calls, succeeded, failed, timed, duration_ms,
        positive, neutral, negative, mixed, unknown, caller_hangup, agent_hangup, transferred, voicemail,
        no_answer, busy, timeout, error, other)
    select account_id, client_id, date_bin('15 minutes', counted_at, 'epoch'), count(*),
        count(*) filter (where success), count(*) filter (where not success), count(duration_ms),
        coalesce(sum(duration_ms), 0),
        count(*) filter (where sentiment = 'positive'), count(*) filter (where sentiment = 'neutral'),
        count(*) filter (where sentiment = 'negative'), count(*) filter (where sentiment = 'mixed'),
        count(*) filter (where sentiment = 'unknown'), count(*) filter (where ended_reason = 'caller_hangup'),
        count(*) filter (where ended_reason = 'agent_hangup'),
        count(*) filter (where ended_reason = 'transferred'), count(*) filter (where ended_reason = 'voicemail'),
        count(*) filter (where ended_reason = 'no_answer'), count(*) filter (where ended_reason = 'busy'),
        count(*) filter (where ended_reason = 'timeout'), count(*) filter (where ended_reason = 'error'),
        count(*) filter (where ended_reason = 'other')
    from calls group by 1, 2, 3";

/// Makes calls until there are `total`, and the rollups of all.
pub async fn fill(
    admin: &mut PgConnection,
    agent: &Agent,
    first_day: Timestamp,
    total: i64,
) -> anyhow::Result<()> {
    let there: i64 = sqlx::query_scalar("select count(*) from calls")
        .fetch_one(&mut *admin)
        .await?;
    let clients: Vec<_> = agent.clients.iter().map(|client| client.0).collect();
    sqlx::query(CALLS)
        .bind(agent.account_id.0)
        .bind(&clients)
        .bind(first_day.to_sqlx())
        .bind(first_day.to_sqlx())
        .bind(there)
        .bind(total)
        .bind(QUARTERS)
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql("truncate call_rollups, call_latencies")
        .execute(&mut *admin)
        .await?;
    sqlx::query(COUNTS).execute(&mut *admin).await?;
    write_sketches(admin, agent).await?;
    sqlx::raw_sql("vacuum (analyze) calls")
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql("vacuum (analyze) call_rollups")
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql("vacuum (analyze) call_latencies")
        .execute(&mut *admin)
        .await?;
    sqlx::raw_sql("checkpoint").execute(&mut *admin).await?;
    compare_a_day(admin, first_day).await
}

/// The start of the first of the last days, the present one included.
pub fn first_day(now: Timestamp) -> Timestamp {
    let day_s = 24 * 60 * 60;
    let today = now.as_second().div_euclid(day_s) * day_s;
    let today = Timestamp::from_second(today).expect("before now");
    today - SignedDuration::from_hours(24 * (DAYS - 1))
}

async fn write_sketches(admin: &mut PgConnection, agent: &Agent) -> anyhow::Result<()> {
    let rows = sqlx::query(
        "select client_id, date_bin('1 hour', counted_at, 'epoch') as hour, stt_ms, llm_ms, tts_ms,
            count(*) as calls
        from calls group by 1, 2, 3, 4, 5",
    )
    .fetch_all(&mut *admin)
    .await?;
    let mut hours: BTreeMap<(ClientId, Timestamp), LatencySketches> = BTreeMap::new();
    for row in rows {
        let hour: jiff_sqlx::Timestamp = row.try_get("hour")?;
        let calls: i64 = row.try_get("calls")?;
        let latencies = latencies(&row)?;
        let sketches = hours
            .entry((row.try_get("client_id")?, hour.to_jiff()))
            .or_default();
        let values = [
            latencies.stt_ms,
            latencies.llm_ms,
            latencies.tts_ms,
            latencies.total_ms(),
        ];
        for (sketch, value) in sketches.all_mut().into_iter().zip(values) {
            sketch.add(value.context("every call has all")?, calls);
        }
    }
    let clients: Vec<_> = hours.keys().map(|key| key.0.0).collect();
    let times: Vec<_> = hours.keys().map(|key| key.1.to_sqlx()).collect();
    let column = |at: usize| -> Vec<_> {
        hours
            .values()
            .map(|sketches| sketches.all()[at].encode())
            .collect()
    };
    sqlx::query(
        "insert into call_latencies (account_id, client_id, hour, stt, llm, tts, total)
        select $1, k.* from unnest($2::uuid[], $3::timestamptz[], $4::bytea[], $5::bytea[], $6::bytea[],
            $7::bytea[]) k",
    )
    .bind(agent.account_id.0)
    .bind(&clients)
    .bind(&times)
    .bind(column(0))
    .bind(column(1))
    .bind(column(2))
    .bind(column(3))
    .execute(admin)
    .await?;
    Ok(())
}

/// What the calls of a day contribute, beside what is there.
async fn compare_a_day(admin: &mut PgConnection, first_day: Timestamp) -> anyhow::Result<()> {
    let next_day = first_day + SignedDuration::from_hours(24);
    let recounted = recount::recounted(admin, first_day, next_day).await?;
    let kept = recount::kept(admin, first_day, next_day).await?;
    ensure!(kept.quarters.len() == 2 * 96, "every quarter is filled");
    ensure!(kept == recounted, "the rollups are not those of the calls");
    Ok(())
}

fn latencies(row: &sqlx::postgres::PgRow) -> anyhow::Result<Latencies> {
    Ok(Latencies {
        stt_ms: row.try_get("stt_ms")?,
        llm_ms: row.try_get("llm_ms")?,
        tts_ms: row.try_get("tts_ms")?,
    })
}
