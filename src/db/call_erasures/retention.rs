//! What calls said, blanked when it is older than the policy of its account lets it become.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::letters::strike;
use super::messages::note;
use super::{Subject, Work, count, open};
use crate::bus::CALLS;
use crate::db::Tx;
use crate::db::erasure_sessions::{Destroyed, Step};
use crate::db::erasures::Reason;
use crate::events::calls_ended;
use crate::ids::{AccountId, ClientId};

/// A client of whose calls some said something for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    pub account_id: AccountId,
    pub client_id: ClientId,
    /// Where to begin.
    pub from: Timestamp,
    /// What counts before is too old.
    pub made_before: Timestamp,
}

/// Clients with calls whose text is too old at `now`. Once a day each is looked at from its oldest call.
pub async fn overdue(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Overdue>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.id as "client_id: ClientId",
            k.since as "since!: jiff_sqlx::Timestamp", k.until as "until!: jiff_sqlx::Timestamp"
        from account_policies p
        join clients c on c.account_id = p.account_id and c.erased_at is null
        left join call_retention r on r.account_id = c.account_id and r.client_id = c.id
        cross join lateral (select
            case when r.began_at > $1::timestamptz - interval '1 day' then r.blanked_before
                else 'epoch'::timestamptz - interval '100 years' end as since,
            $1::timestamptz - make_interval(days => p.keep_transcripts_days) as until) k
        where p.keep_transcripts_days is not null
            -- Whoever is due is gone through, and then not due again for a day, also when nothing is found.
            and (r.began_at <= $1::timestamptz - interval '1 day'
                or exists (select from calls o where o.account_id = c.account_id and o.client_id = c.id
                    and o.counted_at >= k.since and o.counted_at < k.until and o.record is not null))
        limit $2"#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Overdue {
            account_id: row.account_id,
            client_id: row.client_id,
            from: row.since.to_jiff(),
            made_before: row.until.to_jiff(),
        })
        .collect())
}

/// Blanks the text of at most `limit` calls and notes their messages; answers how many calls that were,
/// and the erasure that will destroy the messages. Rows and rollups stay.
pub async fn blank(
    tx: &mut Tx,
    old: Overdue,
    limit: i64,
) -> Result<Option<(usize, Work)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with old as (
            select id from calls where account_id = $1 and client_id = $2 and counted_at >= $3
                and counted_at < $4 and record is not null
            order by counted_at limit $5
        ), locked as (
            select c.id from calls c where c.account_id = $1 and c.client_id = $2
                and c.id in (select id from old) order by c.id for no key update
        )
        update calls c set record = null from locked
        where c.account_id = $1 and c.client_id = $2 and c.id = locked.id
        returning c.id, c.stream_created_at as "stream_created_at: jiff_sqlx::Timestamp", c.stream_sequences"#,
        old.account_id.0,
        old.client_id.0,
        old.from.to_sqlx() as _,
        old.made_before.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let blanked = rows.len();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut places = Vec::new();
    for row in rows {
        let created_at = row.stream_created_at.to_jiff();
        places.extend(
            row.stream_sequences
                .iter()
                .map(|sequence| (created_at, *sequence)),
        );
    }
    let conflicts = sqlx::query!(
        r#"update call_conflicts set record = null
        where account_id = $1 and client_id = $2 and call_id = any ($3) and record is not null
        returning stream_created_at as "stream_created_at: jiff_sqlx::Timestamp", stream_sequences"#,
        old.account_id.0,
        old.client_id.0,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let conflicting = conflicts.len();
    for row in conflicts {
        let created_at = row.stream_created_at.to_jiff();
        places.extend(
            row.stream_sequences
                .iter()
                .map(|sequence| (created_at, *sequence)),
        );
    }
    let work = begin(tx, old).await?;
    note(tx, &work, CALLS, &places).await?;
    let destroyed = [
        Destroyed::of("postgres", "records of calls", blanked),
        Destroyed::of("postgres", "records of conflicting calls", conflicting),
    ];
    count(tx, &work, &destroyed).await?;
    Ok(Some((blanked, work)))
}

/// Clients of which a dead letter keeps a call that came too long ago at `now`.
pub async fn overdue_letters(tx: &mut Tx, now: Timestamp) -> Result<Vec<Overdue>, sqlx::Error> {
    let policies = sqlx::query!(
        r#"select account_id as "account_id: AccountId",
            $1::timestamptz - make_interval(days => keep_transcripts_days) as "until!: jiff_sqlx::Timestamp"
        from account_policies where keep_transcripts_days is not null"#,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let policies: HashMap<_, _> = policies
        .into_iter()
        .map(|row| (row.account_id, row.until.to_jiff()))
        .collect();
    let Some(newest) = policies.values().max().copied() else {
        return Ok(Vec::new());
    };
    let mut letters = sqlx::query_scalar!(
        "select data from dead_letters where subject = $1 and died_at < $2",
        calls_ended::SUBJECT,
        newest.to_sqlx() as _,
    )
    .fetch(&mut **tx);
    let mut found = BTreeMap::new();
    while let Some(letter) = letters.try_next().await? {
        for line in calls_ended::lines(&letter) {
            if let Ok(line) = calls_ended::read_line(line)
                && let Some(until) = policies.get(&line.account_id)
                && line.received_at < *until
            {
                found.insert((line.account_id, line.client_id), *until);
            }
        }
    }
    let overdue = found
        .into_iter()
        .map(|((account_id, client_id), made_before)| Overdue {
            account_id,
            client_id,
            from: Timestamp::UNIX_EPOCH,
            made_before,
        });
    Ok(overdue.collect())
}

/// Takes what came too long ago out of dead letters; answers the erasure that will destroy the messages.
pub async fn strike_old(tx: &mut Tx, old: Overdue) -> Result<Work, sqlx::Error> {
    let work = begin(tx, old).await?;
    strike(tx, &work).await?;
    Ok(work)
}

/// Notes that no text older than that is left.
pub async fn went_through(tx: &mut Tx, old: Overdue, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into call_retention as r (account_id, client_id, blanked_before, began_at)
        values ($1, $2, $3, $4)
        on conflict on constraint call_retention_pkey do update set blanked_before = $3,
            began_at = case when r.began_at > $4::timestamptz - interval '1 day' then r.began_at else $4 end",
        old.account_id.0,
        old.client_id.0,
        old.made_before.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

async fn begin(tx: &mut Tx, old: Overdue) -> Result<Work, sqlx::Error> {
    let subject = Subject {
        client_id: old.client_id,
        call_id: None,
    };
    let parts = ["transcript"];
    let erasure_id = open(tx, old.account_id, subject, &parts, Reason::Retention).await?;
    sqlx::query!(
        "insert into erasure_calls (account_id, erasure_id, client_id, made_before) values ($1, $2, $3, $4)",
        old.account_id.0,
        erasure_id.0,
        old.client_id.0,
        old.made_before.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(Work {
        account_id: old.account_id,
        erasure_id,
        subject,
        made_before: Some(old.made_before),
        step: Step::Requested,
    })
}
