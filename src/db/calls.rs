//! Calls: inserting many at once, each once.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sha2::{Digest, Sha256};

use super::Tx;
use crate::calls::{Direction, SentimentBy};
use crate::ids::{AccountId, CallId, ClientId, SessionId};
use crate::rollups::Counted;

/// What names a call.
pub type Key = (AccountId, CallId, ClientId);

/// A call that arrived.
#[derive(Clone, Debug)]
pub struct Arrived<'a> {
    pub id: CallId,
    pub received_at: Timestamp,
    pub counted: Counted,
    pub direction: Option<Direction>,
    pub sentiment_by: Option<SentimentBy>,
    pub client_inactive: bool,
    pub session_id: Option<SessionId>,
    /// The record as its agent sent it.
    pub record: &'a str,
    /// The message that carried it.
    pub stream_sequence: i64,
}

impl Arrived<'_> {
    pub fn key(&self) -> Key {
        (self.counted.account_id, self.id, self.counted.client_id)
    }
}

/// How calls of a client are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    pub is_active: bool,
    pub fetch_recordings: bool,
    pub analyze_calls: bool,
}

/// The settings of those clients that are there.
pub async fn clients(
    tx: &mut Tx,
    keys: &BTreeSet<(AccountId, ClientId)>,
) -> Result<HashMap<(AccountId, ClientId), ClientSettings>, sqlx::Error> {
    let (accounts, ids): (Vec<_>, Vec<_>) = keys.iter().map(|key| (key.0.0, key.1.0)).unzip();
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.id as "id: ClientId", c.is_active,
            c.fetch_recordings, c.analyze_calls
        from unnest($1::uuid[], $2::uuid[]) k (account_id, id)
        join clients c using (account_id, id)
        where c.erased_at is null"#,
        &accounts,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let settings = rows.into_iter().map(|row| {
        let settings = ClientSettings {
            is_active: row.is_active,
            fetch_recordings: row.fetch_recordings,
            analyze_calls: row.analyze_calls,
        };
        ((row.account_id, row.id), settings)
    });
    Ok(settings.collect())
}

/// Inserts the calls that are neither there nor erased; answers which. No key is in `calls` twice.
pub async fn insert(
    tx: &mut Tx,
    stream_created_at: Timestamp,
    calls: &[&Arrived<'_>],
) -> Result<HashSet<Key>, sqlx::Error> {
    macro_rules! column {
        ($of:expr) => {
            calls.iter().map($of).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"insert into calls (account_id, client_id, id, counted_at, received_at, direction, duration_ms,
            success, ended_reason, sentiment, sentiment_by, stt_ms, llm_ms, tts_ms, client_inactive,
            session_id, record, stream_created_at, stream_sequences)
        select c.account_id, c.client_id, c.id, c.counted_at, c.received_at, c.direction, c.duration_ms,
            c.success, c.ended_reason, c.sentiment, c.sentiment_by, c.stt_ms, c.llm_ms, c.tts_ms,
            c.client_inactive, c.session_id, c.record, $1, array[c.stream_sequence]
        from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::text[],
            $8::bigint[], $9::bool[], $10::text[], $11::text[], $12::text[], $13::float8[], $14::float8[],
            $15::float8[], $16::bool[], $17::uuid[], $18::text[], $19::bigint[])
            c (account_id, client_id, id, counted_at, received_at, direction, duration_ms, success,
                ended_reason, sentiment, sentiment_by, stt_ms, llm_ms, tts_ms, client_inactive, session_id,
                record, stream_sequence)
        where not exists (select from erased_calls e
            where e.account_id = c.account_id and e.call_id = c.id and e.client_id = c.client_id)
        order by c.account_id, c.id, c.client_id
        on conflict on constraint calls_pkey do nothing
        returning account_id as "account_id: AccountId", id as "id: CallId", client_id as "client_id: ClientId""#,
        stream_created_at.to_sqlx() as _,
        &column!(|call| call.counted.account_id.0),
        &column!(|call| call.counted.client_id.0),
        &column!(|call| call.id.0),
        &column!(|call| call.counted.at.to_sqlx()) as _,
        &column!(|call| call.received_at.to_sqlx()) as _,
        &column!(|call| call.direction.map(Direction::as_str)) as _,
        &column!(|call| call.counted.duration_ms) as _,
        &column!(|call| call.counted.success) as _,
        &column!(|call| call.counted.ended_reason.map(crate::rollups::EndedReason::as_str)) as _,
        &column!(|call| call.counted.sentiment.as_str()) as _,
        &column!(|call| call.sentiment_by.map(SentimentBy::as_str)) as _,
        &column!(|call| call.counted.latencies.stt_ms) as _,
        &column!(|call| call.counted.latencies.llm_ms) as _,
        &column!(|call| call.counted.latencies.tts_ms) as _,
        &column!(|call| call.client_inactive),
        &column!(|call| call.session_id.map(|id| id.0)) as _,
        &column!(|call| call.record) as _,
        &column!(|call| call.stream_sequence),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account_id, row.id, row.client_id))
        .collect())
}

