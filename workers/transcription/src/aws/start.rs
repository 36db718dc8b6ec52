//! Starts the jobs of a recording.

use std::time::Duration;

use aftercall::config;
use aftercall::db::recordings::Recording;
use aftercall::db::{Db, timeline, transcriptions};
use aftercall::documents::transcription_options::TranscriptionOptions;
use aftercall::events::{JobKind, StartedJob, TranscriptionStarted};
use aftercall::providers::object_store::ObjectStore;
use aftercall::worker::{Context, Failure};
use serde_json::json;

use super::client::Transcribe;
use super::codec::is_known_codec;
use super::cut::{self, Shape};
use super::engine;
use super::files::Files;
use super::request::{Limits, Plan, Request, media_format};
use crate::cutting::cannot_cut;
use crate::permission::Attempt;
use crate::{ROLE, download};

/// So many times longer than others a recording waits that is converted for each try.
const CONVERTED_PATIENCE: u32 = 10;

/// Gives recordings to Amazon Transcribe.
#[derive(Clone, Debug)]
pub struct Starter {
    db: Db,
    store: ObjectStore,
    service: Transcribe,
    settings: config::TranscribeJob,
    max_audio: Duration,
    limits: Limits,
}

impl Starter {
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
            settings: settings.job.clone(),
            max_audio: settings.max_audio,
            limits: Limits::SERVICE,
        }
    }

    /// With other limits than those of the service.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What is to be asked for, and the engine that would hear the recording. Nothing where what was
    /// asked for makes no sense.
    pub fn plan(
        &self,
        options: &TranscriptionOptions,
        recording: Option<&Recording>,
    ) -> (Option<Plan>, &'static str) {
        let plan = recording.and_then(|recording| Plan::of(&self.settings, options, recording));
        let kind = plan.as_ref().map_or(JobKind::Standard, |plan| plan.kind);
        (plan, engine(kind))
    }

    /// Starts whatever was not started before.
    pub async fn start(
        &self,
        attempt: Attempt<'_>,
        recording: &Recording,
        plan: &Plan,
        context: &Context,
    ) -> Result<TranscriptionStarted, Failure> {
        if let Some(started) = self.started_before(attempt).await? {
            return Ok(started);
        }
        let files = Files::of(&self.store, recording.account_id, recording.session_id);
        let base = plan.base_name(attempt.event, attempt.redrive);
        let taken =
            plan.takes(recording, &self.limits) && is_known_codec(&self.store, recording).await?;
        let jobs = if taken {
            let request = Request {
                media_uri: files.uri(&recording.object_key),
                media_format: media_format(&recording.content_type),
                ..self.request(&files, plan, format!("{base}-0"))
            };
            vec![self.give(attempt, request, 0).await?]
        } else {
            self.convert_and_give(attempt, recording, plan, &files, &base, context)
                .await?
        };
        self.record(attempt, plan, jobs).await
    }

    /// The fact of an earlier delivery of the same attempt: since then the settings may have changed,
    /// and with them the names of jobs.
    async fn started_before(
        &self,
        attempt: Attempt<'_>,
    ) -> Result<Option<TranscriptionStarted>, Failure> {
        let event = attempt.event;
        let mut tx = self.db.begin(ROLE).await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(None);
        };
        let fields = json!({
            "recording_id": event.recording_id,
            "generation": event.generation,
            "run": event.run,
            "redrive": attempt.redrive,
        });
        Ok(timeline::find(&mut tx, &session, fields).await?)
    }

    async fn convert_and_give(
        &self,
        attempt: Attempt<'_>,
        recording: &Recording,
        plan: &Plan,
        files: &Files,
        base: &str,
        context: &Context,
    ) -> Result<Vec<StartedJob>, Failure> {
        let shape = Shape::of(&self.limits, plan.kind, plan.channels, self.max_audio);
        let file = download(&self.store, recording).await?;
        let mut parts = cut::start(file, shape).await.map_err(cannot_cut)?;
        let mut jobs = Vec::new();
        while let Some(part) = parts.recv().await {
            let part = part.map_err(cannot_cut)?;
            if context.stopping().is_cancelled() {
                return Err(Failure::Retry(anyhow::anyhow!("the process stops")));
            }
            let name = format!("{base}-{}", jobs.len());
            let key = files.audio_key(&name);
            self.store.put_file(&key, "audio/wav", &part.path).await?;
            let request = Request {
                media_uri: files.uri(&key),
                media_format: media_format("audio/wav"),
                ..self.request(files, plan, name)
            };
            let given = self.give(attempt, request, part.start_ms).await;
            jobs.push(given.map_err(|failure| match failure {
                // Then all is converted once more: not every few seconds.
                Failure::NotYet(pause) => Failure::NotYet(pause.saturating_mul(CONVERTED_PATIENCE)),
                failure => failure,
            })?);
        }
        Ok(jobs)
    }

    fn request(&self, files: &Files, plan: &Plan, name: String) -> Request {
        let output_key = files.output_key(&name);
        Request {
            kind: plan.kind,
            bucket: self.store.bucket().to_owned(),
            output_uri: files.uri(&output_key),
            output_key,
            media_uri: String::new(),
            media_format: None,
            plan: plan.clone(),
            name,
        }
    }

    /// Asks right before the audio leaves.
    async fn give(
        &self,
        attempt: Attempt<'_>,
        request: Request,
        start_ms: i64,
    ) -> Result<StartedJob, Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let may_send = attempt.may_go_on(&mut tx).await?;
        tx.commit().await?;
        if !may_send {
            // The next delivery decides about the run as a whole.
            return Err(Failure::NotYet(Duration::ZERO));
        }
        if let Err(error) = self.service.start(&request).await {
            self.touch(attempt).await?;
            return Err(self.service.cannot_ask(error));
        }
        Ok(StartedJob {
            name: request.name,
            kind: request.kind,
            start_ms,
        })
    }

    /// What waits for the service is not lost: the reconciler need not ask for it.
    async fn touch(&self, attempt: Attempt<'_>) -> Result<(), Failure> {
        let event = attempt.event;
        let mut tx = self.db.begin(ROLE).await?;
        if let Some(session) = timeline::read(&mut tx, event.session_id).await? {
            let (account, generation) = (session.account_id, event.generation);
            transcriptions::touch(&mut tx, account, event.recording_id, generation).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Where the session is gone meanwhile nothing of it is published: what its jobs write is swept.
    async fn record(
        &self,
        attempt: Attempt<'_>,
        plan: &Plan,
        jobs: Vec<StartedJob>,
    ) -> Result<TranscriptionStarted, Failure> {
        let event = attempt.event;
        let started = TranscriptionStarted {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
            run: event.run,
            redrive: attempt.redrive,
            jobs,
            fell_back: plan.fell_back,
        };
        let mut tx = self.db.begin(ROLE).await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            // The next delivery finds nothing to do.
            return Err(Failure::NotYet(Duration::ZERO));
        };
        let (account, generation) = (session.account_id, event.generation);
        transcriptions::touch(&mut tx, account, event.recording_id, generation).await?;
        timeline::record(&mut tx, &session, &[started.clone().into()]).await?;
        tx.commit().await?;
        Ok(started)
    }
}
