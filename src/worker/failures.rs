//! What went wrong with a message, as Postgres remembers it.

use crate::db::deliveries::{self, End, Key};
use crate::db::{Db, Principal};

use super::verdict::{Counts, History};

/// The record of one delivery of a message.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) db: Db,
    pub(super) principal: Principal,
    pub(super) key: Key,
    /// Which delivery this is, from 1.
    pub(super) delivered: i64,
}

impl Ledger {
    /// What is known of earlier deliveries. The first one has none, and costs no query.
    pub(super) async fn history(&self) -> Result<History, sqlx::Error> {
        let delivered = u64::try_from(self.delivered).unwrap_or(1);
        if delivered <= 1 {
            return Ok(History {
                delivered,
                ..History::default()
            });
        }
        let mut tx = self.db.begin(self.principal).await?;
        let record = deliveries::find(&mut tx, self.key)
            .await?
            .unwrap_or_default();
        Ok(History {
            delivered,
            explained_through: u64::try_from(record.explained_through).unwrap_or(0),
            retries: u32::try_from(record.retries).unwrap_or(0),
            waiting: record.waiting,
            alone_runs: u32::try_from(record.alone_runs).unwrap_or(0),
        })
    }

    /// Records that the message is about to run alone: should the process die, this is left.
    pub(super) async fn begin_alone(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.db.begin(self.principal).await?;
        deliveries::begin_alone(&mut tx, self.key).await?;
        tx.commit().await
    }

    /// Records how this delivery ended.
    pub(super) async fn end(&self, counts: Counts) -> Result<(), sqlx::Error> {
        let end = match counts {
            Counts::Retry => End::Retry,
            Counts::NotYet => End::NotYet,
            Counts::Nothing => End::Uncounted,
        };
        let mut tx = self.db.begin(self.principal).await?;
        deliveries::record_end(&mut tx, self.key, self.delivered, end).await?;
        tx.commit().await
    }

    /// Forgets a message that is settled.
    pub(super) async fn forget(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.db.begin(self.principal).await?;
        deliveries::forget(&mut tx, self.key).await?;
        tx.commit().await
    }
}
