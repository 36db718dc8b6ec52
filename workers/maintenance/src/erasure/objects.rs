//! Recordings and open uploads in the object store.

use std::collections::BTreeSet;

use aftercall::db::erasure_sessions::{self, Destroyed, Work};
use aftercall::db::uploads;

use super::Eraser;

const STORE: &str = "object store";

impl Eraser {
    /// Removes what the rows named when the erasure was asked for and, of a session that goes as a
    /// whole, whatever else stands under its prefix: an upload may have made its object since.
    pub(super) async fn remove_objects(&self, work: &Work) -> anyhow::Result<()> {
        let mut aborted = 0;
        for upload in &work.multiparts {
            if let Some(id) = &upload.id {
                self.store.abort(&upload.key, id).await?;
                aborted += 1;
            }
            self.store.delete(&upload.key).await?;
        }
        let mut keys: BTreeSet<_> = work.objects.iter().cloned().collect();
        if work.is_whole() {
            let prefix = uploads::object_prefix(work.account_id, work.session_id);
            keys.extend(self.store.list(&prefix).await?);
        }
        for key in &keys {
            self.store.delete(key).await?;
        }
        let destroyed: Vec<_> = [("recordings", keys.len()), ("open uploads", aborted)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| Destroyed::of(STORE, what, count))
            .collect();
        if destroyed.is_empty() {
            return Ok(());
        }
        let mut tx = self.tx().await?;
        erasure_sessions::objects_gone(&mut tx, work, &destroyed).await?;
        tx.commit().await?;
        Ok(())
    }
}
