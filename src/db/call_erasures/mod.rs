//! Erasures of calls and clients: asking for one (`erasure_calls`), and how far it is.
//!
//! What goes when is for the maintenance worker. Not here: the receipt's frame (`db::erasures`).
//!
//! Invariant: the rows of a call, what it counts in the rollups, and the note of its messages change in
//! one transaction, so that every commit leaves rollups exact and no message forgotten.

mod late;
mod letters;
mod messages;
mod retention;
mod rows;

pub use late::{is_erased, note_late};
pub use letters::{Struck, is_of, strike, without};
pub use messages::{Sorted, destroyed, find_in, found, look_at_trimmed, sort_out};
pub use retention::{Overdue, blank, overdue, overdue_letters, strike_old, went_through};
pub use rows::{remove, remove_leftovers, sessions};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::erasure_sessions::{Destroyed, Step, Untouched};
use super::erasures::{Erasure, Reason};
use super::{Tx, constraint, has_code};
use crate::events::{ErasedPart, ErasureRequested};
use crate::ids::{AccountId, CallId, ClientId, ErasureId, SessionId};

/// Constraints that refuse to erase a thing twice.
const UNIQUE: [&str; 2] = ["erasure_calls_call_unique", "erasure_calls_client_unique"];
/// SQLSTATE of a row that row-level security refuses (`insufficient_privilege`).
const REFUSED: &str = "42501";

/// What is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    pub client_id: ClientId,
    /// None for the client with all of its calls.
    pub call_id: Option<CallId>,
}

/// What is to be destroyed, and how far that is.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub account_id: AccountId,
    pub erasure_id: ErasureId,
    pub subject: Subject,
    /// Only what calls said that count before.
    pub made_before: Option<Timestamp>,
    pub step: Step,
}

/// How far an erasure of calls is, for its receipt.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub step: Step,
    pub updated_at: Timestamp,
    /// Messages that are still to be destroyed.
    pub found: i64,
    /// Messages that had left their stream before.
    pub trimmed: i64,
}

impl Subject {
    const fn kind(self) -> &'static str {
        match self.call_id {
            Some(_) => "call",
            None => "client",
        }
    }

    const fn id(self) -> uuid::Uuid {
        match self.call_id {
            Some(id) => id.0,
            None => self.client_id.0,
        }
    }
}

/// Erasures by which a call, or a client as a whole, is gone already, as far as the principal may know of
/// them. A call without its client may be of two.
pub async fn before(
    tx: &mut Tx,
    call_id: Option<CallId>,
    client_id: Option<ClientId>,
) -> Result<Vec<ErasureId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select c.erasure_id as "erasure_id: ErasureId" from erasure_calls c
        join erasures e on e.account_id = c.account_id and e.id = c.erasure_id
        where (c.call_id = $1 or $1::uuid is null and c.call_id is null) and ($2::uuid is null or c.client_id = $2)
            and c.made_before is null limit 2"#,
        call_id.map(|id| id.0),
        client_id.map(|id| id.0),
    )
    .fetch_all(&mut **tx)
    .await
}

/// Erases a call, or a client with all of its calls; answers the fact that says so.
///
/// At the commit nobody sees them any more. Rows and messages follow by the fact, which the caller puts
/// into the outbox. An error that [`was_erased_meanwhile`] says that somebody else was faster.
pub async fn request(
    tx: &mut Tx,
    account_id: AccountId,
    subject: Subject,
) -> Result<ErasureRequested, sqlx::Error> {
    let parts = [subject.kind()];
    let erasure_id = open(tx, account_id, subject, &parts, Reason::Request).await?;
    sqlx::query!(
        "insert into erasure_calls (account_id, erasure_id, client_id, call_id) values ($1, $2, $3, $4)",
        account_id.0,
        erasure_id.0,
        subject.client_id.0,
        subject.call_id.map(|id| id.0),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        r#"select erase_calls($1, $2)::text as "done""#,
        account_id.0,
        erasure_id.0,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(ErasureRequested {
        session_id: SessionId(erasure_id.0),
        erasure_id,
        parts: vec![ErasedPart::Session],
    })
}

/// Whether an erasure was refused because there is one, or because what it names is out of sight by now.
pub fn was_erased_meanwhile(error: &sqlx::Error) -> bool {
    constraint(error).is_some_and(|name| UNIQUE.contains(&name)) || has_code(error, REFUSED)
}

async fn open(
    tx: &mut Tx,
    account_id: AccountId,
    subject: Subject,
    parts: &[&str],
    reason: Reason,
) -> Result<ErasureId, sqlx::Error> {
    let id = ErasureId::generate();
    let parts: Vec<_> = parts.iter().map(|&part| part.to_owned()).collect();
    sqlx::query!(
        "insert into erasures (account_id, id, subject_kind, subject_id, parts, reason, requested_by)
        values ($1, $2, $3, $4, $5, $6, nullif(current_setting('app.user', true), '')::uuid)",
        account_id.0,
        id.0,
        subject.kind(),
        subject.id(),
        &parts,
        reason.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(id)
}

pub async fn get(tx: &mut Tx, erasure_id: ErasureId) -> Result<Option<Work>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select account_id as "account_id: AccountId", client_id as "client_id: ClientId",
            call_id as "call_id: CallId", made_before as "made_before: jiff_sqlx::Timestamp", state
        from erasure_calls where erasure_id = $1"#,
        erasure_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Work {
        account_id: row.account_id,
        erasure_id,
        subject: Subject {
            client_id: row.client_id,
            call_id: row.call_id,
        },
        made_before: row.made_before.map(jiff_sqlx::Timestamp::to_jiff),
        step: Step::of(&row.state),
    }))
}

