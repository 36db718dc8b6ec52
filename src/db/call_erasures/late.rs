//! Erased calls that come all the same: sent again, redriven, or in a frame that had waited.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::bus::CALLS;
use crate::db::Tx;
use crate::db::calls::Key;
use crate::ids::{AccountId, CallId, ClientId};

/// Of calls that arrived and were not inserted, notes those that are erased, or whose client is, with the
/// message of the stream CALLS that carries each; answers them. They are neither kept nor given up: the
/// erasure goes on and destroys their messages once everybody has acknowledged them.
///
/// For the fold, in its transaction and after [`insert`](crate::db::calls::insert): with the keys that it
/// did not insert, and those whose client [`clients`](crate::db::calls::clients) does not know.
pub async fn note_late(
    tx: &mut Tx,
    stream_created_at: Timestamp,
    arrived: &[(Key, i64)],
) -> Result<HashSet<Key>, sqlx::Error> {
    if arrived.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<_> = arrived.iter().map(|(key, _)| *key).collect();
    let erased = reopened(tx, &keys).await?;
    if erased.is_empty() {
        return Ok(HashSet::new());
    }
    let accounts: Vec<_> = arrived.iter().map(|(key, _)| key.0.0).collect();
    let calls: Vec<_> = arrived.iter().map(|(key, _)| key.1.0).collect();
    let clients: Vec<_> = arrived.iter().map(|(key, _)| key.2.0).collect();
    let sequences: Vec<_> = arrived.iter().map(|(_, sequence)| *sequence).collect();
    sqlx::query!(
        "insert into erasure_messages (account_id, erasure_id, stream, stream_created_at, stream_sequence)
        select distinct e.account_id, e.erasure_id, $5::text, $6::timestamptz, k.sequence
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[]) k (account_id, call_id, client_id, sequence)
        join erasure_calls e using (account_id, client_id)
        where e.made_before is null and (e.call_id is null or e.call_id = k.call_id)
        on conflict on constraint erasure_messages_pkey do nothing",
        &accounts,
        &calls,
        &clients,
        &sequences,
        CALLS,
        stream_created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(erased)
}

/// Of calls that came in a dead letter, those that are erased; their erasures go on.
pub async fn is_erased(tx: &mut Tx, keys: &[Key]) -> Result<HashSet<Key>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    reopened(tx, keys).await
}

/// Which calls are erased. Their erasures are gone through once more.
async fn reopened(tx: &mut Tx, keys: &[Key]) -> Result<HashSet<Key>, sqlx::Error> {
    let accounts: Vec<_> = keys.iter().map(|key| key.0.0).collect();
    let calls: Vec<_> = keys.iter().map(|key| key.1.0).collect();
    let clients: Vec<_> = keys.iter().map(|key| key.2.0).collect();
    // Locked in one order: two folds may bring calls of the same erasures.
    let rows = sqlx::query!(
        r#"with named as (
            select distinct k.*, e.erasure_id
            from unnest($1::uuid[], $2::uuid[], $3::uuid[]) k (account_id, call_id, client_id)
            join erasure_calls e using (account_id, client_id)
            where e.made_before is null and (e.call_id is null or e.call_id = k.call_id)
        ), locked as (
            select e.account_id, e.erasure_id from erasure_calls e
            where (e.account_id, e.erasure_id) in (select account_id, erasure_id from named)
            order by e.account_id, e.erasure_id for no key update
        ), gone_on as (
            update erasure_calls e set updated_at = clock_timestamp(), completed_at = null,
                state = case e.state when 'requested' then e.state else 'settling' end
            from locked where e.account_id = locked.account_id and e.erasure_id = locked.erasure_id
        )
        select account_id as "account_id!: AccountId", call_id as "call_id!: CallId",
            client_id as "client_id!: ClientId" from named"#,
        &accounts,
        &calls,
        &clients,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account_id, row.call_id, row.client_id))
        .collect())
}
