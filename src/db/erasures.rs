//! Erasures: what was asked to be destroyed (`erasures`), and the work in each session
//! (`erasure_sessions`). Both outlive what they name. The work in calls is in `db::call_erasures`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use serde_json::Value;

use super::Tx;
use super::erasure_sessions::{Destroyed, Step};
use super::timeline::LockedSession;
use crate::events::{ErasedPart, ErasureRequested};
use crate::ids::{AccountId, CustomerId, ErasureId, SessionId, UserId};

/// SQLSTATE of a customer whose sessions the principal does not all see.
const OF_OTHERS: &str = "AC403";

/// What is erased, in whole or in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Session(SessionId),
    /// With all of their sessions.
    Customer(CustomerId),
}

/// Why something is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Request,
    /// Consent was withdrawn.
    Consent,
    /// It is as old as the account's policy lets it become.
    Retention,
}

impl Subject {
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Customer(_) => "customer",
        }
    }

    pub const fn id(self) -> uuid::Uuid {
        match self {
            Self::Session(id) => id.0,
            Self::Customer(id) => id.0,
        }
    }
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Consent => "consent",
            Self::Retention => "retention",
        }
    }
}

/// Begins an erasure of the principal, or of maintenance; [`request`] is then called for each session.
///
/// Unique index `erasures_subject_unique` refuses to erase a whole subject twice.
pub async fn open(
    tx: &mut Tx,
    account_id: AccountId,
    subject: Subject,
    parts: &[ErasedPart],
    reason: Reason,
) -> Result<ErasureId, sqlx::Error> {
    let id = ErasureId::generate();
    sqlx::query!(
        "insert into erasures
            (account_id, id, subject_kind, subject_id, owner_id, parts, reason, requested_by)
        values ($1, $2, $3, $4, (select owner_id from sessions where account_id = $1 and id = $4), $5, $6,
            nullif(current_setting('app.user', true), '')::uuid)",
        account_id.0,
        id.0,
        subject.kind(),
        subject.id(),
        &words(parts),
        reason.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(id)
}

/// Asks that parts of a locked session be erased, and answers the fact that says so.
///
/// At the commit the parts can no longer be read: the session is hidden, recordings are marked, rows of
/// transcripts and analyses are gone. Objects and messages follow by the fact, which the caller puts
/// into the outbox, and onto the timeline unless the session goes as a whole. With `made_before` only
/// what is older goes.
pub async fn request(
    tx: &mut Tx,
    session: &LockedSession,
    erasure_id: ErasureId,
    parts: &[ErasedPart],
    made_before: Option<Timestamp>,
) -> Result<ErasureRequested, sqlx::Error> {
    let (account, session_id) = (session.account_id, session.session_id);
    sqlx::query!(
        "insert into erasure_sessions (account_id, erasure_id, session_id, parts, made_before)
        values ($1, $2, $3, $4, $5)",
        account.0,
        erasure_id.0,
        session_id.0,
        &words(parts),
        made_before.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        r#"select erase_rows($1, $2, $3)::text as "done""#,
        account.0,
        erasure_id.0,
        session_id.0,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(ErasureRequested {
        session_id,
        erasure_id,
        parts: parts.to_vec(),
    })
}

/// The sessions of a customer that the principal sees.
pub async fn sessions_of_customer(
    tx: &mut Tx,
    account_id: AccountId,
    customer: CustomerId,
) -> Result<Vec<SessionId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: SessionId" from sessions
        where account_id = $1 and customer_id = $2 and erased_at is null order by id"#,
        account_id.0,
        customer.0,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Removes a customer, after [`request`] was called for each of their sessions.
///
/// An error that [`leaves_sessions_of_others`] says that the principal does not see all of them.
pub async fn remove_customer(
    tx: &mut Tx,
    account_id: AccountId,
    erasure_id: ErasureId,
    customer: CustomerId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select erase_customer($1, $2, $3)::text as "done""#,
        account_id.0,
        erasure_id.0,
        customer.0,
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Whether a customer was not removed because others have sessions with them.
pub fn leaves_sessions_of_others(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.is_some_and(|error| error.code().as_deref() == Some(OF_OTHERS))
}

/// An erasure, and what is known of its work.
#[derive(Clone, Debug)]
pub struct Erasure {
    pub account_id: AccountId,
    pub id: ErasureId,
    pub subject_kind: String,
    pub subject_id: uuid::Uuid,
    pub parts: Vec<String>,
    pub reason: String,
    /// None where no person asked.
    pub requested_by: Option<UserId>,
    pub requested_at: Timestamp,
    /// What went in the transaction of the request.
    pub destroyed: Value,
}

/// The work of an erasure in all of its sessions that are at one step.
#[derive(Clone, Debug)]
pub struct Progress {
    pub step: Step,
    pub sessions: i64,
    /// When the last of them came to this step.
    pub updated_at: Timestamp,
    /// Objects and multipart uploads that are still to be removed.
    pub objects: i64,
    /// Facts whose message is not known to be destroyed.
    pub missing: i64,
}

/// The erasure by which a whole subject is gone, if the principal may know of it.
pub async fn of_subject(tx: &mut Tx, subject: Subject) -> Result<Option<ErasureId>, sqlx::Error> {
    let by_subject = sqlx::query_scalar!(
        r#"select id as "id: ErasureId" from erasures
        where subject_kind = $1 and subject_id = $2 and parts @> array['session']"#,
        subject.kind(),
        subject.id(),
    );
    by_subject.fetch_optional(&mut **tx).await
}

/// An erasure that the principal asked for or oversees, or whose session was theirs.
pub async fn get(tx: &mut Tx, id: ErasureId) -> Result<Option<Erasure>, sqlx::Error> {
    sqlx::query_as!(
        Erasure,
        r#"select account_id as "account_id: AccountId", id as "id: ErasureId", subject_kind, subject_id,
            parts, reason, requested_by as "requested_by: UserId", requested_at, destroyed
        from erasures where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// How far an erasure is, by step.
pub async fn progress(tx: &mut Tx, erasure: &Erasure) -> Result<Vec<Progress>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "sessions!", max(updated_at) as "updated_at!: jiff_sqlx::Timestamp",
            sum(cardinality(objects) + jsonb_array_length(multiparts)) as "objects!",
            sum(cardinality(missing)) as "missing!"
        from erasure_sessions where account_id = $1 and erasure_id = $2 group by state"#,
        erasure.account_id.0,
        erasure.id.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Progress {
            step: Step::of(&row.state),
            sessions: row.sessions,
            updated_at: row.updated_at.to_jiff(),
            objects: row.objects,
            missing: row.missing,
        })
        .collect())
}

/// What an erasure has destroyed in all of its sessions, summed up.
pub async fn destroyed(tx: &mut Tx, erasure: &Erasure) -> Result<Vec<Destroyed>, sqlx::Error> {
    sqlx::query_as!(
        Destroyed,
        r#"select d.place as "place!", d.what as "what!", sum(d.count)::bigint as "count!"
        from (
            select $3::jsonb as list
            union all
            select destroyed from erasure_sessions where account_id = $1 and erasure_id = $2
            union all
            select destroyed from erasure_calls where account_id = $1 and erasure_id = $2
        ) lists, jsonb_to_recordset(lists.list) as list ("where" text, what text, count bigint),
            lateral (select list."where" as place, list.what, list.count) d
        where d.count > 0 group by d.place, d.what order by d.place, d.what"#,
        erasure.account_id.0,
        erasure.id.0,
        erasure.destroyed,
    )
    .fetch_all(&mut **tx)
    .await
}

/// The oldest message of a stream that an erasure has found and not destroyed yet.
pub async fn lowest_found(tx: &mut Tx, stream: &str) -> Result<Option<u64>, sqlx::Error> {
    let lowest = sqlx::query_scalar!(
        "select least(
            (select min((place ->> 1)::bigint) from erasure_sessions, jsonb_array_elements(messages) place
                where state <> 'done' and messages <> '[]' and place ->> 0 = $1),
            (select min(stream_sequence) from erasure_messages where state = 'found' and stream = $1))",
        stream,
    );
    let lowest = lowest.fetch_one(&mut **tx).await?;
    Ok(lowest.and_then(|sequence| u64::try_from(sequence).ok()))
}

fn words(parts: &[ErasedPart]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}
