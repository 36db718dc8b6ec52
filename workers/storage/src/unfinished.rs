//! A fetch that has begun and not ended: its row in `uploads`, and what is in the object store.

use std::time::Duration;

use aftercall::db::recording_fetches::{self, Fetch};
use aftercall::db::{Db, Principal, WorkerRole, uploads};
use aftercall::providers::object_store::{ObjectStore, Parts, Sent};
use aftercall::worker::Failure;
use anyhow::{Context as _, anyhow};
use uuid::Uuid;

use crate::refusals::store_failure;

/// The row is renewed this often.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const ROLE: Principal = Principal::Worker(WorkerRole::Storage);

/// A running upload. What a process that dies leaves of it, the sweep of maintenance finds by its row.
#[derive(Debug)]
pub struct Unfinished {
    pub id: Uuid,
    pub object_key: String,
    multipart_id: String,
    db: Db,
    store: ObjectStore,
}

impl Unfinished {
    /// Writes the row, then opens the multipart upload; `None` where the session is gone.
    ///
    /// The key is the upload's own and not the recording's: removing what one try left must not touch
    /// what another has made.
    pub async fn begin(
        db: &Db,
        store: &ObjectStore,
        fetch: &Fetch,
        content_type: &str,
    ) -> Result<Option<Self>, Failure> {
        let id = Uuid::now_v7();
        let prefix = uploads::object_prefix(fetch.account_id, fetch.session_id);
        let object_key = format!("{prefix}{}", id.simple());
        let mut tx = db.begin(ROLE).await?;
        if !recording_fetches::begin_upload(&mut tx, id, fetch, &object_key).await? {
            return Ok(None);
        }
        tx.commit().await?;
        let multipart_id = store.create_multipart(&object_key, content_type).await?;
        let upload = Self {
            id,
            object_key,
            multipart_id,
            db: db.clone(),
            store: store.clone(),
        };
        let mut tx = db.begin(ROLE).await?;
        let is_running = uploads::set_multipart(&mut tx, id, &upload.multipart_id).await?;
        tx.commit().await?;
        if is_running {
            return Ok(Some(upload));
        }
        upload.remove_unless_finished().await;
        Err(anyhow!("the fetch was given up as it began").into())
    }

    /// What its bytes go into.
    pub fn parts(&self, max_bytes: u64) -> Parts<'_> {
        Parts::of(&self.store, &self.object_key, &self.multipart_id, max_bytes)
    }

    /// Makes the object.
    pub async fn complete(&self, sent: &Sent) -> Result<(), Failure> {
        let parts = sent.parts.clone();
        let made =
            self.store
                .complete_sent(&self.object_key, &self.multipart_id, parts, sent.size_bytes);
        made.await.map_err(store_failure)
    }

    /// Does `work` and renews the row meanwhile, so that the upload does not count as silent.
    pub async fn kept_alive<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.given_up() => Err(anyhow!("the fetch was given up").into()),
        }
    }

    /// Removes what is in the object store, unless it has become the recording. The row is given up
    /// first, so that it never can; then the sweep does what fails here.
    pub async fn remove_unless_finished(&self) {
        if let Err(error) = self.remove().await {
            let error = format!("{error:#}");
            tracing::warn!(upload_id = %self.id, error, "the sweep will remove a broken-off fetch");
        }
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let mut tx = self.db.begin(ROLE).await?;
        uploads::abandon(&mut tx, self.id).await?;
        let is_finished = uploads::is_finished(&mut tx, self.id).await?;
        tx.commit()
            .await
            .context("the fetch could not be given up")?;
        if is_finished {
            return Ok(());
        }
        self.store
            .abort(&self.object_key, &self.multipart_id)
            .await?;
        self.store.delete(&self.object_key).await?;
        Ok(())
    }

    /// Renews the row until somebody gave the upload up.
    async fn given_up(&self) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renewed = async {
                let mut tx = self.db.begin(ROLE).await?;
                let is_running = uploads::touch(&mut tx, self.id).await?;
                tx.commit().await.map(|()| is_running)
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "a fetch could not renew its row"),
            }
        }
    }
}
