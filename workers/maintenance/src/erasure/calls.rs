//! A call, or a client with all of its calls: rows and rollups, in steps that each leave both exact.

use aftercall::bus::{DEAD, subjects};
use aftercall::db::Tx;
use aftercall::db::call_erasures::{self, Overdue, Work};
use aftercall::db::erasure_sessions::{Step, Untouched};
use aftercall::db::jobs::{self, Messages};
use aftercall::db::{erasures, outbox, timeline};
use aftercall::events::{ErasedPart, Fact};
use aftercall::ids::{ErasureId, SessionId};

use super::{BATCH, Eraser};

/// So many calls go in one transaction: a fraction of a second, in which folds do not wait.
const CALLS_AT_ONCE: i64 = 1_000;
const SESSIONS_AT_ONCE: i64 = 100;

impl Eraser {
    /// Makes the first pass, unless it was made.
    pub(super) async fn begin_calls(&self, erasure: ErasureId) -> anyhow::Result<()> {
        match self.call_work(erasure).await? {
            Some(work) if work.step == Step::Requested => self.pass_calls(work).await,
            _ => Ok(()),
        }
    }

    /// Goes on with those that are not done; answers how many. One that fails holds no other up.
    pub(super) async fn go_on_with_calls(&self, before: Untouched) -> anyhow::Result<u64> {
        let mut tx = self.tx().await?;
        let due = call_erasures::due(&mut tx, before, BATCH).await?;
        tx.commit().await?;
        let mut gone_on = 0;
        for erasure in due {
            let Some(work) = self.call_work(erasure).await? else {
                continue;
            };
            let passed = match work.step {
                Step::Requested | Step::Settling => self.pass_calls(work).await,
                Step::Pending => self.look_at_calls(&work).await,
                Step::Done => Ok(()),
            };
            match passed {
                Ok(()) => gone_on += 1,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(erasure_id = %erasure, error, "calls not erased yet");
                }
            }
        }
        Ok(gone_on)
    }

    /// Goes through everything once.
    pub(crate) async fn pass_calls(&self, work: Work) -> anyhow::Result<()> {
        // Of what retention blanked only the messages are left.
        if work.made_before.is_none() {
            self.erase_sessions_of(&work).await?;
            while self.remove_some(&work).await? > 0 {}
            let mut tx = self.tx().await?;
            call_erasures::remove_leftovers(&mut tx, &work).await?;
            call_erasures::strike(&mut tx, &work).await?;
            tx.commit().await?;
            self.seek_dead(&work).await?;
        }
        self.destroy_frames(&work).await?;
        self.advance_calls(&work).await
    }

    /// Takes what came too long ago out of dead letters, and destroys the messages.
    pub(crate) async fn strike_old(&self, old: Overdue) -> anyhow::Result<()> {
        let mut tx = self.tx().await?;
        let work = call_erasures::strike_old(&mut tx, old).await?;
        // Noted together: whoever goes on after a crash does not look for them again.
        self.seek_dead_in(&mut tx, &work).await?;
        tx.commit().await?;
        self.destroy_frames(&work).await?;
        self.advance_calls(&work).await
    }

    pub(super) async fn advance_calls(&self, work: &Work) -> anyhow::Result<()> {
        let mut tx = self.tx().await?;
        let next = call_erasures::advance(&mut tx, work).await?;
        tx.commit().await?;
        if let Some(next) = next {
            tracing::info!(erasure_id = %work.erasure_id, step = next.as_str(), "calls erased");
        }
        Ok(())
    }

    async fn remove_some(&self, work: &Work) -> anyhow::Result<usize> {
        let mut tx = self.tx().await?;
        let removed = call_erasures::remove(&mut tx, work, CALLS_AT_ONCE).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Sessions that calls became go as sessions do, by this erasure; before the rows that name them.
    async fn erase_sessions_of(&self, work: &Work) -> anyhow::Result<()> {
        loop {
            let mut tx = self.tx().await?;
            let sessions = call_erasures::sessions(&mut tx, work, SESSIONS_AT_ONCE).await?;
            tx.commit().await?;
            if sessions.is_empty() {
                return Ok(());
            }
            for session in sessions {
                self.erase_session_of(work, session).await?;
            }
        }
    }

    async fn erase_session_of(&self, work: &Work, session: SessionId) -> anyhow::Result<()> {
        let mut tx = self.tx().await?;
        let Some(session) = timeline::lock(&mut tx, session).await? else {
            return Ok(());
        };
        let parts = [ErasedPart::Session];
        let asked = erasures::request(&mut tx, &session, work.erasure_id, &parts, None).await?;
        let facts: [Fact; 1] = [asked.into()];
        outbox::insert(&mut tx, &session, crate::SOURCE, None, &facts).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Finds dead letters that are on their way to the desk, or were.
    async fn seek_dead(&self, work: &Work) -> anyhow::Result<()> {
        let mut tx = self.tx().await?;
        self.seek_dead_in(&mut tx, work).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn seek_dead_in(&self, tx: &mut Tx, work: &Work) -> anyhow::Result<()> {
        jobs::hold_messages(tx, Messages::Sought).await?;
        let is_of = |payload: &[u8]| {
            call_erasures::without(payload, |line| call_erasures::is_of(work, line)).lines > 0
        };
        let found = self
            .bus
            .find_with(DEAD, subjects::DEAD_CALLS, is_of)
            .await?;
        let sequences: Vec<_> = found.iter().map(|message| message.sequence).collect();
        let extent = self.bus.extent(DEAD).await?;
        call_erasures::find_in(tx, work, DEAD, extent, &sequences).await?;
        Ok(())
    }

    async fn call_work(&self, erasure: ErasureId) -> anyhow::Result<Option<Work>> {
        let mut tx = self.tx().await?;
        let work = call_erasures::get(&mut tx, erasure).await?;
        tx.commit().await?;
        Ok(work)
    }
}
