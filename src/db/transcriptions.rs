//! Transcriptions: what the engine makes of one recording for one generation, chunk by chunk.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use super::timeline::LockedSession;
use crate::documents::call_findings::CallFindings;
use crate::documents::transcript::{Turn, Word};
use crate::documents::transcription_options::TranscriptionOptions;
use crate::events::{TranscriptionFailed, TranscriptionRequested, TranscriptionSkipped};
use crate::ids::{AccountId, RecordingId, SessionId};

/// A transcription without its turns.
#[derive(Clone, Debug)]
pub struct Transcription {
    pub account_id: AccountId,
    pub session_id: SessionId,
    pub recording_id: RecordingId,
    pub generation: i32,
    pub run: i32,
    /// `requested`, `done`, `failed` or `skipped`.
    pub state: String,
    /// A `documents::transcription_options::TranscriptionOptions` where the request asked for something.
    pub options: Option<Value>,
}

/// What the engine found beside the words of a recording.
#[derive(Clone, Debug)]
pub struct Findings {
    pub recording_id: RecordingId,
    pub engine: Option<String>,
    pub note: Option<String>,
    /// A list of `documents::call_findings::CallFindings`, one for each part of the recording.
    pub findings: Option<Value>,
}

/// What the engine answered for one chunk of speech. Times count from the start of the recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub channel: i16,
    /// Counts from 0 within the channel.
    pub index: i32,
    /// The audio that was sent.
    pub start_ms: i64,
    pub end_ms: i64,
    /// The speech in it, without the margins.
    pub speech_start_ms: i64,
    pub speech_end_ms: i64,
    pub text: String,
    pub language: Option<String>,
    pub confidence: Option<f64>,
    /// From 0 to 1, as the engine says.
    pub no_speech_probability: Option<f64>,
    pub words: Option<Vec<Word>>,
}

/// The result of a transcription.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    pub language: Option<&'a str>,
    pub engine: &'a str,
    pub note: Option<&'a str>,
    pub turns: &'a [Turn],
    /// What the engine found beside the words.
    pub findings: Option<&'a [CallFindings]>,
}

/// What the keys of all files of transcription jobs begin with.
pub const JOB_FILES: &str = "transcriptions/";

/// What the keys of the files of a session's transcription jobs begin with: converted audio, and what a
/// speech service writes. Short, as those of recordings.
pub fn job_prefix(account: AccountId, session: SessionId) -> String {
    let (account, session) = (account.0.simple(), session.0.simple());
    format!("{JOB_FILES}{account}/{session}/")
}

/// The session that a file of a transcription job is of.
pub fn session_of_job_file(key: &str) -> Option<SessionId> {
    let session = key.strip_prefix(JOB_FILES)?.split('/').nth(1)?;
    uuid::Uuid::try_parse(session).ok().map(SessionId::from)
}

/// Asks for the transcription of a recording. Asked for already, it stays as it is.
pub async fn request(
    tx: &mut Tx,
    session: &LockedSession,
    recording_id: RecordingId,
    generation: i32,
) -> Result<(), sqlx::Error> {
    request_with(
        tx,
        session,
        recording_id,
        generation,
        &TranscriptionOptions::default(),
    )
    .await
}

