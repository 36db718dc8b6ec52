//! When keys were last used: noted in memory, written a few seconds later in one statement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, Principal, api_keys};
use crate::ids::ApiKeyId;

/// A process that dies forgets the uses of this long.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Uses that Postgres does not know of yet; one entry a key, only of keys that were let in.
#[derive(Clone, Default)]
pub struct Uses(Arc<Mutex<HashMap<ApiKeyId, Timestamp>>>);

impl Uses {
    pub fn note(&self, id: ApiKeyId, at: Timestamp) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = waiting.entry(id).or_insert(at);
        *last = at.max(*last);
    }

    /// Writes every few seconds until the stop; [`Self::write`] then writes the rest.
    pub async fn write_until(self, db: Db, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(WRITE_EVERY) => self.write(&db).await,
            }
        }
    }

    /// Writes what waits; what cannot be written waits for the next time.
    pub async fn write(&self, db: &Db) {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return;
        }
        let uses: Vec<_> = uses.into_iter().collect();
        let written = async {
            let mut tx = db.begin(Principal::Auth).await?;
            api_keys::note_uses(&mut tx, &uses).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, keys = uses.len(), "uses of keys wait to be written");
            for (id, at) in uses {
                self.note(id, at);
            }
        }
    }
}
