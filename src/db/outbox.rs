//! Events that wait for the broker.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use super::timeline::LockedSession;
use crate::events::{Envelope, Fact, Message};
use crate::ids::{AccountId, EventId};

/// Writes facts of a locked session into the outbox, in the transaction that records them.
///
/// Returns them as messages, to be published right after the commit.
pub async fn insert(
    tx: &mut Tx,
    session: &LockedSession,
    source: &str,
    traceparent: Option<&str>,
    facts: &[Fact],
) -> Result<Vec<Message>, sqlx::Error> {
    insert_of(tx, session.account_id, source, traceparent, facts).await
}

/// The same for facts of an account, which are of no session.
pub async fn insert_of(
    tx: &mut Tx,
    account_id: AccountId,
    source: &str,
    traceparent: Option<&str>,
    facts: &[Fact],
) -> Result<Vec<Message>, sqlx::Error> {
    let now = Timestamp::now();
    let mut messages = Vec::with_capacity(facts.len());
    for fact in facts {
        let message = fact.message(source, now, traceparent);
        let version = i16::try_from(message.envelope.version).expect("versions are small");
        sqlx::query!(
            "insert into outbox (account_id, id, subject, event_type, version, source, at, traceparent, data)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict on constraint outbox_pkey do nothing",
            account_id.0,
            message.envelope.id.0,
            message.subject,
            message.envelope.event_type,
            version,
            source,
            jiff_sqlx::Timestamp::from(now) as _,
            traceparent,
            fact.data(),
        )
        .execute(&mut **tx)
        .await?;
        messages.push(message);
    }
    Ok(messages)
}

/// Writes facts of sessions that the transaction makes into the outbox, in one statement.
///
/// Returns them as messages, to be published right after the commit.
pub async fn insert_many(
    tx: &mut Tx,
    source: &str,
    facts: &[(AccountId, &Fact)],
) -> Result<Vec<(AccountId, Message)>, sqlx::Error> {
    let now = Timestamp::now();
    macro_rules! column {
        ($of:expr) => {
            facts
                .iter()
                .map(|(_, fact)| fact)
                .map($of)
                .collect::<Vec<_>>()
        };
    }
    let accounts: Vec<_> = facts.iter().map(|(account, _)| account.0).collect();
    let messages: Vec<_> = facts
        .iter()
        .map(|(account, fact)| (*account, fact.message(source, now, None)))
        .collect();
    let subjects: Vec<_> = messages
        .iter()
        .map(|(_, message)| message.subject.clone())
        .collect();
    sqlx::query!(
        "insert into outbox (account_id, id, subject, event_type, version, source, at, data)
        select e.account_id, e.id, e.subject, e.event_type, e.version, $1, $2, e.data
        from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::smallint[], $8::jsonb[])
            e (account_id, id, subject, event_type, version, data)
        on conflict on constraint outbox_pkey do nothing",
        source,
        jiff_sqlx::Timestamp::from(now) as _,
        &accounts,
        &column!(|fact| fact.event_id().0),
        &subjects,
        &column!(|fact| fact.event_type().to_owned()),
        &column!(|fact| i16::try_from(fact.version()).expect("versions are small")),
        &column!(|fact| fact.data()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(messages)
}

/// Forgets events that the broker has.
pub async fn delete(
    tx: &mut Tx,
    account_id: AccountId,
    ids: &[EventId],
) -> Result<(), sqlx::Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "delete from outbox where account_id = $1 and id = any($2)",
        account_id.0,
        &ids
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Events that have waited since before `before`, oldest first, locked for this transaction.
pub async fn waiting(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<(AccountId, Message)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select account_id as "account_id: AccountId", id as "id: EventId", subject, event_type,
            version, source, at, traceparent, data
        from outbox where created_at < $1 order by created_at limit $2 for update skip locked"#,
        jiff_sqlx::Timestamp::from(before) as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let envelope = Envelope {
                id: row.id,
                event_type: row.event_type,
                version: u16::try_from(row.version).unwrap_or(0),
                source: row.source,
                time: row.at.into(),
                traceparent: row.traceparent,
                redrive: 0,
            };
            let data = body(&row.data);
            (
                row.account_id,
                Message {
                    subject: row.subject,
                    envelope,
                    data,
                },
            )
        })
        .collect())
}

fn body(data: &Value) -> Vec<u8> {
    serde_json::to_vec(data).expect("JSON is plain data")
}
