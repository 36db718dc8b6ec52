//! Rollups as the rows of the calls say they should be, beside those that are kept.
//!
//! The judge of the tests: it shares with the product what a call contributes, and nothing of how
//! contributions reach the tables.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::rollups::{Counted, Counts, Deltas, Latencies, LatencySketches, Sketch};

/// What the calls that count within these times contribute.
pub async fn recounted(
    admin: &mut PgConnection,
    from: Timestamp,
    to: Timestamp,
) -> Result<Deltas, sqlx::Error> {
    let rows = sqlx::query(
        "select account_id, client_id, counted_at, duration_ms, success, ended_reason, sentiment, stt_ms,
            llm_ms, tts_ms
        from calls where counted_at >= $1 and counted_at < $2",
    )
    .bind(from.to_sqlx())
    .bind(to.to_sqlx())
    .fetch_all(admin)
    .await?;
    let mut deltas = Deltas::default();
    for row in &rows {
        deltas.add(&counted(row)?);
    }
    Ok(deltas)
}

/// What the rollups hold of these times.
pub async fn kept(
    admin: &mut PgConnection,
    from: Timestamp,
    to: Timestamp,
) -> Result<Deltas, sqlx::Error> {
    let mut deltas = Deltas::default();
    let quarters = sqlx::query("select * from call_rollups where quarter >= $1 and quarter < $2")
        .bind(from.to_sqlx())
        .bind(to.to_sqlx())
        .fetch_all(&mut *admin)
        .await?;
    for row in &quarters {
        let key = (
            row.try_get("account_id")?,
            row.try_get("client_id")?,
            time(row, "quarter")?,
        );
        deltas.quarters.insert(key, counts(row)?);
    }
    let hours = sqlx::query("select * from call_latencies where hour >= $1 and hour < $2")
        .bind(from.to_sqlx())
        .bind(to.to_sqlx())
        .fetch_all(admin)
        .await?;
    for row in &hours {
        let key = (
            row.try_get("account_id")?,
            row.try_get("client_id")?,
            time(row, "hour")?,
        );
        deltas.hours.insert(key, sketches(row)?);
    }
    Ok(deltas)
}

/// Panics, naming the first rollup that is not what the calls say.
pub async fn assert_exact(admin: &mut PgConnection) {
    let (from, to) = (
        Timestamp::UNIX_EPOCH,
        "9000-01-01T00:00:00Z".parse().expect("a time"),
    );
    let recounted = recounted(admin, from, to).await.expect("the calls");
    let kept = kept(admin, from, to).await.expect("the rollups");
    for (key, counts) in &recounted.quarters {
        assert_eq!(kept.quarters.get(key), Some(counts), "{key:?}");
    }
    for (key, sketches) in &recounted.hours {
        assert_eq!(kept.hours.get(key), Some(sketches), "{key:?}");
    }
    assert_eq!(
        kept.quarters.len(),
        recounted.quarters.len(),
        "quarters without a call"
    );
    assert_eq!(
        kept.hours.len(),
        recounted.hours.len(),
        "hours without a call"
    );
}

fn counted(row: &PgRow) -> Result<Counted, sqlx::Error> {
    let ended_reason: Option<&str> = row.try_get("ended_reason")?;
    let ended_reason = ended_reason.map(str::parse).transpose().map_err(decode)?;
    let sentiment: &str = row.try_get("sentiment")?;
    Ok(Counted {
        account_id: row.try_get("account_id")?,
        client_id: row.try_get("client_id")?,
        at: time(row, "counted_at")?,
        duration_ms: row.try_get("duration_ms")?,
        success: row.try_get("success")?,
        ended_reason,
        sentiment: sentiment.parse().map_err(decode)?,
        latencies: Latencies {
            stt_ms: row.try_get("stt_ms")?,
            llm_ms: row.try_get("llm_ms")?,
            tts_ms: row.try_get("tts_ms")?,
        },
    })
}

fn counts(row: &PgRow) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        calls: row.try_get("calls")?,
        succeeded: row.try_get("succeeded")?,
        failed: row.try_get("failed")?,
        timed: row.try_get("timed")?,
        duration_ms: row.try_get("duration_ms")?,
        sentiments: columns(row, ["positive", "neutral", "negative", "mixed", "unknown"])?,
        ended_reasons: columns(
            row,
            [
                "caller_hangup",
                "agent_hangup",
                "transferred",
                "voicemail",
                "no_answer",
                "busy",
                "timeout",
                "error",
                "other",
            ],
        )?,
    })
}

fn columns<const N: usize>(row: &PgRow, names: [&str; N]) -> Result<[i64; N], sqlx::Error> {
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = row.try_get(name)?;
    }
    Ok(values)
}

fn sketches(row: &PgRow) -> Result<LatencySketches, sqlx::Error> {
    let sketch = |name| Sketch::decode(row.try_get(name)?).map_err(decode);
    Ok(LatencySketches {
        stt: sketch("stt")?,
        llm: sketch("llm")?,
        tts: sketch("tts")?,
        total: sketch("total")?,
    })
}

fn time(row: &PgRow, name: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<jiff_sqlx::Timestamp, _>(name)
        .map(jiff_sqlx::Timestamp::to_jiff)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
