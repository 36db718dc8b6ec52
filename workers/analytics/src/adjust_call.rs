//! `analysis.completed` → a call and its rollups that say what the analysis found

use std::convert::Infallible;

use aftercall::bus::Bus;
use aftercall::calls::SentimentBy;
use aftercall::db::call_sessions::{self, Adjustable};
use aftercall::db::rollups::{self, Hold};
use aftercall::db::{Db, Principal, WorkerRole, analyses};
use aftercall::documents::analysis::Analysis;
use aftercall::events::AnalysisCompleted;
use aftercall::ids::AccountId;
use aftercall::rollups::Deltas;
use aftercall::worker::{Context, Failure, Handler};

use crate::lexicon::word_of;
use crate::wake::wake;

const ROLE: Principal = Principal::Worker(WorkerRole::Analytics);

/// Adjusts the call that a session was made of to the newest analysis of it.
///
/// What the agent said stands: an analysis replaces what the lexicon found, or another analysis, and
/// fills in what nobody said.
#[derive(Clone, Debug)]
pub struct AdjustCall {
    db: Db,
    bus: Bus,
}

impl AdjustCall {
    pub fn new(db: Db, bus: Bus) -> Self {
        Self { db, bus }
    }

    /// Answers whose call was changed; `None` where nothing was.
    async fn adjust(&self, event: &AnalysisCompleted) -> Result<Option<AccountId>, Failure> {
        let mut tx = self.db.begin(ROLE).await?;
        let Some((key, at)) = call_sessions::call_of(&mut tx, event.session_id).await? else {
            return Ok(None);
        };
        // The newest, whichever this event is of: analyses may be told of in any order.
        let Some(document) = analyses::newest_document(&mut tx, event.session_id).await? else {
            return Ok(None);
        };
        let analysis: Analysis = serde_json::from_value(document)
            .map_err(|error| Failure::reject_because("The analysis cannot be read.", error))?;
        rollups::lock_days(&mut tx, [at], Hold::Shared).await?;
        let Some(before) = call_sessions::lock(&mut tx, key).await? else {
            return Ok(None);
        };
        let after = adjusted(before, &analysis);
        if after == before {
            return Ok(None);
        }
        call_sessions::adjust(&mut tx, key, &after).await?;
        let mut deltas = Deltas::default();
        deltas.subtract(&before.counted);
        deltas.add(&after.counted);
        rollups::apply(&mut tx, &deltas).await?;
        tx.commit().await?;
        Ok(Some(key.0))
    }
}

impl Handler for AdjustCall {
    const NAME: &'static str = "adjust-call";
    const GAVE_UP: &'static str = "The analysis could not be counted.";
    type Consumes = AnalysisCompleted;
    type Publishes = Infallible;
    type Fails = Infallible;

    async fn handle(
        &self,
        event: AnalysisCompleted,
        _context: &Context,
    ) -> Result<Vec<Infallible>, Failure> {
        if let Some(account) = self.adjust(&event).await? {
            wake(&self.bus, account).await;
        }
        Ok(Vec::new())
    }

    fn failed(&self, _: &AnalysisCompleted, _: u32, _: String) -> Option<Infallible> {
        None
    }
}

/// The call as it is with this analysis.
fn adjusted(before: Adjustable, analysis: &Analysis) -> Adjustable {
    let mut after = before;
    if let Some(sentiment) = &analysis.sentiment
        && before.sentiment_by != Some(SentimentBy::Agent)
    {
        after.counted.sentiment = word_of(sentiment.overall.label);
        after.sentiment_by = Some(SentimentBy::Analysis);
    }
    if before.counted.success.is_none() || before.success_by_analysis {
        let outcome = analysis.outcome.as_ref();
        after.counted.success = outcome.and_then(|outcome| outcome.success);
        after.success_by_analysis = after.counted.success.is_some();
    }
    after
}