/// Notes calls that were there before: the messages that carried them, and their bodies where they are
/// others. Erased calls are not there, and are left alone. A call may be in `repeats` more than once.
pub async fn note_repeats(
    tx: &mut Tx,
    stream_created_at: Timestamp,
    repeats: &[&Arrived<'_>],
) -> Result<(), sqlx::Error> {
    if repeats.is_empty() {
        return Ok(());
    }
    let stood = lock(tx, repeats).await?;
    note_messages(tx, stream_created_at, repeats).await?;
    let mut sorted = repeats.to_vec();
    sorted.sort_by_key(|call| call.key());
    for call in sorted {
        if let Some(Some(stood)) = stood.get(&call.key())
            && !is_same(stood, call.record)
        {
            insert_conflict(tx, stream_created_at, call).await?;
        }
    }
    Ok(())
}

/// Locks those calls that are there, in one order; answers their records.
async fn lock(
    tx: &mut Tx,
    calls: &[&Arrived<'_>],
) -> Result<HashMap<Key, Option<String>>, sqlx::Error> {
    let keys: BTreeSet<Key> = calls.iter().map(|call| call.key()).collect();
    let rows = sqlx::query!(
        r#"select c.account_id as "account_id: AccountId", c.id as "id: CallId",
            c.client_id as "client_id: ClientId", c.record
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) k (account_id, id, client_id)
        join calls c using (account_id, id, client_id)
        order by c.account_id, c.id, c.client_id
        for no key update of c"#,
        &keys.iter().map(|key| key.0.0).collect::<Vec<_>>(),
        &keys.iter().map(|key| key.1.0).collect::<Vec<_>>(),
        &keys.iter().map(|key| key.2.0).collect::<Vec<_>>(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let records = rows
        .into_iter()
        .map(|row| ((row.account_id, row.id, row.client_id), row.record));
    Ok(records.collect())
}

/// Adds to locked calls the messages that carried them again. What is noted already is not written: a
/// broker that lost acknowledgements brings whole frames once more.
async fn note_messages(
    tx: &mut Tx,
    stream_created_at: Timestamp,
    repeats: &[&Arrived<'_>],
) -> Result<(), sqlx::Error> {
    // A stream that was made anew took its messages with it, and their sequences mean others now.
    sqlx::query!(
        "update calls c set
            stream_sequences = case when c.stream_created_at <> $1 then k.sequences
                else c.stream_sequences || array(select s from unnest(k.sequences) s
                    where s <> all (c.stream_sequences)) end,
            stream_created_at = $1
        from (select account_id, id, client_id, array_agg(distinct sequence) as sequences
            from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) k (account_id, id, client_id, sequence)
            group by account_id, id, client_id) k
        where c.account_id = k.account_id and c.id = k.id and c.client_id = k.client_id
            and (c.stream_created_at <> $1 or not c.stream_sequences @> k.sequences)",
        stream_created_at.to_sqlx() as _,
        &repeats.iter().map(|call| call.counted.account_id.0).collect::<Vec<_>>(),
        &repeats.iter().map(|call| call.id.0).collect::<Vec<_>>(),
        &repeats.iter().map(|call| call.counted.client_id.0).collect::<Vec<_>>(),
        &repeats.iter().map(|call| call.stream_sequence).collect::<Vec<_>>(),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Whether two records say the same: their bytes, or else their values.
fn is_same(one: &str, other: &str) -> bool {
    let parse = |record| serde_json::from_str::<serde_json::Value>(record).ok();
    // What is nested too deep to be compared counts as another.
    one == other || parse(one).is_some_and(|one| Some(one) == parse(other))
}

async fn insert_conflict(
    tx: &mut Tx,
    stream_created_at: Timestamp,
    call: &Arrived<'_>,
) -> Result<(), sqlx::Error> {
    let (account_id, id, client_id) = call.key();
    let sha256 = Sha256::digest(call.record.as_bytes()).to_vec();
    sqlx::query!(
        "insert into call_conflicts as c (account_id, call_id, client_id, record_sha256, received_at, record,
            stream_created_at, stream_sequences)
        values ($1, $2, $3, $4, $5, $6, $7, array[$8::bigint])
        on conflict on constraint call_conflicts_pkey do update set
            stream_sequences = case when c.stream_created_at <> $7 then array[$8::bigint]
                when $8 = any (c.stream_sequences) then c.stream_sequences
                else c.stream_sequences || $8 end,
            stream_created_at = $7",
        account_id.0,
        id.0,
        client_id.0,
        sha256,
        call.received_at.to_sqlx() as _,
        call.record,
        stream_created_at.to_sqlx() as _,
        call.stream_sequence,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
