//! Destroys what an erasure names: rows, then objects, then messages of the log.
//!
//! Each step writes down what it did before the next begins, and finds nothing left to do when it is
//! repeated, so an erasure goes on after the death of a process at any point. A session that goes as a
//! whole is gone through twice: what a handler had committed before the erasure may be published after
//! it. Calls, and clients with theirs, are in `calls.rs`. Not here: the rows of parts, which go in the
//! transaction of the request (`erase_rows`).
//!
//! Invariant: the receipt says "destroyed" only of what is.

mod calls;
mod frames;
mod messages;
mod objects;

use std::time::Duration;

use aftercall::bus::Bus;
use aftercall::db::erasure_sessions::{self, Step, Untouched, Work};
use aftercall::db::{Db, Principal, Tx, WorkerRole};
use aftercall::ids::{ErasureId, SessionId};
use aftercall::providers::object_store::ObjectStore;
use jiff::Timestamp;

/// After this long nothing of an erased session is on its way any more. A handler that had committed
/// publishes within 16 s (three sends of 5 s); what its process could not publish is delivered to
/// another after `ack_wait`, 30 s, which finds no session. The rest is for a process that stops slowly.
pub const SETTLE: Duration = Duration::from_mins(2);
/// An erasure that nobody has begun by then has lost its event.
const LOST_AFTER: Duration = Duration::from_mins(1);
/// What is pending waits for days.
const LOOK_AGAIN: Duration = Duration::from_hours(1);
/// So many are gone through in one run of the job.
const BATCH: i64 = 100;

/// Erases; clones share their connections.
#[derive(Clone, Debug)]
pub struct Eraser {
    db: Db,
    bus: Bus,
    store: ObjectStore,
}

impl Eraser {
    pub fn new(db: Db, bus: Bus, store: ObjectStore) -> Self {
        Self { db, bus, store }
    }

    /// Makes the first pass, unless it was made. What is no session goes by the id of the erasure.
    pub async fn begin(&self, erasure: ErasureId, session: SessionId) -> anyhow::Result<()> {
        if session.0 == erasure.0 {
            return self.begin_calls(erasure).await;
        }
        match self.work(erasure, session).await? {
            Some(work) if work.step == Step::Requested => self.pass(work).await,
            _ => Ok(()),
        }
    }

    /// Goes on with every erasure that is not done; answers how many. One that fails stays for the
    /// next run and holds no other up.
    pub async fn go_on(&self, now: Timestamp) -> anyhow::Result<u64> {
        let before = Untouched {
            requested: now.checked_sub(LOST_AFTER)?,
            settling: now.checked_sub(SETTLE)?,
            pending: now.checked_sub(LOOK_AGAIN)?,
        };
        let mut tx = self.tx().await?;
        let due = erasure_sessions::due(&mut tx, before, BATCH).await?;
        tx.commit().await?;
        let mut gone_on = self.go_on_with_calls(before).await?;
        for (erasure, session) in due {
            let Some(work) = self.work(erasure, session).await? else {
                continue;
            };
            let passed = match work.step {
                Step::Requested | Step::Settling => self.pass(work).await,
                Step::Pending => self.look_at_the_log(&work).await,
                Step::Done => Ok(()),
            };
            match passed {
                Ok(()) => gone_on += 1,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(erasure_id = %erasure, session_id = %session, error, "not erased yet");
                }
            }
        }
        Ok(gone_on)
    }

    /// Goes through everything once.
    async fn pass(&self, work: Work) -> anyhow::Result<()> {
        let (erasure, session, whole) = (work.erasure_id, work.session_id, work.is_whole());
        let mut tx = self.tx().await?;
        if whole {
            erasure_sessions::remove_session(&mut tx, &work).await?;
        }
        erasure_sessions::remove_traces(&mut tx, &work).await?;
        tx.commit().await?;
        self.remove_objects(&work).await?;
        // The rows may have named facts to look for.
        let Some(work) = self.work(erasure, session).await? else {
            return Ok(());
        };
        self.destroy_messages(&work).await?;
        let Some(work) = self.work(erasure, session).await? else {
            return Ok(());
        };
        let next = match work.step {
            Step::Requested if whole => Step::Settling,
            _ if work.missing.is_empty() => Step::Done,
            _ => Step::Pending,
        };
        let mut tx = self.tx().await?;
        let advanced = erasure_sessions::advance(&mut tx, &work, next).await?;
        tx.commit().await?;
        if advanced {
            tracing::info!(erasure_id = %erasure, step = next.as_str(), "erased");
        }
        Ok(())
    }

    async fn work(&self, erasure: ErasureId, session: SessionId) -> anyhow::Result<Option<Work>> {
        let mut tx = self.tx().await?;
        let work = erasure_sessions::get(&mut tx, erasure, session).await?;
        tx.commit().await?;
        Ok(work)
    }

    async fn tx(&self) -> anyhow::Result<Tx> {
        let role = Principal::Worker(WorkerRole::Maintenance);
        Ok(self.db.begin(role).await?)
    }
}
