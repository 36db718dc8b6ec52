//! `transcription.started` → `recording.transcribed` or `transcription.skipped`, and with a session's
//! last recording `transcript.completed` and `analysis.requested`

use std::time::Duration;

use aftercall::config;
use aftercall::db::recordings::Recording;
use aftercall::db::{Db, timeline, transcriptions};
use aftercall::documents::call_findings::CallFindings;
use aftercall::documents::transcript::{NO_SPEECH, NOT_TWO_CHANNELS};
use aftercall::events::{
    JobKind, StartedJob, TranscriptionFailed, TranscriptionRequested, TranscriptionStarted,
};
use aftercall::providers::object_store::ObjectStore;
use aftercall::worker::{Context, Failure, Handler};

use crate::ROLE;
use crate::aws::call_analytics::{self, Place};
use crate::aws::client::{Finished, Progress, Transcribe};
use crate::aws::error::TranscribeError;
use crate::aws::files::{Files, ReadError};
use crate::aws::lines::{self, Part};
use crate::aws::{OutputError, engine, failure, standard};
use crate::conclude::{self, Published};
use crate::permission::{Admission, Attempt};

/// Jobs take a fraction of their audio's length; a long one is asked about less often, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const PAUSES_PER_LENGTH: i64 = 20;
const NOT_READABLE: &str = "What Amazon Transcribe wrote could not be read.";

/// Asks the speech service about the jobs of a recording until all are done, and reads what they wrote.
#[derive(Clone, Debug)]
pub struct CollectTranscript {
    db: Db,
    store: ObjectStore,
    service: Transcribe,
    /// Shortest pause between two questions.
    poll: Duration,
    /// Where a job does not say it.
    agent_channel: u16,
}

/// What all jobs wrote.
struct Collected {
    parts: Vec<Part>,
    language: Option<String>,
    findings: Vec<CallFindings>,
}

impl CollectTranscript {
    pub fn new(
        db: Db,
        store: ObjectStore,
        service: Transcribe,
        settings: &config::AwsTranscribe,
    ) -> Self {
        Self {
            db,
            store,
            service,
            poll: settings.poll,
            agent_channel: settings.job.agent_channel.into(),
        }
    }

    /// How far all jobs are together; `None` while one of them runs.
    async fn progress(
        &self,
        jobs: &[StartedJob],
    ) -> Result<Option<Result<Vec<Finished>, String>>, Failure> {
        let mut done = Vec::new();
        let mut failed = None;
        let mut running = false;
        for job in jobs {
            let progress = self.service.progress(job.kind, &job.name).await;
            match progress.map_err(|error| self.service.cannot_ask(error))? {
                Progress::Running => running = true,
                Progress::Done(finished) => done.push(finished),
                Progress::Failed { reason } => {
                    failed.get_or_insert_with(|| failure::sentence(reason.as_deref()));
                }
            }
        }
        if running {
            return Ok(None);
        }
        Ok(Some(failed.map_or(Ok(done), Err)))
    }

    async fn read(
        &self,
        files: &Files,
        jobs: &[StartedJob],
        done: Vec<Finished>,
    ) -> Result<Collected, Failure> {
        let mut collected = Collected {
            parts: Vec::new(),
            language: None,
            findings: Vec::new(),
        };
        for (job, finished) in jobs.iter().zip(done) {
            let output = files.output(&job.name, finished.written_to.as_deref());
            let bytes = output.await.map_err(cannot_read)?;
            let place = Place {
                start_ms: job.start_ms,
                agent_channel: finished.agent_channel.unwrap_or(self.agent_channel),
            };
            let kind = job.kind;
            // Hours of speech take a while to read.
            let read = tokio::task::spawn_blocking(move || read(kind, &bytes, place)).await?;
            let (found, lines, findings) =
                read.map_err(|error| Failure::reject_because(NOT_READABLE, error))?;
            collected.language = collected.language.or(finished.language).or(found);
            collected.findings.extend(findings);
            collected.parts.push(Part {
                start_ms: job.start_ms,
                lines,
            });
        }
        Ok(collected)
    }

