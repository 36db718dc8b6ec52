//! Whether a transcript may be analysed: decided before the engine reads it, and again when its answer is
//! written, because consent may be withdrawn meanwhile.

use aftercall::db::timeline::{self, LockedSession, RecordError};
use aftercall::db::{Tx, policies};
use aftercall::events::{AnalysisRequested, AnalysisSkipped};
use serde_json::json;

/// One attempt at an analysis.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub event: &'a AnalysisRequested,
    /// Which redrive of the run this is; 0 is the run itself.
    pub redrive: i32,
    /// Who would read the transcript, as analyses name it.
    pub engine: &'a str,
}

impl Attempt<'_> {
    /// The skip of this attempt, if it was skipped already or the rules forbid it now; recorded in
    /// `tx`. A skipped run is over: what changed since makes another one.
    pub async fn skipped(
        &self,
        tx: &mut Tx,
        session: &LockedSession,
    ) -> Result<Option<AnalysisSkipped>, RecordError> {
        let (generation, run, redrive) = (self.event.generation, self.event.run, self.redrive);
        let attempt = json!({ "generation": generation, "run": run, "redrive": redrive });
        if let Some(skipped) = timeline::find(tx, session, attempt).await? {
            return Ok(Some(skipped));
        }
        let rules = policies::rules(tx, session.session_id).await?;
        let Err(skip) = rules.unwrap_or_default().may_analyze(self.engine) else {
            return Ok(None);
        };
        let skipped = AnalysisSkipped {
            session_id: session.session_id,
            generation,
            run,
            redrive,
            reason_code: skip.code,
            reason: skip.reason.to_owned(),
        };
        timeline::record(tx, session, &[skipped.clone().into()]).await?;
        Ok(Some(skipped))
    }
}
