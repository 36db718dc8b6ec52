//! An upload that has begun and not ended: its row, its multipart upload, and what becomes of both.

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use super::{Target, again};
use crate::db::uploads;
use crate::http::AppState;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::ids::RecordingId;
use crate::providers::object_store::{PartTag, Parts, StoreError};

/// The row is renewed this often.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// A running upload. Dropped before [`Unfinished::finished`], also with the request of a client that
/// went away, it gives its row up and removes what is in the object store; the sweep does that for a
/// process that died.
pub(super) struct Unfinished {
    pub id: Uuid,
    pub recording_id: RecordingId,
    pub object_key: String,
    multipart_id: Option<String>,
    state: AppState,
    caller: Caller,
    is_finished: bool,
}

impl Unfinished {
    /// Writes the row, then opens the multipart upload.
    pub async fn begin(target: &Target, content_type: &'static str) -> Result<Self, ApiError> {
        let (id, recording_id) = (Uuid::now_v7(), RecordingId::generate());
        let mut tx = target.state.db.begin(target.caller.principal()).await?;
        let session = super::sessions::read(&mut tx, target.session_id).await?;
        let prefix = uploads::object_prefix(session.account_id, session.id);
        let object_key = format!("{prefix}{}", recording_id.0.simple());
        let key = target.key.as_deref();
        let of = (session.account_id, session.id);
        uploads::insert(&mut tx, id, of, recording_id, &object_key, key)
            .await
            .map_err(|e| {
                ApiError::on_constraint(e, "uploads_idempotency_unique", again::running)
            })?;
        tx.commit().await?;
        let (state, caller) = (target.state.clone(), target.caller);
        let mut upload = Self {
            id,
            recording_id,
            object_key,
            multipart_id: None,
            state,
            caller,
            is_finished: false,
        };
        upload.open(content_type).await?;
        Ok(upload)
    }

    /// Opens the multipart upload and notes its id. A task of its own sees it through: a request that
    /// ends in between would leave a multipart upload that nobody knows of.
    async fn open(&mut self, content_type: &'static str) -> Result<(), ApiError> {
        let (state, caller) = (self.state.clone(), self.caller);
        let (id, object_key) = (self.id, self.object_key.clone());
        let opening = async move {
            let multipart_id = state
                .store
                .create_multipart(&object_key, content_type)
                .await?;
            let noted = note(&state, caller, id, &multipart_id).await;
            if matches!(noted, Ok(true)) {
                return Ok(multipart_id);
            }
            state.store.abort(&object_key, &multipart_id).await?;
            Err(noted.err().map_or_else(given_up, ApiError::from))
        };
        let opened = self.state.tasks.spawn(opening).await;
        self.multipart_id = Some(opened.map_err(|e| ApiError::Internal(e.into()))??);
        Ok(())
    }

    /// What its bytes go into.
    pub fn parts(&self) -> Parts<'_> {
        let max_bytes = self.state.config.http.max_upload_bytes;
        let id = self.multipart_id();
        Parts::of(&self.state.store, &self.object_key, id, max_bytes)
    }

    /// Makes the object, which is to hold `size_bytes`.
    pub async fn complete(&self, parts: Vec<PartTag>, size_bytes: i64) -> Result<(), ApiError> {
        let (store, id) = (&self.state.store, self.multipart_id());
        let made = store.complete_sent(&self.object_key, id, parts, size_bytes);
        made.await.map_err(store_error)
    }

    /// Does `work` and renews the row meanwhile, so that the upload does not count as silent.
    pub async fn kept_alive<T>(
        &self,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        tokio::select! {
            done = work => done,
            () = self.given_up() => Err(given_up()),
        }
    }

    /// The recording is committed: there is nothing to clean up.
    pub fn finished(&mut self) {
        self.is_finished = true;
    }

    /// Renews the row until somebody gave the upload up.
    async fn given_up(&self) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renewed = async {
                let mut tx = self.state.db.begin(self.caller.principal()).await?;
                let is_running = uploads::touch(&mut tx, self.id).await?;
                tx.commit().await.map(|()| is_running)
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "an upload could not renew its row"),
            }
        }
    }

    fn multipart_id(&self) -> &str {
        self.multipart_id.as_deref().expect("set by begin")
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let (state, caller, id) = (self.state.clone(), self.caller, self.id);
        let object_key = std::mem::take(&mut self.object_key);
        let multipart_id = self.multipart_id.take();
        self.state.tasks.spawn(async move {
            let removed = remove(&state, caller, id, &object_key, multipart_id.as_deref()).await;
            if let Err(error) = removed {
                let error = format!("{error:#}");
                tracing::warn!(upload_id = %id, error, "the sweep will remove a broken-off upload");
            }
        });
    }
}

/// The sweep, or a repeat under the same key, took this upload for dead.
pub(super) fn given_up() -> ApiError {
    ApiError::conflict(
        "upload_given_up",
        "the upload was silent for too long and was given up",
    )
}

/// Removes what an upload left. Its row is given up first: after that it cannot finish, and one that
/// did finish, although the answer of Postgres was lost, is left alone. A row that the sweep has given
/// up, or forgotten, is no reason to stop: what was stored since, nobody else would find.
async fn remove(
    state: &AppState,
    caller: Caller,
    id: Uuid,
    object_key: &str,
    multipart_id: Option<&str>,
) -> anyhow::Result<()> {
    let mut tx = state.db.begin(caller.principal()).await?;
    uploads::abandon(&mut tx, id).await?;
    let is_finished = uploads::is_finished(&mut tx, id).await?;
    tx.commit().await?;
    if is_finished {
        return Ok(());
    }
    if let Some(multipart_id) = multipart_id {
        state.store.abort(object_key, multipart_id).await?;
    }
    state.store.delete(object_key).await?;
    Ok(())
}

/// Notes the multipart upload; answers whether the upload is still running.
async fn note(
    state: &AppState,
    caller: Caller,
    id: Uuid,
    multipart_id: &str,
) -> Result<bool, sqlx::Error> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let is_running = uploads::set_multipart(&mut tx, id, multipart_id).await?;
    tx.commit().await?;
    Ok(is_running)
}

/// A multipart upload that is gone was removed by the sweep.
pub(super) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound { .. } => given_up(),
        other => other.into(),
    }
}
