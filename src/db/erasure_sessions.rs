//! The work of an erasure in one session (`erasure_sessions`), step by step.
//!
//! A step reads its row, does what it does elsewhere, and then writes what it did only if the row is
//! still as it was read: two processes at one erasure do things twice, which is harmless, and count
//! them once.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Tx;
use crate::events::ErasedPart;
use crate::ids::{AccountId, ErasureId, EventId, SessionId};

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first pass is to be made.
    Requested,
    /// It was made; what was in flight then may still arrive.
    Settling,
    /// Nothing is left that can be reached.
    Pending,
    Done,
}

/// What is to be destroyed, and what is known of it.
#[derive(Clone, Debug)]
pub struct Work {
    pub account_id: AccountId,
    pub erasure_id: ErasureId,
    pub session_id: SessionId,
    pub parts: Vec<ErasedPart>,
    pub step: Step,
    /// Keys of objects.
    pub objects: Vec<String>,
    pub multiparts: Vec<Multipart>,
    /// Messages that were found and are to be destroyed.
    pub messages: Vec<Place>,
    /// Facts of the timeline whose message was not found yet.
    pub missing: Vec<EventId>,
    /// The stream EVENTS when it was first searched.
    pub log: Option<Log>,
}

/// A multipart upload of the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multipart {
    pub key: String,
    /// Null where it was never opened.
    pub id: Option<String>,
}

/// Where a message is: stream and sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place(pub String, pub u64);

/// Until where the files of a stream may hold what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub created_at: Timestamp,
    pub last_sequence: i64,
}

/// So many things were destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    #[serde(rename = "where")]
    pub place: String,
    pub what: String,
    pub count: i64,
}

/// Work at each step that nobody has touched since then.
#[derive(Clone, Copy, Debug)]
pub struct Untouched {
    pub requested: Timestamp,
    pub settling: Timestamp,
    pub pending: Timestamp,
}

impl Destroyed {
    pub fn of(place: &str, what: &str, count: usize) -> Self {
        Self {
            place: place.to_owned(),
            what: what.to_owned(),
            count: i64::try_from(count).unwrap_or(i64::MAX),
        }
    }
}

impl Step {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Settling => "settling",
            Self::Pending => "pending",
            Self::Done => "done",
        }
    }

    /// The step of a stored word.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "requested" => Self::Requested,
            "settling" => Self::Settling,
            "pending" => Self::Pending,
            _ => Self::Done,
        }
    }
}

impl Work {
    /// Whether the session goes as a whole.
    pub fn is_whole(&self) -> bool {
        self.parts.contains(&ErasedPart::Session)
    }
}

pub async fn get(
    tx: &mut Tx,
    erasure_id: ErasureId,
    session_id: SessionId,
) -> Result<Option<Work>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select account_id as "account_id: AccountId", parts, state, objects, multiparts, messages,
            missing as "missing: Vec<EventId>", log_created_at, log_last_sequence
        from erasure_sessions where erasure_id = $1 and session_id = $2"#,
        erasure_id.0,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        let parts: Result<_, _> = row.parts.iter().map(|part| part.parse()).collect();
        let created_at = row.log_created_at.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Work {
            account_id: row.account_id,
            erasure_id,
            session_id,
            parts: parts.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            step: Step::of(&row.state),
            objects: row.objects,
            multiparts: decode(row.multiparts)?,
            messages: decode(row.messages)?,
            missing: row.missing,
            log: created_at
                .zip(row.log_last_sequence)
                .map(|(created_at, last_sequence)| Log {
                    created_at,
                    last_sequence,
                }),
        })
    })
    .transpose()
}

/// Work to go on with, the longest untouched first.
pub async fn due(
    tx: &mut Tx,
    before: Untouched,
    limit: i64,
) -> Result<Vec<(ErasureId, SessionId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select erasure_id as "erasure_id: ErasureId", session_id as "session_id: SessionId"
        from erasure_sessions
        where state = 'requested' and updated_at < $1 or state = 'settling' and updated_at < $2
            or state = 'pending' and updated_at < $3
        order by updated_at limit $4"#,
        before.requested.to_sqlx() as _,
        before.settling.to_sqlx() as _,
        before.pending.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.erasure_id, row.session_id))
        .collect())
}

