//! `analysis.requested` → `analysis.completed` or `analysis.skipped`

use aftercall::db::{
    Db, Principal, Tx, WorkerRole, analyses, declared_names, model_requests, sessions, timeline,
    transcripts,
};
use aftercall::documents::analysis::Analysis;
use aftercall::events::{AnalysisCompleted, AnalysisFailed, AnalysisRequested};
use aftercall::worker::{Context, Failure, Handler};

use crate::engine::Engine;
use crate::llm::Job;
use crate::permission::Attempt;

aftercall::publishes! {
    /// What follows when a transcript is analysed, or may not be.
    pub enum Published { AnalysisCompleted, AnalysisSkipped }
}

/// Analyses a generation of a session's transcript.
#[derive(Clone, Debug)]
pub struct AnalyzeSession {
    db: Db,
    engine: Engine,
}

impl AnalyzeSession {
    pub fn new(db: Db, engine: Engine) -> Self {
        Self { db, engine }
    }

    async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.db.begin(Principal::Worker(WorkerRole::Analysis)).await
    }

    /// What there is to read, or what is published without reading it.
    async fn load(&self, attempt: Attempt<'_>) -> Result<Result<Job, Vec<Published>>, Failure> {
        let event = attempt.event;
        let mut tx = self.begin().await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(Err(Vec::new()));
        };
        let generations = analyses::generations(&mut tx, event.session_id).await?;
        let asked = generations
            .into_iter()
            .find(|asked| asked.generation == event.generation);
        // Without the row the analysis was erased.
        let Some(asked) = asked else {
            return Ok(Err(Vec::new()));
        };
        if asked.state == "done" {
            return Ok(Err(vec![completed(event).into()]));
        }
        if let Some(skipped) = attempt.skipped(&mut tx, &session).await? {
            tx.commit().await?;
            return Ok(Err(vec![skipped.into()]));
        }
        let generation = Some(event.transcript_generation);
        let transcript = transcripts::get(&mut tx, event.session_id, generation)
            .await
            .map_err(unreadable)?;
        // The request is written after the transcript, in one transaction: without it the session, or
        // its text, was erased.
        let Some(transcript) = transcript else {
            return Ok(Err(Vec::new()));
        };
        let names = declared_names::of_session(&mut tx, event.session_id).await?;
        let schema = sessions::custom_fields_schema(&mut tx, event.session_id).await?;
        tx.commit().await?;
        Ok(Ok(Job {
            of: model_requests::Analysis {
                account_id: session.account_id,
                session_id: event.session_id,
                generation: event.generation,
                run: event.run,
            },
            transcript,
            names,
            custom_fields_schema: schema,
        }))
    }

    /// Writes the analysis; the first stands. One that may not be kept any more is dropped.
    async fn finish(
        &self,
        attempt: Attempt<'_>,
        analysis: Analysis,
    ) -> Result<Vec<Published>, Failure> {
        let event = attempt.event;
        let document = serde_json::to_value(&analysis)?;
        let mut tx = self.begin().await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(Vec::new());
        };
        if let Some(skipped) = attempt.skipped(&mut tx, &session).await? {
            tx.commit().await?;
            return Ok(vec![skipped.into()]);
        }
        analyses::finish(
            &mut tx,
            session.account_id,
            event.session_id,
            event.generation,
            &analysis.engine.name,
            &document,
        )
        .await?;
        let (account, generation) = (session.account_id, event.generation);
        model_requests::forget_answers(&mut tx, account, event.session_id, generation).await?;
        let completed = completed(event);
        timeline::record(&mut tx, &session, &[completed.clone().into()]).await?;
        tx.commit().await?;
        Ok(vec![completed.into()])
    }
}

impl Handler for AnalyzeSession {
    const NAME: &'static str = "analyze-session";
    const GAVE_UP: &'static str = "The transcript could not be analysed.";
    type Consumes = AnalysisRequested;
    type Publishes = Published;
    type Fails = AnalysisFailed;

    async fn handle(
        &self,
        event: AnalysisRequested,
        context: &Context,
    ) -> Result<Vec<Published>, Failure> {
        let attempt = Attempt {
            event: &event,
            redrive: i32::try_from(context.redrive()).unwrap_or(i32::MAX),
            engine: self.engine.name(),
        };
        let job = match self.load(attempt).await? {
            Ok(job) => job,
            Err(published) => {
                tracing::info!(session_id = %event.session_id, "nothing to analyse");
                return Ok(published);
            }
        };
        let analysis = self
            .engine
            .analyze(&self.db, job, context.stopping())
            .await?;
        self.finish(attempt, analysis).await
    }

    fn failed(
        &self,
        event: &AnalysisRequested,
        redrive: u32,
        reason: String,
    ) -> Option<AnalysisFailed> {
        Some(AnalysisFailed {
            session_id: event.session_id,
            generation: event.generation,
            run: event.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}

fn completed(event: &AnalysisRequested) -> AnalysisCompleted {
    AnalysisCompleted {
        session_id: event.session_id,
        generation: event.generation,
        transcript_generation: event.transcript_generation,
    }
}

/// What is stored in another shape will not change by itself.
fn unreadable(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Decode(_) => Failure::reject_because("The transcript cannot be read.", error),
        error => Failure::Retry(error.into()),
    }
}