/// The same, with options in place of the engine's settings.
pub async fn request_with(
    tx: &mut Tx,
    session: &LockedSession,
    recording_id: RecordingId,
    generation: i32,
    options: &TranscriptionOptions,
) -> Result<(), sqlx::Error> {
    let asked_for = (!options.is_empty())
        .then(|| serde_json::to_value(options).expect("options are plain data"));
    sqlx::query!(
        "with asked as (
            insert into transcriptions (account_id, recording_id, generation, session_id, options)
            values ($1, $2, $3, $4, $5) on conflict on constraint transcriptions_pkey do nothing
        )
        update sessions set transcript_generation = greatest(transcript_generation, $3)
        where account_id = $1 and id = $4",
        session.account_id.0,
        recording_id.0,
        generation,
        session.session_id.0,
        asked_for,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

pub async fn get(
    tx: &mut Tx,
    recording_id: RecordingId,
    generation: i32,
) -> Result<Option<Transcription>, sqlx::Error> {
    sqlx::query_as!(
        Transcription,
        r#"select account_id as "account_id: AccountId", session_id as "session_id: SessionId",
            recording_id as "recording_id: RecordingId", generation, run, state, options
        from transcriptions where recording_id = $1 and generation = $2"#,
        recording_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The transcriptions of a session, oldest generation first.
pub async fn of_session(
    tx: &mut Tx,
    session_id: SessionId,
) -> Result<Vec<Transcription>, sqlx::Error> {
    sqlx::query_as!(
        Transcription,
        r#"select account_id as "account_id: AccountId", session_id as "session_id: SessionId",
            recording_id as "recording_id: RecordingId", generation, run, state, options
        from transcriptions where session_id = $1 order by generation, recording_id"#,
        session_id.0,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Whether a transcription of the session is asked for and has not ended.
pub async fn is_running(tx: &mut Tx, session_id: SessionId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from transcriptions where session_id = $1 and state = 'requested')
            as "running!""#,
        session_id.0,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The chunks that are stored, by channel and index.
pub async fn chunks(
    tx: &mut Tx,
    account_id: AccountId,
    recording_id: RecordingId,
    generation: i32,
) -> Result<Vec<Chunk>, sqlx::Error> {
    let rows = sqlx::query!(
        "select channel, index, start_ms, end_ms, speech_start_ms, speech_end_ms, text, language,
            confidence, no_speech_probability, words
        from transcription_chunks
        where account_id = $1 and recording_id = $2 and generation = $3 order by channel, index",
        account_id.0,
        recording_id.0,
        generation,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Chunk {
                channel: row.channel,
                index: row.index,
                start_ms: row.start_ms,
                end_ms: row.end_ms,
                speech_start_ms: row.speech_start_ms,
                speech_end_ms: row.speech_end_ms,
                text: row.text,
                language: row.language,
                confidence: row.confidence,
                no_speech_probability: row.no_speech_probability,
                words: row
                    .words
                    .map(serde_json::from_value)
                    .transpose()
                    .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            })
        })
        .collect()
}

/// Stores a chunk; the first answer stands.
pub async fn insert_chunk(
    tx: &mut Tx,
    account_id: AccountId,
    recording_id: RecordingId,
    generation: i32,
    chunk: &Chunk,
) -> Result<(), sqlx::Error> {
    let words = chunk
        .words
        .as_ref()
        .map(|w| serde_json::to_value(w).expect("words are plain data"));
    sqlx::query!(
        "insert into transcription_chunks (account_id, recording_id, generation, channel, index,
            start_ms, end_ms, speech_start_ms, speech_end_ms, text, language, confidence,
            no_speech_probability, words)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        on conflict on constraint transcription_chunks_pkey do nothing",
        account_id.0,
        recording_id.0,
        generation,
        chunk.channel,
        chunk.index,
        chunk.start_ms,
        chunk.end_ms,
        chunk.speech_start_ms,
        chunk.speech_end_ms,
        chunk.text,
        chunk.language,
        chunk.confidence,
        chunk.no_speech_probability,
        words,
    )
    .execute(&mut **tx)
    .await?;
    touch(tx, account_id, recording_id, generation).await
}

/// Notes that it is being worked on: the reconciler asks only for what has been silent.
pub async fn touch(
    tx: &mut Tx,
    account_id: AccountId,
    recording_id: RecordingId,
    generation: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update transcriptions set updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and generation = $3",
        account_id.0,
        recording_id.0,
        generation,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// What was found beside the words of each recording that a generation of the session's transcript is
/// made of, in the order of upload.
pub async fn findings(
    tx: &mut Tx,
    session_id: SessionId,
    generation: i32,
) -> Result<Vec<Findings>, sqlx::Error> {
    sqlx::query_as!(
        Findings,
        r#"select r.id as "recording_id: RecordingId", t.engine, t.note, t.findings
        from recordings r
        join lateral (
            select state, engine, note, findings from transcriptions t
            where t.account_id = r.account_id and t.recording_id = r.id and t.generation <= $2
            order by t.generation desc limit 1
        ) t on t.state = 'done'
        where r.session_id = $1 order by r.position"#,
        session_id.0,
        generation,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Of some sessions those with a transcription that has begun and not ended, or that failed and may be
/// redriven: no later one has taken its place.
pub async fn unfinished_sessions(
    tx: &mut Tx,
    sessions: &[SessionId],
) -> Result<Vec<SessionId>, sqlx::Error> {
    let ids: Vec<_> = sessions.iter().map(|id| id.0).collect();
    sqlx::query_scalar!(
        r#"select distinct session_id as "session_id: SessionId" from transcriptions t
        where session_id = any ($1) and (state = 'requested' or (state = 'failed' and not exists (
            select from transcriptions n where n.account_id = t.account_id
                and n.recording_id = t.recording_id and n.generation > t.generation
                and n.state = 'done')))"#,
        &ids,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Writes the result; the first stands. Answers whether this was it.
pub async fn finish(
    tx: &mut Tx,
    account_id: AccountId,
    recording_id: RecordingId,
    generation: i32,
    outcome: &Outcome<'_>,
) -> Result<bool, sqlx::Error> {
    let turns = serde_json::to_value(outcome.turns).expect("turns are plain data");
    let findings = outcome
        .findings
        .map(|found| serde_json::to_value(found).expect("findings are plain data"));
    sqlx::query!(
        "update transcriptions set state = 'done', language = $4, engine = $5, note = $6,
            turns = $7, findings = $8, updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and generation = $3 and state <> 'done'",
        account_id.0,
        recording_id.0,
        generation,
        outcome.language,
        outcome.engine,
        outcome.note,
        turns,
        findings,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Marks a run failed, unless a newer run has begun.
pub async fn mark_failed(
    tx: &mut Tx,
    account_id: AccountId,
    failed: &TranscriptionFailed,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update transcriptions set state = 'failed', updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and generation = $3 and run = $4
            and state = 'requested'",
        account_id.0,
        failed.recording_id.0,
        failed.generation,
        failed.run,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Marks a run skipped, unless a newer run has begun.
pub async fn mark_skipped(
    tx: &mut Tx,
    account_id: AccountId,
    skipped: &TranscriptionSkipped,
) -> Result<(), sqlx::Error> {
    // A redriven run is still marked failed.
    sqlx::query!(
        "update transcriptions set state = 'skipped', updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and generation = $3 and run = $4
            and state in ('requested', 'failed')",
        account_id.0,
        skipped.recording_id.0,
        skipped.generation,
        skipped.run,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Begins the next run of a transcription that failed or was skipped; answers its number, or `None`.
pub async fn retry(
    tx: &mut Tx,
    account_id: AccountId,
    recording_id: RecordingId,
    generation: i32,
) -> Result<Option<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "update transcriptions set state = 'requested', run = run + 1, updated_at = clock_timestamp()
        where account_id = $1 and recording_id = $2 and generation = $3 and state in ('failed', 'skipped')
        returning run",
        account_id.0,
        recording_id.0,
        generation,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Claims transcriptions that are to be asked for again: they have waited since before `before`, or
/// they are done and the transcript of their generation was never made, because the last recording
/// that it waited for turned out to be no audio. One that waits for a person is not such a recording.
pub async fn claim_unfinished(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<TranscriptionRequested>, sqlx::Error> {
    sqlx::query_as!(
        TranscriptionRequested,
        r#"update transcriptions set updated_at = clock_timestamp()
        where (account_id, recording_id, generation) in (
            select t.account_id, t.recording_id, t.generation from transcriptions t
            where t.updated_at < $1 and (t.state = 'requested' or (t.state = 'done' and not exists (
                select from transcripts s where s.account_id = t.account_id
                    and s.session_id = t.session_id and s.generation >= t.generation) and not exists (
                select from transcriptions w where w.account_id = t.account_id
                    and w.session_id = t.session_id and w.generation = t.generation
                    and w.state in ('failed', 'skipped'))))
            order by t.updated_at limit $2 for update skip locked
        )
        returning session_id as "session_id: SessionId", recording_id as "recording_id: RecordingId",
            generation, run"#,
        jiff_sqlx::Timestamp::from(before) as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await
}
