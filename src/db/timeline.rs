//! The timeline of a session (`session_events`), and the state that follows from it.
//!
//! Recording a fact is one step: the session's row is locked, the fact takes the next place, the state
//! is computed from all facts and what the fact says of its own row (`failed`, `skipped`) is written beside
//! it.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use crate::events::{DecodeError, Event, Fact, decode_data};
use crate::ids::{AccountId, EventId, SessionId};
use crate::session::SessionState;

/// The session of a transaction's facts, locked until its end.
#[derive(Clone, Copy, Debug)]
pub struct LockedSession {
    pub account_id: AccountId,
    pub session_id: SessionId,
    /// The newest generation of the transcript that was asked for; 0 before the first.
    pub transcript_generation: i32,
    /// The newest generation of the analysis that was asked for; 0 before the first.
    pub analysis_generation: i32,
    pub auto_transcribe: bool,
    pub auto_analyze: bool,
}

/// An entry of the timeline.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts from 1 within the session; the `Last-Event-ID`.
    pub seq: i64,
    pub event_id: EventId,
    pub event_type: String,
    pub at: Timestamp,
    pub data: Value,
}

/// Why a fact could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error("a stored fact cannot be read")]
    Decode(#[from] DecodeError),
}

/// Locks a session; `None` when it does not exist, is erased, or the principal may not see it.
///
/// Take this lock before any other row of the session, so that transactions cannot deadlock.
pub async fn lock(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Option<LockedSession>, sqlx::Error> {
    sqlx::query_as!(
        LockedSession,
        r#"select account_id as "account_id: AccountId", id as "session_id: SessionId",
            transcript_generation, analysis_generation, auto_transcribe, auto_analyze
        from sessions where id = $1 and erased_at is null for no key update"#,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Keeps a session from changing until the end of the transaction, together with others who do.
pub async fn hold(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Option<LockedSession>, sqlx::Error> {
    sqlx::query_as!(
        LockedSession,
        r#"select account_id as "account_id: AccountId", id as "session_id: SessionId",
            transcript_generation, analysis_generation, auto_transcribe, auto_analyze
        from sessions where id = $1 and erased_at is null for share"#,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A session as it is, without its lock: for what writes nothing that depends on its facts.
pub async fn read(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Option<LockedSession>, sqlx::Error> {
    sqlx::query_as!(
        LockedSession,
        r#"select account_id as "account_id: AccountId", id as "session_id: SessionId",
            transcript_generation, analysis_generation, auto_transcribe, auto_analyze
        from sessions where id = $1 and erased_at is null"#,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Records facts of a locked session in their order, and what follows from all of them.
///
/// A fact that is on the timeline already changes nothing.
pub async fn record(
    tx: &mut Tx,
    session: &LockedSession,
    facts: &[Fact],
) -> Result<SessionState, RecordError> {
    for fact in facts {
        debug_assert_eq!(fact.session_id(), session.session_id);
        if append(tx, session, fact).await? {
            project(tx, session, fact).await?;
        }
    }
    let state = SessionState::of(&facts_of(tx, session).await?);
    let stages = serde_json::to_value(&state.stages).expect("stages are plain data");
    sqlx::query!(
        "update sessions set status = $3, stages = $4, updated_at = clock_timestamp()
        where account_id = $1 and id = $2",
        session.account_id.0,
        session.session_id.0,
        state.status.as_str(),
        stages,
    )
    .execute(&mut **tx)
    .await?;
    Ok(state)
}

/// The newest fact of a locked session with these fields, if there is one.
pub async fn find<E: Event>(
    tx: &mut Tx,
    session: &LockedSession,
    fields: Value,
) -> Result<Option<E>, RecordError> {
    let row = sqlx::query!(
        "select version, data from session_events
        where account_id = $1 and session_id = $2 and type = $3 and data @> $4
        order by seq desc limit 1",
        session.account_id.0,
        session.session_id.0,
        E::TYPE,
        fields,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let fact = row.map(|row| decode_data(u16::try_from(row.version).unwrap_or(0), row.data));
    Ok(fact.transpose()?)
}

/// The entries of a session after `after`, oldest first, at most `limit`.
pub async fn after(
    tx: &mut Tx,
    session_id: SessionId,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        r#"select seq, event_id as "event_id: EventId", type as event_type, at, data
        from session_events where session_id = $1 and seq > $2 order by seq limit $3"#,
        session_id.0,
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Whether the fact was new.
async fn append(tx: &mut Tx, session: &LockedSession, fact: &Fact) -> Result<bool, sqlx::Error> {
    let version = i16::try_from(fact.version()).expect("versions are small");
    let inserted = sqlx::query!(
        "with place as (
            select last_seq + 1 as seq from sessions where account_id = $1 and id = $2
        ), entry as (
            insert into session_events (account_id, session_id, seq, event_id, type, version, data)
            select $1, $2, seq, $3, $4, $5, $6 from place
            on conflict on constraint session_events_event_unique do nothing
            returning seq
        )
        update sessions set last_seq = entry.seq from entry where account_id = $1 and id = $2",
        session.account_id.0,
        session.session_id.0,
        fact.event_id().0,
        fact.event_type(),
        version,
        fact.data(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Marks the row of a run that failed or was skipped: what retry and the reconciler go by.
async fn project(tx: &mut Tx, session: &LockedSession, fact: &Fact) -> Result<(), sqlx::Error> {
    let account = session.account_id;
    match fact {
        Fact::RecordingFailed(e) => {
            super::recording_fetches::mark_failed(tx, account, e).await?;
            super::recordings::mark_failed(tx, account, e).await
        }
        Fact::TranscriptionFailed(e) => super::transcriptions::mark_failed(tx, account, e).await,
        Fact::AnalysisFailed(e) => super::analyses::mark_failed(tx, account, e).await,
        Fact::TranscriptionSkipped(e) => super::transcriptions::mark_skipped(tx, account, e).await,
        Fact::AnalysisSkipped(e) => super::analyses::mark_skipped(tx, account, e).await,
        _ => Ok(()),
    }
}

async fn facts_of(tx: &mut Tx, session: &LockedSession) -> Result<Vec<Fact>, RecordError> {
    let rows = sqlx::query!(
        "select type, version, data from session_events where account_id = $1 and session_id = $2",
        session.account_id.0,
        session.session_id.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let version = u16::try_from(row.version).unwrap_or(0);
            Ok(Fact::decode(&row.r#type, version, row.data)?)
        })
        .collect()
}