    /// Waits for the end of jobs that nobody wants any more, and clears away what they leave. The
    /// service ends no job before it is done.
    async fn abandon(&self, event: &TranscriptionStarted) -> Result<(), Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let session = timeline::read(&mut tx, event.session_id).await?;
        tx.commit().await?;
        let Some(session) = session else {
            // The session is gone as a whole: maintenance sweeps what is below its prefix.
            return Ok(());
        };
        for job in &event.jobs {
            match self.service.progress(job.kind, &job.name).await {
                Ok(Progress::Running) => return Err(Failure::NotYet(LONGEST_PAUSE)),
                // The service forgets jobs after a while.
                Ok(_) | Err(TranscribeError::NotFound) => {}
                Err(error) => return Err(self.service.cannot_ask(error)),
            }
        }
        let files = Files::of(&self.store, session.account_id, event.session_id);
        clear(&files, &event.jobs).await
    }

    /// Clears away what is done.
    async fn clear(&self, event: &TranscriptionStarted) -> Result<(), Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let session = timeline::read(&mut tx, event.session_id).await?;
        tx.commit().await?;
        match session {
            Some(session) => {
                let files = Files::of(&self.store, session.account_id, event.session_id);
                clear(&files, &event.jobs).await
            }
            None => Ok(()),
        }
    }

    /// When to ask again.
    fn not_yet(&self, recording: &Recording) -> Failure {
        let length_ms = recording.duration_ms.unwrap_or_default();
        let fraction = Duration::from_millis((length_ms / PAUSES_PER_LENGTH).unsigned_abs());
        let pause = fraction.min(LONGEST_PAUSE).max(self.poll);
        Failure::NotYet(pause)
    }

    async fn collect(
        &self,
        attempt: Attempt<'_>,
        event: &TranscriptionStarted,
        recording: &Recording,
    ) -> Result<Vec<Published>, Failure> {
        // Whatever the service answers, the reconciler need not ask for what is waited for.
        let mut tx = self.db.begin(ROLE).await?;
        let (account, generation) = (recording.account_id, event.generation);
        transcriptions::touch(&mut tx, account, recording.id, generation).await?;
        tx.commit().await?;
        let Some(ended) = self.progress(&event.jobs).await? else {
            return Err(self.not_yet(recording));
        };
        let files = Files::of(&self.store, recording.account_id, event.session_id);
        let done = match ended {
            Ok(done) => done,
            Err(reason) => {
                clear(&files, &event.jobs).await?;
                return Err(Failure::reject(reason));
            }
        };
        let collected = self.read(&files, &event.jobs, done).await?;
        let turns = lines::turns(recording.id, collected.parts);
        let note = if turns.is_empty() {
            Some(NO_SPEECH)
        } else {
            event.fell_back.then_some(NOT_TWO_CHANNELS)
        };
        let outcome = transcriptions::Outcome {
            language: collected.language.as_deref(),
            engine: attempt.engine,
            note,
            turns: &turns,
            findings: (!collected.findings.is_empty()).then_some(&collected.findings),
        };
        let published = conclude::conclude(&self.db, attempt, Some(&outcome)).await?;
        clear(&files, &event.jobs).await?;
        Ok(published)
    }
}

impl Handler for CollectTranscript {
    const NAME: &'static str = "collect-transcript";
    const GAVE_UP: &'static str = "The speech service could not transcribe the recording.";
    type Consumes = TranscriptionStarted;
    type Publishes = Published;
    type Fails = TranscriptionFailed;

    async fn handle(
        &self,
        event: TranscriptionStarted,
        context: &Context,
    ) -> Result<Vec<Published>, Failure> {
        let requested = TranscriptionRequested {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
            run: event.run,
        };
        let kind = event.jobs.first().map_or(JobKind::Standard, |job| job.kind);
        let attempt = Attempt {
            event: &requested,
            redrive: redrives(&event, context.redrive()),
            engine: engine(kind),
        };
        match attempt.admit(&self.db).await? {
            Admission::Hear(recording) => self.collect(attempt, &event, &recording).await,
            Admission::Done => {
                let published = conclude::conclude(&self.db, attempt, None).await?;
                self.clear(&event).await?;
                Ok(published)
            }
            Admission::Skipped(skipped) => {
                self.abandon(&event).await?;
                Ok(vec![skipped.into()])
            }
            Admission::Gone => {
                self.abandon(&event).await?;
                Ok(Vec::new())
            }
        }
    }

    fn failed(
        &self,
        event: &TranscriptionStarted,
        redrive: u32,
        reason: String,
    ) -> Option<TranscriptionFailed> {
        Some(TranscriptionFailed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
            run: event.run,
            redrive: redrives(event, redrive),
            reason,
        })
    }
}

/// A redrive of the run may have started what is collected, and collecting may itself be redriven.
fn redrives(event: &TranscriptionStarted, redrive: u32) -> i32 {
    let redrive = i32::try_from(redrive).unwrap_or(i32::MAX);
    event.redrive.saturating_add(redrive)
}

async fn clear(files: &Files, jobs: &[StartedJob]) -> Result<(), Failure> {
    for job in jobs {
        files.remove(&job.name).await?;
    }
    Ok(())
}

fn cannot_read(error: ReadError) -> Failure {
    match error {
        ReadError::Store(error) => Failure::Retry(error.into()),
        error @ ReadError::TooLarge { .. } => Failure::reject_because(NOT_READABLE, error),
    }
}

type Read = (Option<String>, Vec<lines::Line>, Option<CallFindings>);

fn read(kind: JobKind, bytes: &[u8], place: Place) -> Result<Read, OutputError> {
    Ok(match kind {
        JobKind::Standard => {
            let output = standard::parse(bytes)?;
            (output.language, output.lines, None)
        }
        JobKind::CallAnalytics => {
            let output = call_analytics::parse(bytes, place)?;
            (output.language, output.lines, Some(output.findings))
        }
    })
}