/// Notes that pending work was looked at, so that others come first next time.
pub async fn touch(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Removes an erased session with everything that hangs on it, and keeps the ids of its facts, whose
/// messages are to be found.
pub async fn remove_session(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    let (account, session) = (work.account_id.0, work.session_id.0);
    // Locked, so that of two processes one counts.
    let found = sqlx::query_scalar!(
        "select id from sessions where account_id = $1 and id = $2 and erased_at is not null for update",
        account,
        session,
    )
    .fetch_optional(&mut **tx)
    .await?;
    if found.is_none() {
        return Ok(());
    }
    let counts = sqlx::query!(
        r#"select
            (select count(*) from recordings where account_id = $1 and session_id = $2) as "recordings!",
            (select count(*) from transcriptions where account_id = $1 and session_id = $2)
                as "transcriptions!",
            (select count(*) from transcripts where account_id = $1 and session_id = $2) as "transcripts!",
            (select count(*) from analyses where account_id = $1 and session_id = $2) as "analyses!",
            (select count(*) from uploads where account_id = $1 and session_id = $2) as "uploads!",
            (select count(*) from session_events where account_id = $1 and session_id = $2) as "facts!",
            array(select event_id from session_events where account_id = $1 and session_id = $2)
                as "events!: Vec<EventId>""#,
        account,
        session,
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query!(
        "delete from sessions where account_id = $1 and id = $2",
        account,
        session
    )
    .execute(&mut **tx)
    .await?;
    let gone = [
        ("sessions", 1),
        ("recordings", counts.recordings),
        ("transcriptions", counts.transcriptions),
        ("transcripts", counts.transcripts),
        ("analyses", counts.analyses),
        ("uploads", counts.uploads),
        ("timeline entries", counts.facts),
    ];
    let gone = gone.map(|(what, count)| json!({"where": "postgres", "what": what, "count": count}));
    let events: Vec<Uuid> = counts.events.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update erasure_sessions set missing = $4, destroyed = destroyed || $5, updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3",
        account,
        work.erasure_id.0,
        session,
        &events,
        Value::from(gone.to_vec()),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Removes what else names the session: dead letters, events that wait in the outbox, and the answers
/// kept for repeated requests. Of a part of a session only dead letters go.
pub async fn remove_traces(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    let session = work.session_id;
    let letters = sqlx::query!("delete from dead_letters where session_id = $1", session.0)
        .execute(&mut **tx)
        .await?
        .rows_affected();
    let mut gone = vec![("dead letters", letters)];
    if work.is_whole() {
        // Not the event of an erasure: what it starts is still to be done.
        let waiting = sqlx::query!(
            "with waiting as (
                delete from outbox where account_id = $1 and data ->> 'session_id' = $2
                    and event_type <> 'erasure.requested' returning id
            )
            update erasure_sessions set missing = array(
                select id from unnest(missing) m (id) except select id from waiting)
            where account_id = $1 and erasure_id = $3 and session_id = $4",
            work.account_id.0,
            session.to_string(),
            work.erasure_id.0,
            session.0,
        );
        waiting.execute(&mut **tx).await?;
        // Below the path of the session everything is 404 anyway.
        let below = sqlx::query!(
            "delete from idempotency_keys where split_part(path, '/', 3) = $1",
            session.to_string(),
        );
        let below = below.execute(&mut **tx).await?.rows_affected();
        // A repeat of the request must not make the session anew: it is answered with 404.
        let answers = sqlx::query!(
            "update idempotency_keys set status = 404, body = '{}' where body ->> 'session_id' = $1",
            session.to_string(),
        );
        let answers = answers.execute(&mut **tx).await?.rows_affected();
        gone.push(("kept answers", below + answers));
    }
    let gone = gone.into_iter().filter(|(_, count)| *count > 0);
    let gone: Vec<_> = gone
        .map(|(what, count)| json!({"where": "postgres", "what": what, "count": count}))
        .collect();
    sqlx::query!(
        "update erasure_sessions set destroyed = destroyed || $4
        where account_id = $1 and erasure_id = $2 and session_id = $3",
        work.account_id.0,
        work.erasure_id.0,
        session.0,
        Value::from(gone),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes which objects are to be destroyed, before the first of them is.
pub async fn plan_objects(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set objects = $4, updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
        &work.objects,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes that the objects and multipart uploads of `work` are gone.
pub async fn objects_gone(
    tx: &mut Tx,
    work: &Work,
    destroyed: &[Destroyed],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set objects = '{}', multiparts = '[]', destroyed = destroyed || $6,
            updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3 and objects = $4 and multiparts = $5",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
        &work.objects,
        encode(&work.multiparts),
        encode(destroyed),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes which messages are to be destroyed, before the first of them is, and whose facts they are.
pub async fn plan_messages(
    tx: &mut Tx,
    work: &Work,
    messages: &[Place],
    found: &[EventId],
    log: Log,
) -> Result<(), sqlx::Error> {
    let found: Vec<Uuid> = found.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update erasure_sessions set messages = $4,
            missing = array(select id from unnest(missing) m (id) where id <> all ($5)),
            log_created_at = coalesce(log_created_at, $6),
            log_last_sequence = coalesce(log_last_sequence, $7),
            updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
        encode(messages),
        &found,
        log.created_at.to_sqlx() as _,
        log.last_sequence,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes that the messages of `work` are destroyed.
pub async fn messages_gone(
    tx: &mut Tx,
    work: &Work,
    destroyed: &[Destroyed],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set messages = '[]', destroyed = destroyed || $5,
            updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2 and session_id = $3 and messages = $4",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
        encode(&work.messages),
        encode(destroyed),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Goes on to the next step; answers whether the work was still at the step that was read.
pub async fn advance(tx: &mut Tx, work: &Work, next: Step) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set state = $5, updated_at = clock_timestamp(),
            completed_at = case when $5 = 'done' then clock_timestamp() end
        where account_id = $1 and erasure_id = $2 and session_id = $3 and state = $4",
        work.account_id.0,
        work.erasure_id.0,
        work.session_id.0,
        work.step.as_str(),
        next.as_str(),
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Whether a session was erased as a whole. Something of it has just arrived: the work is not done, and
/// is gone through once more.
pub async fn reopen(tx: &mut Tx, session_id: SessionId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update erasure_sessions set updated_at = clock_timestamp(), completed_at = null,
            state = case state when 'requested' then state else 'settling' end
        where session_id = $1 and parts @> array['session']",
        session_id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() > 0)
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::to_value(value).expect("plain data")
}

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(value).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
