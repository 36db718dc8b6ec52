//! Hears recordings by a speech-to-text server, chunk by chunk.

use std::collections::HashMap;
use std::time::Duration;

use aftercall::db::recordings::Recording;
use aftercall::db::transcriptions::{self, Chunk as StoredChunk};
use aftercall::db::{Db, timeline};
use aftercall::documents::transcript::NO_SPEECH;
use aftercall::documents::transcription_options::TranscriptionOptions;
use aftercall::events::{TranscriptProgressed, TranscriptionRequested};
use aftercall::providers::object_store::ObjectStore;
use aftercall::providers::openai_audio::{self, OpenAiAudio, TranscriptionError};
use aftercall::worker::{Context, Failure};
use tokio::time::Instant;

use crate::chunks::Chunk;
use crate::conclude::{self, Published};
use crate::cutting::{self, Cutting, cannot_cut};
use crate::permission::Attempt;
use crate::turns::{HeardChunk, build_turns};
use crate::{ROLE, download, wav};

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Pause when the engine is busy and does not say for how long.
const BUSY_PAUSE: Duration = Duration::from_secs(30);

/// A server, and what is kept of its answers. A chunk that is stored is not asked for again.
pub struct SpeechServer {
    db: Db,
    store: ObjectStore,
    engine: OpenAiAudio,
    /// What transcripts name as their engine.
    name: String,
    max_audio: Duration,
}

