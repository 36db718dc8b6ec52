//! Analyses: immutable generations of one document.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use super::timeline::LockedSession;
use crate::events::{AnalysisFailed, AnalysisRequested, AnalysisSkipped};
use crate::ids::{AccountId, SessionId};

/// A generation without its document.
#[derive(Clone, Debug)]
pub struct Generation {
    pub account_id: AccountId,
    pub generation: i32,
    pub transcript_generation: i32,
    pub run: i32,
    /// `requested`, `done`, `failed` or `skipped`.
    pub state: String,
    pub engine: Option<String>,
    pub error: Option<String>,
    pub created_at: Timestamp,
}

/// Asks for an analysis of a transcript. Asked for already, it stays as it is.
pub async fn request(
    tx: &mut Tx,
    session: &LockedSession,
    generation: i32,
    transcript_generation: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with asked as (
            insert into analyses (account_id, session_id, generation, transcript_generation)
            values ($1, $2, $3, $4) on conflict on constraint analyses_pkey do nothing
        )
        update sessions set analysis_generation = greatest(analysis_generation, $3)
        where account_id = $1 and id = $2",
        session.account_id.0,
        session.session_id.0,
        generation,
        transcript_generation,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The first analysis that was asked for of a transcript, by its generation.
pub async fn first_of_transcript(
    tx: &mut Tx,
    session: &LockedSession,
    transcript_generation: i32,
) -> Result<Option<AnalysisRequested>, sqlx::Error> {
    sqlx::query_as!(
        AnalysisRequested,
        r#"select session_id as "session_id: SessionId", generation, run, transcript_generation
        from analyses where account_id = $1 and session_id = $2 and transcript_generation = $3
        order by generation limit 1"#,
        session.account_id.0,
        session.session_id.0,
        transcript_generation,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The generations of a session, oldest first.
pub async fn generations(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Vec<Generation>, sqlx::Error> {
    sqlx::query_as!(
        Generation,
        r#"select account_id as "account_id: AccountId", generation, transcript_generation, run,
            state, engine, error, created_at
        from analyses where session_id = $1 order by generation"#,
        session_id.0,
    )
    .fetch_all(&mut **tx)
    .await
}

/// The document of the newest finished generation.
pub async fn newest_document(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Option<Value>, sqlx::Error> {
    let document = sqlx::query_scalar!(
        "select document from analyses where session_id = $1 and state = 'done'
        order by generation desc limit 1",
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(document.flatten())
}

/// The document of one generation; `None` where it is not finished.
pub async fn document_of(
    tx: &mut Tx,
    session_id: SessionId,
    generation: i32,
) -> Result<Option<Value>, sqlx::Error> {
    let document = sqlx::query_scalar!(
        "select document from analyses
        where session_id = $1 and generation = $2 and state = 'done'",
        session_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(document.flatten())
}

/// The newest finished generation with its document.
pub async fn newest_finished(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Option<(Generation, Value)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select account_id as "account_id: AccountId", generation, transcript_generation, run,
            state, engine, error, created_at, document as "document!"
        from analyses where session_id = $1 and state = 'done'
        order by generation desc limit 1"#,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| {
        let generation = Generation {
            account_id: row.account_id,
            generation: row.generation,
            transcript_generation: row.transcript_generation,
            run: row.run,
            state: row.state,
            engine: row.engine,
            error: row.error,
            created_at: row.created_at.into(),
        };
        (generation, row.document)
    }))
}

/// Writes the document; the first stands. Answers whether this was it.
pub async fn finish(
    tx: &mut Tx,
    account_id: AccountId,
    session_id: SessionId,
    generation: i32,
    engine: &str,
    document: &Value,
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update analyses set state = 'done', engine = $4, document = $5, error = null,
            updated_at = clock_timestamp()
        where account_id = $1 and session_id = $2 and generation = $3 and state <> 'done'",
        account_id.0,
        session_id.0,
        generation,
        engine,
        document,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Marks a run failed, unless a newer run has begun.
pub async fn mark_failed(
    tx: &mut Tx,
    account_id: AccountId,
    failed: &AnalysisFailed,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update analyses set state = 'failed', error = $5, updated_at = clock_timestamp()
        where account_id = $1 and session_id = $2 and generation = $3 and run = $4
            and state = 'requested'",
        account_id.0,
        failed.session_id.0,
        failed.generation,
        failed.run,
        failed.reason,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Marks a run skipped, unless a newer run has begun.
pub async fn mark_skipped(
    tx: &mut Tx,
    account_id: AccountId,
    skipped: &AnalysisSkipped,
) -> Result<(), sqlx::Error> {
    // A redriven run is still marked failed.
    sqlx::query!(
        "update analyses set state = 'skipped', error = $5, updated_at = clock_timestamp()
        where account_id = $1 and session_id = $2 and generation = $3 and run = $4
            and state in ('requested', 'failed')",
        account_id.0,
        skipped.session_id.0,
        skipped.generation,
        skipped.run,
        skipped.reason,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Begins the next run of an analysis that failed or was skipped; `None` if it is neither.
pub async fn retry(
    tx: &mut Tx,
    account_id: AccountId,
    session_id: SessionId,
    generation: i32,
) -> Result<Option<AnalysisRequested>, sqlx::Error> {
    sqlx::query_as!(
        AnalysisRequested,
        r#"update analyses set state = 'requested', run = run + 1, error = null,
            updated_at = clock_timestamp()
        where account_id = $1 and session_id = $2 and generation = $3 and state in ('failed', 'skipped')
        returning session_id as "session_id: SessionId", generation, run, transcript_generation"#,
        account_id.0,
        session_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Claims analyses that have waited since before `before`: they are to be asked for again.
pub async fn claim_unfinished(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<AnalysisRequested>, sqlx::Error> {
    sqlx::query_as!(
        AnalysisRequested,
        r#"update analyses set updated_at = clock_timestamp()
        where (account_id, session_id, generation) in (
            select account_id, session_id, generation from analyses
            where state = 'requested' and updated_at < $1
            order by updated_at limit $2 for update skip locked
        )
        returning session_id as "session_id: SessionId", generation, run, transcript_generation"#,
        jiff_sqlx::Timestamp::from(before) as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
