//! Sweeps what transcription jobs left in the object store.
//!
//! Whoever collects a transcript clears away after it. What stays behind is of a session that was erased
//! while a speech service worked, or of a collector that died between its commit and its last step.

use std::collections::BTreeSet;

use aftercall::db::{Db, Principal, WorkerRole, transcriptions};
use aftercall::providers::object_store::ObjectStore;

/// Removes the files of jobs of sessions in which no transcription is going on; answers how many. What a
/// failed one left stays for its redrive, until the recording is transcribed or the session erased.
pub async fn sweep(db: &Db, store: &ObjectStore) -> anyhow::Result<u64> {
    let keys = store.list(transcriptions::JOB_FILES).await?;
    let owned = |key: &String| transcriptions::session_of_job_file(key);
    let sessions: BTreeSet<_> = keys.iter().filter_map(owned).collect();
    if sessions.is_empty() {
        return Ok(0);
    }
    let sessions: Vec<_> = sessions.into_iter().collect();
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let busy = transcriptions::unfinished_sessions(&mut tx, &sessions).await?;
    tx.commit().await?;
    let mut removed = 0;
    for key in keys {
        let session = transcriptions::session_of_job_file(&key);
        if session.is_some_and(|session| !busy.contains(&session)) {
            store.delete(&key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}
