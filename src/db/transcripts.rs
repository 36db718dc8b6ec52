//! The session's transcript: generations composed of its recordings' transcriptions, or corrected by a
//! person.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::types::Json;

use super::Tx;
use super::timeline::LockedSession;
use crate::documents::correction::{Changes, Correction};
use crate::documents::transcript::{NO_SPEECH, Transcript, Turn};
use crate::ids::{RecordingId, SessionId, UserId};

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
        turns.extend(decode::<Vec<Turn>>(
            part.turns.unwrap_or(Value::Array(Vec::new())),
        )?);
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

/// Writes the next generation of a locked session's transcript: `base`, the newest, with other turns.
///
/// Recordings whose turns have changed get a transcription of this generation, so that what is composed
/// later, with a recording that came late, holds the correction. Call it only where nothing is being
/// transcribed: the generation of a run that is under way would be older than this one.
pub async fn correct(
    tx: &mut Tx,
    session: &LockedSession,
    base: &Transcript,
    turns: &[Turn],
    by: UserId,
    changes: &Changes,
) -> Result<i32, sqlx::Error> {
    let generation = session.transcript_generation.max(base.generation) + 1;
    sqlx::query!(
        "insert into transcripts (account_id, session_id, generation, language, engine, duration_ms,
            note, turns, corrects, corrected_by, changes)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        session.account_id.0,
        session.session_id.0,
        generation,
        base.language,
        base.engine,
        base.duration_ms,
        base.note,
        // Written as they are: a tree of values takes several times their size.
        Json(turns) as _,
        base.generation,
        by.0,
        serde_json::to_value(changes).expect("changes are plain data"),
    )
    .execute(&mut **tx)
    .await?;
    // What was asked of the engine, and what it found, stay those of what it heard. A transcript that
    // came with a call was made of no transcription: nothing is inserted.
    sqlx::query!(
        "insert into transcriptions (account_id, recording_id, generation, session_id, state, language,
            engine, note, turns, options, findings)
        select account_id, recording_id, $3, session_id, 'done', language, engine, note,
            $4::jsonb -> recording_id::text, options, findings
        from (
            select distinct on (recording_id) * from transcriptions
            where account_id = $1 and session_id = $2 and state = 'done' and generation <= $5
            order by recording_id, generation desc
        ) heard
        where $4::jsonb ? recording_id::text",
        session.account_id.0,
        session.session_id.0,
        generation,
        Json(changed_recordings(base, turns)) as _,
        base.generation,
    )
    .execute(&mut **tx)
    .await?;
    let names: Vec<_> = changes.speakers.iter().map(|it| it.to.clone()).collect();
    sqlx::query!(
        "update sessions set transcript_generation = $3,
            speaker_names = speaker_names || array(
                select name from unnest($4::text[]) name where name <> all (speaker_names))
        where account_id = $1 and id = $2",
        session.account_id.0,
        session.session_id.0,
        generation,
        &names,
    )
    .execute(&mut **tx)
    .await?;
    Ok(generation)
}

/// A generation of a session's transcript, the newest where none is named.
pub async fn get(
    tx: &mut Tx,
    session_id: SessionId,
    generation: Option<i32>,
) -> Result<Option<Transcript>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select generation, language, engine, duration_ms, note,
            turns as "turns: Json<Vec<Turn>>", created_at, corrects,
            corrected_by as "corrected_by: UserId", changes
        from transcripts where session_id = $1 and ($2::int is null or generation = $2)
        order by generation desc limit 1"#,
        session_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(undecoded)?;
    row.map(|row| {
        let correction = match (row.corrects, row.corrected_by, row.changes) {
            (Some(corrects), Some(by), Some(changes)) => Some(Correction {
                corrects,
                by,
                changes: decode(changes)?,
            }),
            _ => None,
        };
        Ok(Transcript {
            session_id,
            generation: row.generation,
            language: row.language,
            engine: row.engine,
            duration_ms: row.duration_ms,
            note: row.note,
            turns: row.turns.0,
            created_at: row.created_at.into(),
            correction,
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

/// All turns of each recording that has one which differs.
fn changed_recordings<'a>(
    base: &Transcript,
    turns: &'a [Turn],
) -> HashMap<RecordingId, Vec<&'a Turn>> {
    let mut changed: HashMap<_, _> = base
        .turns
        .iter()
        .zip(turns)
        .filter(|(before, after)| before != after)
        .map(|(_, after)| (after.recording_id, Vec::new()))
        .collect();
    for turn in turns {
        if let Some(turns) = changed.get_mut(&turn.recording_id) {
            turns.push(turn);
        }
    }
    changed
}

/// Turns are read from the row itself: a tree of values in between takes several times their size.
fn undecoded(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::ColumnDecode { source, .. } => sqlx::Error::Decode(source),
        error => error,
    }
}

fn decode<T: serde::de::DeserializeOwned>(stored: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(stored).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

/// The one language of all parts that name one, or `None` where they differ.
fn common<'a>(languages: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    let mut named = languages.flatten();
    let first = named.next()?;
    named.all(|language| language == first).then_some(first)
}
