//! Sessions that calls become, and the calls that their analyses adjust.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::calls::{Arrived, Key};
use super::{Tx, outbox};
use crate::calls::{Conversation, GIVEN, SentimentBy};
use crate::documents::transcript::Turn;
use crate::events::{Fact, Message};
use crate::ids::{AccountId, CallId, ClientId, SessionId};
use crate::rollups::{Counted, EndedReason, Latencies, Sentiment};
use crate::session::{SessionState, Stages};

/// A call whose client wants more than a row of it.
#[derive(Clone, Copy, Debug)]
pub struct NewCallSession<'a> {
    pub call: &'a Arrived<'a>,
    pub conversation: &'a Conversation,
}

/// Who makes sessions, and how they behave.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// What the events name as their source.
    pub source: &'a str,
    /// Whether sessions complete by themselves once analysed.
    pub auto_complete: bool,
}

/// A session with the facts that it begins with.
struct Made<'a> {
    account_id: AccountId,
    client_id: ClientId,
    call_id: CallId,
    received_at: Timestamp,
    conversation: &'a Conversation,
    facts: Vec<Fact>,
    state: SessionState,
}

/// Makes the sessions of calls that were just inserted, with all that they begin with. Seven statements,
/// however many calls.
///
/// Answers their events, which are in the outbox, to be published right after the commit. A session
/// that exists stays as it is.
pub async fn make(
    tx: &mut Tx,
    maker: Maker<'_>,
    calls: &[NewCallSession<'_>],
) -> Result<Vec<(AccountId, Message)>, sqlx::Error> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let mut sessions: Vec<_> = calls.iter().map(|call| Made::of(call, maker)).collect();
    sessions.sort_by_key(|session| (session.account_id, session.conversation.session_id));
    sessions.dedup_by_key(|session| session.conversation.session_id);
    let new = insert_sessions(tx, &sessions).await?;
    sessions.retain(|session| new.contains(&session.conversation.session_id));
    insert_timelines(tx, &sessions).await?;
    insert_fetches(tx, &sessions).await?;
    insert_transcripts(tx, &sessions).await?;
    let facts: Vec<_> = sessions
        .iter()
        .flat_map(|session| session.facts.iter().map(|fact| (session.account_id, fact)))
        .collect();
    outbox::insert_many(tx, maker.source, &facts).await
}

impl<'a> Made<'a> {
    fn of(call: &NewCallSession<'a>, maker: Maker<'_>) -> Self {
        let facts = call.conversation.facts(maker.auto_complete);
        let (account_id, call_id, client_id) = call.call.key();
        Self {
            account_id,
            client_id,
            call_id,
            received_at: call.call.received_at,
            conversation: call.conversation,
            state: SessionState::of(&facts),
            facts,
        }
    }

    fn stages(&self) -> Value {
        stages(&self.state.stages)
    }

    /// The newest generation of transcript and analysis.
    fn generation(&self) -> i32 {
        i32::from(self.conversation.text.is_some())
    }
}

fn stages(stages: &Stages) -> Value {
    serde_json::to_value(stages).expect("stages are plain data")
}

macro_rules! column {
    ($rows:expr, $of:expr) => {
        $rows.iter().map($of).collect::<Vec<_>>()
    };
}

/// Answers those that were not there. They belong to whoever made the client.
async fn insert_sessions(
    tx: &mut Tx,
    sessions: &[Made<'_>],
) -> Result<HashSet<SessionId>, sqlx::Error> {
    let inserted = sqlx::query_scalar!(
        r#"insert into sessions (account_id, id, owner_id, title, metadata, status, stages, last_seq,
            transcript_generation, analysis_generation, auto_transcribe, auto_analyze, started_at, ended_at,
            call_id, client_id)
        select s.account_id, s.id, c.created_by, s.title, s.metadata, s.status, s.stages, s.last_seq,
            s.generation, s.generation, s.auto_transcribe, s.auto_analyze, s.started_at, s.ended_at,
            s.call_id, s.client_id
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[], $7::text[],
            $8::jsonb[], $9::bigint[], $10::int[], $11::bool[], $12::bool[], $13::timestamptz[],
            $14::timestamptz[])
            s (account_id, id, call_id, client_id, title, metadata, status, stages, last_seq, generation,
                auto_transcribe, auto_analyze, started_at, ended_at)
        join clients c on c.account_id = s.account_id and c.id = s.client_id
        order by s.account_id, s.id
        on conflict on constraint sessions_pkey do nothing
        returning id as "id: SessionId""#,
        &column!(sessions, |it| it.account_id.0),
        &column!(sessions, |it| it.conversation.session_id.0),
        &column!(sessions, |it| it.call_id.0),
        &column!(sessions, |it| it.client_id.0),
        &column!(sessions, |it| it.conversation.title.clone()),
        &column!(sessions, |it| it.conversation.metadata.clone()),
        &column!(sessions, |it| it.state.status.as_str().to_owned()),
        &column!(sessions, Made::stages),
        &column!(sessions, |it| i64::try_from(it.facts.len()).expect("a few facts")),
        &column!(sessions, Made::generation),
        &column!(sessions, |it| it.conversation.auto_transcribe()),
        &column!(sessions, |it| it.conversation.auto_analyze),
        &column!(sessions, |it| it.conversation.started_at.map(ToSqlx::to_sqlx)) as _,
        // It is over, whether or not the agent says when.
        &column!(sessions, |it| it.conversation.ended_at.unwrap_or(it.received_at).to_sqlx()) as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(inserted.into_iter().collect())
}

