//! Sweeps what broken-off uploads left behind.

use std::time::Duration;

use aftercall::db::uploads::{self, Upload};
use aftercall::db::{Db, Principal, WorkerRole};
use aftercall::providers::object_store::{ObjectStore, StoreError};
use jiff::Timestamp;

/// Uploads that are removed in one transaction.
const BATCH: i64 = 50;
/// How long a finished upload keeps its `Idempotency-Key`.
const FINISHED_AGE: Duration = Duration::from_hours(24);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were silent for too long and can no longer finish.
    pub abandoned: u64,
    /// Abandoned uploads of which nothing is left.
    pub removed: u64,
}

/// Gives up uploads that have been silent for `silent_for`, and removes the multipart uploads and
/// objects of all that were given up. What a finished upload made is never touched: giving up and
/// finishing exclude each other in the row.
pub async fn sweep(
    db: &Db,
    store: &ObjectStore,
    now: Timestamp,
    silent_for: Duration,
) -> anyhow::Result<Swept> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let abandoned = uploads::abandon_silent(&mut tx, now.checked_sub(silent_for)?).await?;
    uploads::forget_finished(&mut tx, now.checked_sub(FINISHED_AGE)?).await?;
    tx.commit().await?;
    let mut swept = Swept {
        abandoned,
        removed: 0,
    };
    loop {
        let removed = remove_some(db, store).await?;
        swept.removed += removed;
        // A smaller batch was the last one, or the rest cannot be removed now.
        if removed < BATCH.unsigned_abs() {
            return Ok(swept);
        }
    }
}

/// Removes some; one that fails stays for the next sweep and holds no other up. While the store is
/// down, none is tried after the first: each would wait for its time-out.
async fn remove_some(db: &Db, store: &ObjectStore) -> anyhow::Result<u64> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let mut removed = 0;
    for upload in uploads::abandoned(&mut tx, BATCH).await? {
        match remove(store, &upload).await {
            Ok(()) => {
                uploads::delete(&mut tx, upload.id).await?;
                removed += 1;
            }
            Err(error) => {
                let is_down = matches!(error, StoreError::Unavailable(_));
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(upload_id = %upload.id, error, "not removed");
                if is_down {
                    break;
                }
            }
        }
    }
    tx.commit().await?;
    Ok(removed)
}

async fn remove(store: &ObjectStore, upload: &Upload) -> Result<(), StoreError> {
    if let Some(id) = &upload.multipart_id {
        store.abort(&upload.object_key, id).await?;
    }
    store.delete(&upload.object_key).await
}