impl SpeechServer {
    pub fn new(
        db: Db,
        store: ObjectStore,
        engine: OpenAiAudio,
        name: String,
        max_audio: Duration,
    ) -> Self {
        Self {
            db,
            store,
            engine,
            name,
            max_audio,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hears a whole recording and writes what follows.
    pub async fn transcribe(
        &self,
        attempt: Attempt<'_>,
        options: &TranscriptionOptions,
        recording: &Recording,
        context: &Context,
    ) -> Result<Vec<Published>, Failure> {
        let file = download(&self.store, recording).await?;
        let cutting = cutting::start(file, self.max_audio)
            .await
            .map_err(cannot_cut)?;
        let heard = self
            .hear(attempt, options, recording, cutting, context)
            .await?;
        let Some((chunks, channels)) = heard else {
            // The next delivery decides about the run as a whole.
            return Err(Failure::NotYet(Duration::ZERO));
        };
        let language = chunks.iter().find_map(|chunk| chunk.language.clone());
        let turns = build_turns(
            recording.id,
            channels,
            chunks.into_iter().map(HeardChunk::from).collect(),
        );
        let outcome = transcriptions::Outcome {
            language: language.as_deref(),
            engine: &self.name,
            note: turns.is_empty().then_some(NO_SPEECH),
            turns: &turns,
            findings: None,
        };
        Ok(conclude::conclude(&self.db, attempt, Some(&outcome)).await?)
    }

    /// Sends what is not stored yet to the engine; answers all chunks, and the channels that can be
    /// told apart. `None` when it may not go on.
    async fn hear(
        &self,
        attempt: Attempt<'_>,
        options: &TranscriptionOptions,
        recording: &Recording,
        mut cutting: Cutting,
        context: &Context,
    ) -> Result<Option<(Vec<StoredChunk>, u16)>, Failure> {
        let event = attempt.event;
        let mut stored = self.stored(recording, event.generation).await?;
        let mut heard = Vec::new();
        let mut told = Instant::now();
        while let Some(chunk) = cutting.next().await {
            let chunk = chunk.map_err(cannot_cut)?;
            let end_ms = chunk.end_ms;
            let chunk = match stored.remove(&key(&chunk)) {
                Some(chunk) => chunk,
                None => match self.hear_chunk(attempt, options, recording, chunk).await? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            heard.push(chunk);
            if context.stopping().is_cancelled() {
                return Err(Failure::Retry(anyhow::anyhow!("the process stops")));
            }
            if told.elapsed() >= PROGRESS_EVERY {
                // What is heard is kept all the same: nobody loses an attempt over a progress bar.
                if let Err(failure) = self.tell_progress(event, recording, end_ms, context).await {
                    tracing::warn!(?failure, "progress is not told");
                }
                told = Instant::now();
            }
        }
        Ok(Some((heard, cutting.distinct_channels())))
    }

    async fn stored(
        &self,
        recording: &Recording,
        generation: i32,
    ) -> Result<HashMap<(i16, i32), StoredChunk>, Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let account = recording.account_id;
        let chunks = transcriptions::chunks(&mut tx, account, recording.id, generation).await?;
        tx.commit().await?;
        Ok(chunks
            .into_iter()
            .map(|chunk| ((chunk.channel, chunk.index), chunk))
            .collect())
    }

    /// Asks right before the audio leaves, and again before its text is kept: the engine may take long.
    async fn hear_chunk(
        &self,
        attempt: Attempt<'_>,
        options: &TranscriptionOptions,
        recording: &Recording,
        chunk: Chunk,
    ) -> Result<Option<StoredChunk>, Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let may_send = attempt.may_go_on(&mut tx).await?;
        tx.commit().await?;
        if !may_send {
            return Ok(None);
        }
        let (channel, index) = key(&chunk);
        let length = Duration::from_millis((chunk.end_ms - chunk.start_ms).unsigned_abs());
        let heard = self
            .engine
            .transcribe_in(
                options.language.as_deref(),
                wav::encode(&chunk.samples),
                length,
            )
            .await
            .map_err(cannot_hear)?;
        let chunk = StoredChunk {
            channel,
            index,
            start_ms: chunk.start_ms,
            end_ms: chunk.end_ms,
            speech_start_ms: chunk.speech_start_ms,
            speech_end_ms: chunk.speech_end_ms,
            // Postgres keeps no U+0000, and nobody said it.
            text: heard.text.replace('\0', ""),
            language: heard.language,
            confidence: heard.confidence,
            no_speech_probability: heard.no_speech_probability,
            words: heard.words,
        };
        let mut tx = self.db.begin(ROLE).await?;
        if !attempt.may_go_on(&mut tx).await? {
            return Ok(None);
        }
        let account = recording.account_id;
        let generation = attempt.event.generation;
        transcriptions::insert_chunk(&mut tx, account, recording.id, generation, &chunk).await?;
        tx.commit().await?;
        Ok(Some(chunk))
    }

    async fn tell_progress(
        &self,
        event: &TranscriptionRequested,
        recording: &Recording,
        done_ms: i64,
        context: &Context,
    ) -> Result<(), Failure> {
        let fact = TranscriptProgressed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
            done_ms,
            total_ms: recording.duration_ms.unwrap_or(done_ms),
        };
        let mut tx = self.db.begin(ROLE).await?;
        if let Some(session) = timeline::lock(&mut tx, event.session_id).await? {
            timeline::record(&mut tx, &session, &[fact.clone().into()]).await?;
        }
        tx.commit().await?;
        context.publish(&fact.into()).await?;
        Ok(())
    }
}

fn key(chunk: &Chunk) -> (i16, i32) {
    let channel = i16::try_from(chunk.channel).expect("decoding accepts few channels");
    let index = i32::try_from(chunk.index).expect("hours of audio have few chunks");
    (channel, index)
}

/// A refusal is for good; what is busy or broken is tried again.
fn cannot_hear(error: TranscriptionError) -> Failure {
    match error {
        TranscriptionError::RateLimited { retry_after } => {
            Failure::NotYet(retry_after.unwrap_or(BUSY_PAUSE))
        }
        TranscriptionError::Rejected { .. } => {
            Failure::reject_because("The speech service refused the recording.", error)
        }
        TranscriptionError::Unavailable { .. } | TranscriptionError::Malformed { .. } => {
            Failure::Retry(error.into())
        }
    }
}

impl From<StoredChunk> for HeardChunk {
    fn from(chunk: StoredChunk) -> Self {
        Self {
            channel: chunk.channel.unsigned_abs(),
            start_ms: chunk.start_ms,
            speech_start_ms: chunk.speech_start_ms,
            speech_end_ms: chunk.speech_end_ms,
            heard: openai_audio::Transcription {
                text: chunk.text,
                language: chunk.language,
                confidence: chunk.confidence,
                no_speech_probability: chunk.no_speech_probability,
                words: chunk.words,
                segments: Vec::new(),
            },
        }
    }
}
