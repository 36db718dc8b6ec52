//! Erasures: what was asked to be destroyed (`erasures`), and the work in each session
//! (`erasure_sessions`). Both outlive what they name.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::Tx;
use super::timeline::LockedSession;
use crate::events::{ErasedPart, ErasureRequested};
use crate::ids::{AccountId, CustomerId, ErasureId, SessionId};

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

fn words(parts: &[ErasedPart]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}
