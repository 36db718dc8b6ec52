//! `recording.uploaded` → `recording.stored`, `transcription.requested`

use std::time::Duration;

use aftercall::db::recordings::{self, Probed, Recording};
use aftercall::db::timeline::{self, LockedSession};
use aftercall::db::{Db, Principal, Tx, WorkerRole, transcriptions, transcripts};
use aftercall::events::{
    Fact, Publishes as _, RecordingFailed, RecordingStored, RecordingUploaded,
    TranscriptionRequested,
};
use aftercall::providers::object_store::ObjectStore;
use aftercall::worker::{Context, Failure, Handler};
use anyhow::Context as _;

use crate::check::{check, damaged};

aftercall::publishes! {
    /// What follows when a recording is stored.
    pub enum Published { RecordingStored, TranscriptionRequested }
}

/// Checks that a recording arrived as it was sent and that it is audio.
#[derive(Clone, Debug)]
pub struct StoreRecording {
    db: Db,
    store: ObjectStore,
    max_audio: Duration,
}

impl StoreRecording {
    /// `max_audio` is the longest recording that is accepted, by its decoded length.
    pub fn new(db: Db, store: ObjectStore, max_audio: Duration) -> Self {
        Self {
            db,
            store,
            max_audio,
        }
    }

    async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.db.begin(Principal::Worker(WorkerRole::Storage)).await
    }

    /// Reads the object and decodes it.
    async fn probe(&self, recording: &Recording, context: &Context) -> Result<Probed, Failure> {
        let file = tempfile::tempfile().context("a temporary file")?;
        let mut file = tokio::fs::File::from_std(file);
        let len = self
            .store
            .download(&recording.object_key, &mut file)
            .await?;
        if i64::try_from(len)? != recording.size_bytes {
            return Err(damaged());
        }
        let file = file.into_std().await;
        let (sha256, max_audio) = (recording.sha256.clone(), self.max_audio);
        let stopping = context.stopping().clone();
        tokio::task::spawn_blocking(move || check(file, &sha256, max_audio, stopping)).await?
    }

    /// Writes the result; the first stands.
    async fn finish(
        &self,
        event: &RecordingUploaded,
        probed: Probed,
    ) -> Result<Vec<Published>, Failure> {
        let mut tx = self.begin().await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(Vec::new());
        };
        let (account_id, id) = (session.account_id, event.recording_id);
        recordings::mark_stored(&mut tx, account_id, id, probed).await?;
        let recording = recordings::get(&mut tx, id).await?;
        let Some(recording) = recording.filter(|recording| recording.state != "erased") else {
            return Ok(Vec::new());
        };
        let published = follow(&mut tx, &session, &recording).await?;
        let facts: Vec<Fact> = published
            .iter()
            .cloned()
            .map(Published::into_fact)
            .collect();
        timeline::record(&mut tx, &session, &facts).await?;
        tx.commit().await?;
        Ok(published)
    }
}

impl Handler for StoreRecording {
    const NAME: &'static str = "store-recording";
    const GAVE_UP: &'static str = "The recording could not be stored.";
    type Consumes = RecordingUploaded;
    type Publishes = Published;
    type Fails = RecordingFailed;

    async fn handle(
        &self,
        event: RecordingUploaded,
        context: &Context,
    ) -> Result<Vec<Published>, Failure> {
        let mut tx = self.begin().await?;
        let recording = recordings::get(&mut tx, event.recording_id).await?;
        tx.commit().await?;
        let Some(recording) = recording.filter(|recording| recording.state != "erased") else {
            // Its row is older than the event: it was erased.
            tracing::info!(recording_id = %event.recording_id, "nothing to store");
            return Ok(Vec::new());
        };
        let probed = match stored(&recording) {
            Some(probed) => probed,
            None => self.probe(&recording, context).await?,
        };
        self.finish(&event, probed).await
    }

    fn failed(
        &self,
        event: &RecordingUploaded,
        redrive: u32,
        reason: String,
    ) -> Option<RecordingFailed> {
        Some(RecordingFailed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            run: event.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}

/// What was found when the recording was stored; `None` before.
fn stored(recording: &Recording) -> Option<Probed> {
    Some(Probed {
        duration_ms: recording.duration_ms?,
        channels: recording.channels?,
        sample_rate_hz: recording.sample_rate_hz?,
    })
}

/// The facts of a stored recording; its transcription is asked for if the session wants it.
async fn follow(
    tx: &mut Tx,
    session: &LockedSession,
    recording: &Recording,
) -> Result<Vec<Published>, Failure> {
    let (session_id, recording_id) = (recording.session_id, recording.id);
    let probed = stored(recording).context("a stored recording is probed")?;
    let stored = RecordingStored {
        session_id,
        recording_id,
        duration_ms: probed.duration_ms,
        channels: probed.channels,
        sample_rate_hz: probed.sample_rate_hz,
    };
    let mut published = vec![stored.into()];
    if session.auto_transcribe {
        let generation = generation(tx, session, recording).await?;
        transcriptions::request(tx, session, recording_id, generation).await?;
        let requested = TranscriptionRequested {
            session_id,
            recording_id,
            generation,
            run: 1,
        };
        published.push(requested.into());
    }
    Ok(published)
}

/// The generation that the recording's first transcription is for: the one it was asked for already,
/// else the one that is still being made, else the next.
async fn generation(
    tx: &mut Tx,
    session: &LockedSession,
    recording: &Recording,
) -> Result<i32, sqlx::Error> {
    let asked = transcriptions::of_session(tx, session.session_id).await?;
    if let Some(first) = asked
        .iter()
        .find(|asked| asked.recording_id == recording.id)
    {
        return Ok(first.generation);
    }
    let written = transcripts::last_written(tx, session.session_id).await?;
    Ok(session.transcript_generation.max(written + 1))
}