/// Work to go on with, the longest untouched first.
pub async fn due(
    tx: &mut Tx,
    before: Untouched,
    limit: i64,
) -> Result<Vec<ErasureId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select erasure_id as "erasure_id: ErasureId" from erasure_calls
        where state = 'requested' and updated_at < $1 or state = 'settling' and updated_at < $2
            or state = 'pending' and updated_at < $3
        order by updated_at limit $4"#,
        before.requested.to_sqlx() as _,
        before.settling.to_sqlx() as _,
        before.pending.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Goes on to the step that follows from what is left of the messages; answers it. None when another
/// process was faster.
///
/// After a first pass that is settling: what a fold had in hand then is gone through once more.
pub async fn advance(tx: &mut Tx, work: &Work) -> Result<Option<Step>, sqlx::Error> {
    // Locked before the messages are counted: whoever notes one takes this lock first.
    let state = sqlx::query_scalar!(
        "select state from erasure_calls where account_id = $1 and erasure_id = $2 for update",
        work.account_id.0,
        work.erasure_id.0,
    );
    if state.fetch_one(&mut **tx).await? != work.step.as_str() {
        return Ok(None);
    }
    let left = sqlx::query!(
        r#"select count(*) filter (where state = 'found') as "found!",
            count(*) filter (where state = 'trimmed') as "trimmed!"
        from erasure_messages where account_id = $1 and erasure_id = $2"#,
        work.account_id.0,
        work.erasure_id.0,
    )
    .fetch_one(&mut **tx)
    .await?;
    let is_first = work.step == Step::Requested && work.made_before.is_none();
    let next = match (left.found, left.trimmed) {
        (0, 0) if !is_first => Step::Done,
        (0, _) if !is_first => Step::Pending,
        _ => Step::Settling,
    };
    sqlx::query!(
        "update erasure_calls set state = $3, updated_at = clock_timestamp(),
            completed_at = case when $3 = 'done' then clock_timestamp() end
        where account_id = $1 and erasure_id = $2",
        work.account_id.0,
        work.erasure_id.0,
        next.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(Some(next))
}

/// How far an erasure is, if it is one of calls.
pub async fn progress(tx: &mut Tx, erasure: &Erasure) -> Result<Option<Progress>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select c.state, c.updated_at as "updated_at: jiff_sqlx::Timestamp",
            (select count(*) from erasure_messages m where m.account_id = $1 and m.erasure_id = $2
                and m.state = 'found') as "found!",
            (select count(*) from erasure_messages m where m.account_id = $1 and m.erasure_id = $2
                and m.state = 'trimmed') as "trimmed!"
        from erasure_calls c where c.account_id = $1 and c.erasure_id = $2"#,
        erasure.account_id.0,
        erasure.id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Progress {
        step: Step::of(&row.state),
        updated_at: row.updated_at.to_jiff(),
        found: row.found,
        trimmed: row.trimmed,
    }))
}

/// Adds to the receipt what was destroyed.
async fn count(tx: &mut Tx, work: &Work, destroyed: &[Destroyed]) -> Result<(), sqlx::Error> {
    let destroyed: Vec<_> = destroyed.iter().filter(|gone| gone.count > 0).collect();
    if destroyed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update erasure_calls set destroyed = destroyed || $3, updated_at = clock_timestamp()
        where account_id = $1 and erasure_id = $2",
        work.account_id.0,
        work.erasure_id.0,
        serde_json::to_value(destroyed).expect("plain data"),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
