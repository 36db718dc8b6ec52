//! Recordings, open uploads and files of transcription jobs in the object store.

use std::collections::BTreeSet;

use aftercall::db::erasure_sessions::{self, Destroyed, Work};
use aftercall::db::{transcriptions, uploads};

use super::Eraser;

const STORE: &str = "object store";

impl Eraser {
    /// Removes what the rows named when the erasure was asked for and, of a session that goes as a
    /// whole, whatever else stands under its prefixes: an upload may have made its object since, and a
    /// speech service may have written what it heard. Which ones is written down first.
    pub(super) async fn remove_objects(&self, work: &Work) -> anyhow::Result<()> {
        let mut aborted = 0;
        for upload in &work.multiparts {
            if let Some(id) = &upload.id {
                self.store.abort(&upload.key, id).await?;
                aborted += 1;
            }
            self.store.delete(&upload.key).await?;
        }
        let work = &self.with_what_is_there(work).await?;
        for key in &work.objects {
            self.store.delete(key).await?;
        }
        let keys = work.objects.iter();
        let of_jobs = keys.filter(|key| key.starts_with(transcriptions::JOB_FILES));
        let of_jobs = of_jobs.count();
        let destroyed = [
            ("recordings", work.objects.len() - of_jobs),
            ("open uploads", aborted),
            ("files of transcription jobs", of_jobs),
        ];
        let destroyed: Vec<_> = destroyed
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

    /// The work, with every object under the prefixes of a session that goes as a whole, and of
    /// recordings that go with what a job made of them: its audio is a copy.
    async fn with_what_is_there(&self, work: &Work) -> anyhow::Result<Work> {
        let mut work = work.clone();
        let mut keys: BTreeSet<_> = work.objects.iter().cloned().collect();
        let known = keys.len();
        if work.is_whole() {
            let prefix = uploads::object_prefix(work.account_id, work.session_id);
            keys.extend(self.store.list(&prefix).await?);
        }
        if work.is_whole() || known > 0 {
            // The last part of a recording's key is its id, which jobs are named after.
            let ids = work.objects.iter().filter_map(|key| key.rsplit('/').next());
            let ids: Vec<_> = ids.filter(|id| !id.is_empty()).collect();
            let is_gone = |key: &String| work.is_whole() || ids.iter().any(|id| key.contains(id));
            let prefix = transcriptions::job_prefix(work.account_id, work.session_id);
            keys.extend(self.store.list(&prefix).await?.into_iter().filter(is_gone));
        }
        if keys.len() > known {
            work.objects = keys.into_iter().collect();
            let mut tx = self.tx().await?;
            erasure_sessions::plan_objects(&mut tx, &work).await?;
            tx.commit().await?;
        }
        Ok(work)
    }
}
