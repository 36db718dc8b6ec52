//! The session's transcript: generations composed of its recordings' transcriptions.

use serde_json::Value;

use super::Tx;
use super::timeline::LockedSession;
use crate::documents::transcript::{NO_SPEECH, Transcript, Turn};
use crate::ids::SessionId;

/// Composes a generation of a locked session's transcript, if everything it is made of is there.
///
/// It holds each recording's newest transcription up to the generation, in the order of upload.
/// Left out are recordings that turned out to be no audio, those of which nothing is left and, where
/// nothing is transcribed by itself, those that nobody asked for; one that is still being checked or
/// transcribed, or whose transcription failed or was skipped, is waited for. Answers the generation when
/// this call wrote it or it was there already, and `None` while something is missing.
pub async fn compose(
    tx: &mut Tx,
    session: &LockedSession,
    generation: i32,
) -> Result<Option<i32>, sqlx::Error> {
    let parts = sqlx::query!(
        r#"select r.duration_ms, t.state as "state?", t.language, t.engine, t.note, t.turns
        from recordings r
        left join lateral (
            select state, language, engine, note, turns from transcriptions t
            where t.account_id = r.account_id and t.recording_id = r.id and t.generation <= $3
            order by t.generation desc limit 1
        ) t on true
        where r.account_id = $1 and r.session_id = $2 and r.state <> 'failed'
            and (t.state is not null or ($4 and r.state <> 'erased' and not r.transcript_erased))
        order by r.position"#,
        session.account_id.0,
        session.session_id.0,
        generation,
        session.auto_transcribe,
    )
    .fetch_all(&mut **tx)
    .await?;
    if parts.is_empty()
        || parts
            .iter()
            .any(|part| part.state.as_deref() != Some("done"))
    {
        return Ok(None);
    }
    let duration_ms: i64 = parts.iter().filter_map(|part| part.duration_ms).sum();
    let language = common(parts.iter().map(|part| part.language.as_deref())).map(str::to_owned);
    let engine = parts
        .iter()
        .find_map(|part| part.engine.clone())
        .unwrap_or_default();
    let note = parts
        .iter()
        .find_map(|part| part.note.clone().filter(|note| note != NO_SPEECH));
    let mut turns: Vec<Turn> = Vec::new();
    for part in parts {
        turns.extend(decode(part.turns.unwrap_or(Value::Array(Vec::new())))?);
    }
    for (index, turn) in (0_u32..).zip(&mut turns) {
        turn.index = index;
    }
    // That one recording holds no speech says nothing of the others.
    let note = if turns.is_empty() {
        Some(NO_SPEECH.to_owned())
    } else {
        note
    };
    sqlx::query!(
        "insert into transcripts
            (account_id, session_id, generation, language, engine, duration_ms, note, turns)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict on constraint transcripts_pkey do nothing",
        session.account_id.0,
        session.session_id.0,
        generation,
        language,
        engine,
        duration_ms,
        note,
        serde_json::to_value(&turns).expect("turns are plain data"),
    )
    .execute(&mut **tx)
    .await?;
    Ok(Some(generation))
}

/// A generation of a session's transcript, the newest where none is named.
pub async fn get(
    tx: &mut Tx,
    session_id: SessionId,
    generation: Option<i32>,
) -> Result<Option<Transcript>, sqlx::Error> {
    let row = sqlx::query!(
        "select generation, language, engine, duration_ms, note, turns, created_at
        from transcripts where session_id = $1 and ($2::int is null or generation = $2)
        order by generation desc limit 1",
        session_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Transcript {
            session_id,
            generation: row.generation,
            language: row.language,
            engine: row.engine,
            duration_ms: row.duration_ms,
            note: row.note,
            turns: decode(row.turns)?,
            created_at: row.created_at.into(),
        })
    })
    .transpose()
}

/// The newest generation that is written; 0 before the first.
pub async fn newest_generation(tx: &mut Tx, session_id: SessionId) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(max(generation), 0) as "generation!" from transcripts where session_id = $1"#,
        session_id.0,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The newest generation that was ever written, be it erased since; 0 before the first.
pub async fn last_written(tx: &mut Tx, session_id: SessionId) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(max((data ->> 'generation')::int), 0) as "generation!" from session_events
        where session_id = $1 and type = 'transcript.completed'"#,
        session_id.0,
    )
    .fetch_one(&mut **tx)
    .await
}

fn decode(turns: Value) -> Result<Vec<Turn>, sqlx::Error> {
    serde_json::from_value(turns).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

/// The one language of all parts that name one, or `None` where they differ.
fn common<'a>(languages: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let mut named = languages.flatten();
    let first = named.next()?;
    named.all(|language| language == first).then_some(first)
}