async fn insert_timelines(tx: &mut Tx, sessions: &[Made<'_>]) -> Result<(), sqlx::Error> {
    let entries: Vec<_> = sessions
        .iter()
        .flat_map(|session| {
            (1_i64..)
                .zip(&session.facts)
                .map(move |(seq, fact)| (session, seq, fact))
        })
        .collect();
    sqlx::query!(
        "insert into session_events (account_id, session_id, seq, event_id, type, version, data)
        select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::smallint[],
            $7::jsonb[])",
        &column!(entries, |it| it.0.account_id.0),
        &column!(entries, |it| it.2.session_id().0),
        &column!(entries, |it| it.1),
        &column!(entries, |it| it.2.event_id().0),
        &column!(entries, |it| it.2.event_type().to_owned()),
        &column!(entries, |it| i16::try_from(it.2.version()).expect("versions are small")),
        &column!(entries, |it| it.2.data()),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

async fn insert_fetches(tx: &mut Tx, sessions: &[Made<'_>]) -> Result<(), sqlx::Error> {
    let fetches: Vec<_> = sessions
        .iter()
        .filter_map(|session| Some((session, session.conversation.recording_url.clone()?)))
        .collect();
    if fetches.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into recording_fetches (account_id, recording_id, session_id, url)
        select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[])",
        &column!(fetches, |it| it.0.account_id.0),
        &column!(fetches, |it| it.0.conversation.recording_id().0),
        &column!(fetches, |it| it.0.conversation.session_id.0),
        &column!(fetches, |it| it.1.clone()),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Transcripts that came with their calls, and the analyses that are asked of them.
async fn insert_transcripts(tx: &mut Tx, sessions: &[Made<'_>]) -> Result<(), sqlx::Error> {
    let texts: Vec<_> = sessions
        .iter()
        .filter_map(|session| Some((session, session.conversation.text.as_ref()?)))
        .collect();
    if texts.is_empty() {
        return Ok(());
    }
    let accounts = column!(texts, |it| it.0.account_id.0);
    let ids = column!(texts, |it| it.0.conversation.session_id.0);
    sqlx::query!(
        "insert into transcripts (account_id, session_id, generation, engine, language, duration_ms, turns)
        select t.account_id, t.session_id, 1, $1, t.language, t.duration_ms, t.turns
        from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::jsonb[])
            t (account_id, session_id, language, duration_ms, turns)",
        GIVEN,
        &accounts,
        &ids,
        &column!(texts, |it| it.1.language.clone()) as _,
        &column!(texts, |it| it.1.duration_ms),
        &column!(texts, |it| encode(&it.1.turns)),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "insert into analyses (account_id, session_id, generation, transcript_generation)
        select t.account_id, t.session_id, 1, 1 from unnest($1::uuid[], $2::uuid[]) t (account_id, session_id)",
        &accounts,
        &ids,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

fn encode(turns: &[Turn]) -> Value {
    serde_json::to_value(turns).expect("turns are plain data")
}

/// A call as an analysis finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjustable {
    pub counted: Counted,
    pub sentiment_by: Option<SentimentBy>,
    /// Whether an analysis judged its success.
    pub success_by_analysis: bool,
}

/// The call that a session was made of, and where it counts; `None` for other sessions, and for one
/// whose call is gone.
pub async fn call_of(
    tx: &mut Tx,
    session: SessionId,
) -> Result<Option<(Key, Timestamp)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.id as "id: CallId",
            c.client_id as "client_id: ClientId", c.counted_at
        from sessions s
        join calls c on c.account_id = s.account_id and c.id = s.call_id and c.client_id = s.client_id
        where s.id = $1"#,
        session.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| {
        (
            (row.account_id, row.id, row.client_id),
            row.counted_at.into(),
        )
    }))
}

/// A call, locked until the end of the transaction. Its day is held before.
pub async fn lock(tx: &mut Tx, key: Key) -> Result<Option<Adjustable>, sqlx::Error> {
    let (account_id, id, client_id) = key;
    let row = sqlx::query!(
        "select counted_at, duration_ms, success, success_by, ended_reason, sentiment, sentiment_by,
            stt_ms, llm_ms, tts_ms
        from calls where account_id = $1 and id = $2 and client_id = $3 for no key update",
        account_id.0,
        id.0,
        client_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let unknown = |error| sqlx::Error::Decode(Box::new(error));
    let ended_reason = row.ended_reason.as_deref().map(str::parse::<EndedReason>);
    Ok(Some(Adjustable {
        counted: Counted {
            account_id,
            client_id,
            at: row.counted_at.into(),
            duration_ms: row.duration_ms,
            success: row.success,
            ended_reason: ended_reason.transpose().map_err(unknown)?,
            sentiment: row.sentiment.parse::<Sentiment>().map_err(unknown)?,
            latencies: Latencies {
                stt_ms: row.stt_ms,
                llm_ms: row.llm_ms,
                tts_ms: row.tts_ms,
            },
        },
        sentiment_by: row.sentiment_by.as_deref().and_then(SentimentBy::of),
        success_by_analysis: row.success_by.is_some(),
    }))
}

/// Writes what an analysis changed of a locked call.
pub async fn adjust(tx: &mut Tx, key: Key, call: &Adjustable) -> Result<(), sqlx::Error> {
    let (account_id, id, client_id) = key;
    sqlx::query!(
        "update calls set sentiment = $4, sentiment_by = $5, success = $6,
            success_by = case when $7 then 'analysis' end
        where account_id = $1 and id = $2 and client_id = $3",
        account_id.0,
        id.0,
        client_id.0,
        call.counted.sentiment.as_str(),
        call.sentiment_by.map(SentimentBy::as_str),
        call.counted.success,
        call.success_by_analysis,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
