//! The search of what was said (`turn_words`): turns of the newest generation of each session.
//!
//! Found by an index that holds no text ([`find`]), read from the transcripts under row-level security,
//! and marked where the words are ([`mark`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Tx;
use crate::documents::transcript::Turn;
use crate::ids::{AccountId, SessionId};

/// Stands before, and behind, each word that was looked for. Nobody says them, and what came with them
/// is rid of them.
pub const MARKS: [char; 2] = ['\u{2}', '\u{3}'];

/// Where a turn stands in the order of a search: the best first, then the newest session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub rank: f32,
    pub session_id: SessionId,
    pub index: i32,
}

/// A turn that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub account_id: AccountId,
    pub position: Position,
    pub generation: i32,
    pub language: Option<String>,
    /// The text-search configuration of its language.
    pub config: String,
    pub turn: Turn,
}

/// Whether there is a word to look for.
pub async fn has_words(tx: &mut Tx, query: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select query_of('simple', $1) is not null as "has_words!""#,
        query,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The turns that the principal sees and that answer a search, behind `after`; with `originals` only of
/// sessions that they read as it was said.
pub async fn find(
    tx: &mut Tx,
    query: &str,
    originals: bool,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query!(
        // `||` takes the turns out of storage once a transcript; `->` alone would do so for each of them.
        r#"select r.account_id as "account_id!: AccountId", r.session_id as "session_id!: SessionId",
            r.generation as "generation!", f.index as "index!", f.rank as "rank!", r.language,
            search_config(r.language) as "config!", r.turns -> f.index as "turn!"
        from (
            select t.account_id, t.session_id, t.generation, t.language, found.indexes, found.ranks,
                t.turns || '[]'::jsonb as turns
            from (
                select account_id, session_id, generation, array_agg(index) as indexes,
                    array_agg(rank) as ranks
                from find_turns($1, $2, $3, $4, $5, $6) group by account_id, session_id, generation
            ) found
            join transcripts t on t.account_id = found.account_id and t.session_id = found.session_id
                and t.generation = found.generation
            offset 0
        ) r, unnest(r.indexes, r.ranks) f (index, rank)
        order by f.rank desc, r.session_id desc, f.index"#,
        query,
        originals,
        after.map(|after| after.rank),
        after.map(|after| after.session_id.0),
        after.map(|after| after.index),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Found {
                account_id: row.account_id,
                position: Position {
                    rank: row.rank,
                    session_id: row.session_id,
                    index: row.index,
                },
                generation: row.generation,
                language: row.language,
                config: row.config,
                turn: turn(row.turn)?,
            })
        })
        .collect()
}

/// The text of each with [`MARKS`] around the words of a search; `None` where it does not answer it: the
/// index keeps hashes of words, and other words may have the same.
pub async fn mark(
    tx: &mut Tx,
    query: &str,
    found: &[Found],
) -> Result<Vec<Option<String>>, sqlx::Error> {
    let configs: Vec<_> = found.iter().map(|found| found.config.clone()).collect();
    let texts: Vec<_> = found
        .iter()
        .map(|found| found.turn.text.replace(MARKS, ""))
        .collect();
    let options = format!(
        "HighlightAll=true, StartSel={}, StopSel={}",
        MARKS[0], MARKS[1]
    );
    sqlx::query_scalar!(
        r#"select case when to_tsvector(t.config::regconfig, t.text) @@ q.query
            then ts_headline(t.config::regconfig, t.text, q.query, $4) end as marked
        from unnest($1::text[], $2::text[]) with ordinality t (config, text, place),
            lateral websearch_to_tsquery(t.config::regconfig, $3) q (query)
        order by t.place"#,
        &configs,
        &texts,
        query,
        options,
    )
    .fetch_all(&mut **tx)
    .await
}

fn turn(stored: Value) -> Result<Turn, sqlx::Error> {
    serde_json::from_value(stored).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
