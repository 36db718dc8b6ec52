//! `dead_letters`: the desk of what handlers gave up on.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::Tx;
use crate::ids::{DeadLetterId, EventId, SessionId};

/// A message that a handler gave up on, as it is filed.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    pub handler: String,
    /// Where the message was when it was given up.
    pub stream: String,
    pub stream_created_at: Timestamp,
    pub stream_sequence: i64,
    /// Which record of a frame, from 1; 0 is the message as a whole.
    pub line: i32,
    /// [`Class`](crate::worker::Class) in words.
    pub class: String,
    /// For operators; what people read is in the failure fact.
    pub reason: String,
    pub attempts: i32,
    pub trace_id: Option<String>,
    /// The subject that the message was first published on.
    pub subject: String,
    pub event_id: Option<EventId>,
    pub event_type: Option<String>,
    pub session_id: Option<SessionId>,
    /// How often it had been redriven when it was given up.
    pub redrive: i32,
    /// Its headers, as an object of strings.
    pub headers: Value,
    pub data: Vec<u8>,
    pub died_at: Timestamp,
}

/// A letter of the desk.
#[derive(Clone, Debug, PartialEq)]
pub struct Filed {
    pub id: DeadLetterId,
    pub letter: Letter,
    pub filed_at: Timestamp,
    /// When it was last sent again.
    pub redriven_at: Option<Timestamp>,
}

/// Where a page of the list begins: behind this letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub filed_at: Timestamp,
    pub id: DeadLetterId,
}

struct Row {
    id: DeadLetterId,
    handler: String,
    stream: String,
    stream_created_at: jiff_sqlx::Timestamp,
    stream_sequence: i64,
    line: i32,
    class: String,
    reason: String,
    attempts: i32,
    trace_id: Option<String>,
    subject: String,
    event_id: Option<EventId>,
    event_type: Option<String>,
    session_id: Option<SessionId>,
    redrive: i32,
    headers: Value,
    data: Vec<u8>,
    died_at: jiff_sqlx::Timestamp,
    filed_at: jiff_sqlx::Timestamp,
    redriven_at: Option<jiff_sqlx::Timestamp>,
}

/// Files a letter once, however often it is delivered. Answers whether it was new.
pub async fn file(tx: &mut Tx, letter: &Letter) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "insert into dead_letters
            (id, handler, stream, stream_created_at, stream_sequence, class, reason, attempts,
             trace_id, subject, event_id, event_type, session_id, redrive, headers, data, died_at, line)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        on conflict on constraint dead_letters_message_unique do nothing",
        DeadLetterId::generate().0,
        letter.handler,
        letter.stream,
        letter.stream_created_at.to_sqlx() as _,
        letter.stream_sequence,
        letter.class,
        letter.reason,
        letter.attempts,
        letter.trace_id,
        letter.subject,
        letter.event_id.map(|id| id.0),
        letter.event_type,
        letter.session_id.map(|id| id.0),
        letter.redrive,
        letter.headers,
        letter.data,
        letter.died_at.to_sqlx() as _,
        letter.line,
    )
    .execute(&mut **tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The newest letters behind `after`, at most `limit`.
pub async fn list(
    tx: &mut Tx,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Filed>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: DeadLetterId", handler, stream,
            stream_created_at as "stream_created_at: _", stream_sequence, line, class, reason, attempts, trace_id,
            subject, event_id as "event_id: EventId", event_type,
            session_id as "session_id: SessionId", redrive, headers, data,
            died_at as "died_at: _", filed_at as "filed_at: _", redriven_at as "redriven_at: _"
        from dead_letters
        where $1::timestamptz is null or (filed_at, id) < ($1, $2)
        order by filed_at desc, id desc limit $3"#,
        after.map(|cursor| cursor.filed_at.to_sqlx()) as _,
        after.map(|cursor| cursor.id.0),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Filed::from).collect())
}

/// A letter; locked until the end of the transaction, so that two redrives have different numbers.
pub async fn get(tx: &mut Tx, id: DeadLetterId) -> Result<Option<Filed>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: DeadLetterId", handler, stream,
            stream_created_at as "stream_created_at: _", stream_sequence, line, class, reason, attempts, trace_id,
            subject, event_id as "event_id: EventId", event_type,
            session_id as "session_id: SessionId", redrive, headers, data,
            died_at as "died_at: _", filed_at as "filed_at: _", redriven_at as "redriven_at: _"
        from dead_letters where id = $1 for update"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Filed::from))
}

/// Counts a redrive and answers its number; `None` when there is no such letter.
///
/// All letters of an event and handler count together: each redrive that fails files a letter of its
/// own, and no two redrives may have one number.
pub async fn mark_redriven(tx: &mut Tx, id: DeadLetterId) -> Result<Option<i32>, sqlx::Error> {
    let row = sqlx::query!(
        "update dead_letters set redriven_at = clock_timestamp(), redrive = 1 + greatest(redrive, (
            select max(other.redrive) from dead_letters other
            where other.handler = dead_letters.handler and other.event_id = dead_letters.event_id))
        where id = $1 returning redrive",
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.redrive))
}

impl From<Row> for Filed {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            filed_at: row.filed_at.to_jiff(),
            redriven_at: row.redriven_at.map(jiff_sqlx::Timestamp::to_jiff),
            letter: Letter {
                handler: row.handler,
                stream: row.stream,
                stream_created_at: row.stream_created_at.to_jiff(),
                stream_sequence: row.stream_sequence,
                line: row.line,
                class: row.class,
                reason: row.reason,
                attempts: row.attempts,
                trace_id: row.trace_id,
                subject: row.subject,
                event_id: row.event_id,
                event_type: row.event_type,
                session_id: row.session_id,
                redrive: row.redrive,
                headers: row.headers,
                data: row.data,
                died_at: row.died_at.to_jiff(),
            },
        }
    }
}
