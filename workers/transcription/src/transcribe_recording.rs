//! `transcription.requested` → `recording.transcribed` or `transcription.skipped`, and with a session's
//! last recording `transcript.completed` and `analysis.requested`; or `transcription.started`, where the
//! speech service is asked for the result later

use std::sync::Arc;

use aftercall::db::recordings;
use aftercall::db::{Db, transcriptions};
use aftercall::documents::transcription_options::TranscriptionOptions;
use aftercall::events::{TranscriptionFailed, TranscriptionRequested};
use aftercall::worker::{Context, Failure, Handler};

use crate::ROLE;
use crate::aws::Starter;
use crate::aws::request::Plan;
use crate::conclude::{self, Published};
use crate::permission::{Admission, Attempt};
use crate::speech_server::SpeechServer;

aftercall::publishes! {
    /// What follows when a transcription was asked for.
    pub enum Begun {
        TranscriptionStarted, RecordingTranscribed, TranscriptionSkipped, TranscriptCompleted,
        AnalysisRequested,
    }
}

/// Transcribes one recording, or has it transcribed.
#[derive(Clone)]
pub struct TranscribeRecording {
    db: Db,
    engine: Engine,
}

/// Who hears recordings.
#[derive(Clone)]
pub enum Engine {
    /// A server that answers at once.
    Server(Arc<SpeechServer>),
    /// A service that is asked again: [`CollectTranscript`](crate::CollectTranscript) does.
    Aws(Arc<Starter>),
}

impl TranscribeRecording {
    pub fn new(db: Db, engine: Engine) -> Self {
        Self { db, engine }
    }

    /// What the request asked for, and with a service what is to be asked of it; the engine's name.
    async fn asked(
        &self,
        event: &TranscriptionRequested,
    ) -> Result<(TranscriptionOptions, Option<Plan>, String), Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let asked = transcriptions::get(&mut tx, event.recording_id, event.generation).await?;
        let recording = recordings::get(&mut tx, event.recording_id).await?;
        tx.commit().await?;
        let options = asked.and_then(|asked| asked.options);
        let options: TranscriptionOptions = options
            .map(serde_json::from_value)
            .transpose()?
            .unwrap_or_default();
        Ok(match &self.engine {
            Engine::Server(server) => (options, None, server.name().to_owned()),
            Engine::Aws(starter) => {
                let (plan, engine) = starter.plan(&options, recording.as_ref());
                (options, plan, engine.to_owned())
            }
        })
    }
}

impl Handler for TranscribeRecording {
    const NAME: &'static str = "transcribe-recording";
    const GAVE_UP: &'static str = "The speech service could not transcribe the recording.";
    type Consumes = TranscriptionRequested;
    type Publishes = Begun;
    type Fails = TranscriptionFailed;

    async fn handle(
        &self,
        event: TranscriptionRequested,
        context: &Context,
    ) -> Result<Vec<Begun>, Failure> {
        let (options, plan, engine) = self.asked(&event).await?;
        let attempt = Attempt {
            event: &event,
            redrive: i32::try_from(context.redrive()).unwrap_or(i32::MAX),
            engine: &engine,
        };
        let recording = match attempt.admit(&self.db).await? {
            Admission::Hear(recording) => recording,
            Admission::Done => {
                return Ok(begun(conclude::conclude(&self.db, attempt, None).await?));
            }
            Admission::Skipped(skipped) => return Ok(vec![skipped.into()]),
            Admission::Gone => {
                tracing::info!(session_id = %event.session_id, "nothing to transcribe");
                return Ok(Vec::new());
            }
        };
        match (&self.engine, plan) {
            // Asked to leave personal data out, nobody keeps it in silently.
            (Engine::Server(_), _) if options.redact_pii == Some(true) => Err(Failure::reject(
                "This speech engine cannot leave personal data out of the transcript.",
            )),
            (Engine::Server(server), _) => {
                let transcribed = server.transcribe(attempt, &options, &recording, context);
                Ok(begun(transcribed.await?))
            }
            (Engine::Aws(starter), Some(plan)) => {
                let started = starter.start(attempt, &recording, &plan, context).await?;
                Ok(vec![started.into()])
            }
            (Engine::Aws(_), None) => Err(Failure::reject(
                "A custom vocabulary needs the language that it belongs to.",
            )),
        }
    }

    fn failed(
        &self,
        event: &TranscriptionRequested,
        redrive: u32,
        reason: String,
    ) -> Option<TranscriptionFailed> {
        Some(TranscriptionFailed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
            run: event.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}

fn begun(published: Vec<Published>) -> Vec<Begun> {
    published.into_iter().map(Begun::from).collect()
}

impl From<Published> for Begun {
    fn from(published: Published) -> Self {
        match published {
            Published::RecordingTranscribed(fact) => fact.into(),
            Published::TranscriptionSkipped(fact) => fact.into(),
            Published::TranscriptCompleted(fact) => fact.into(),
            Published::AnalysisRequested(fact) => fact.into(),
        }
    }
}
