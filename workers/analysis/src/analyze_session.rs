//! `analysis.requested` → `analysis.completed`

use aftercall::db::{Db, Principal, WorkerRole, analyses, timeline, transcripts};
use aftercall::events::{AnalysisCompleted, AnalysisFailed, AnalysisRequested};
use aftercall::worker::{Context, Failure, Handler};

use crate::local;

/// Analyses a generation of a session's transcript with the local engine.
#[derive(Clone, Debug)]
pub struct AnalyzeSession {
    db: Db,
}

impl AnalyzeSession {
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

impl Handler for AnalyzeSession {
    const NAME: &'static str = "analyze-session";
    const GAVE_UP: &'static str = "The transcript could not be analysed.";
    type Consumes = AnalysisRequested;
    type Publishes = AnalysisCompleted;
    type Fails = AnalysisFailed;

    async fn handle(
        &self,
        event: AnalysisRequested,
        _context: &Context,
    ) -> Result<Vec<AnalysisCompleted>, Failure> {
        let mut tx = self
            .db
            .begin(Principal::Worker(WorkerRole::Analysis))
            .await?;
        let generation = Some(event.transcript_generation);
        let transcript = transcripts::get(&mut tx, event.session_id, generation)
            .await
            .map_err(unreadable)?;
        tx.commit().await?;
        let Some(transcript) = transcript else {
            // The request is written after the transcript, in one transaction: the session is gone.
            tracing::info!(session_id = %event.session_id, "nothing to analyse");
            return Ok(Vec::new());
        };
        let analysis = tokio::task::spawn_blocking(move || local::analyze(&transcript)).await?;
        let document = serde_json::to_value(&analysis)?;

        let mut tx = self
            .db
            .begin(Principal::Worker(WorkerRole::Analysis))
            .await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(Vec::new());
        };
        let completed = AnalysisCompleted {
            session_id: event.session_id,
            generation: event.generation,
            transcript_generation: event.transcript_generation,
        };
        analyses::finish(
            &mut tx,
            session.account_id,
            event.session_id,
            event.generation,
            &analysis.engine.name,
            &document,
        )
        .await?;
        timeline::record(&mut tx, &session, &[completed.clone().into()]).await?;
        tx.commit().await?;
        Ok(vec![completed])
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

/// What is stored in another shape will not change by itself.
fn unreadable(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Decode(_) => Failure::reject_because("The transcript cannot be read.", error),
        error => Failure::Retry(error.into()),
    }
}
