//! `recording.requested` → `recording.uploaded`

use aftercall::db::recording_fetches::{self, Fetch};
use aftercall::db::timeline::{self, LockedSession};
use aftercall::db::{Db, Principal, Tx, WorkerRole, policies, recordings, transcripts, uploads};
use aftercall::events::{RecordingFailed, RecordingRequested, RecordingUploaded};
use aftercall::media::{MediaKind, PREFIX_BYTES};
use aftercall::providers::object_store::{ObjectStore, Sent};
use aftercall::providers::web_file::{WebFile, WebFiles};
use aftercall::worker::{Context, Failure, Handler};
use anyhow::{Context as _, anyhow};
use bytes::{Bytes, BytesMut};
use serde_json::json;

use crate::refusals::{self, refusal, store_failure};
use crate::unfinished::Unfinished;

/// Fetches the recording of a call from where its agent keeps it.
#[derive(Clone, Debug)]
pub struct FetchRecording {
    db: Db,
    store: ObjectStore,
    web: WebFiles,
}

/// The beginning of a file that is accepted.
struct Begun {
    file: WebFile,
    prefix: Bytes,
    kind: MediaKind,
}

impl FetchRecording {
    pub fn new(db: Db, store: ObjectStore, web: WebFiles) -> Self {
        Self { db, store, web }
    }

    async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.db.begin(Principal::Worker(WorkerRole::Storage)).await
    }

    /// What is to be fetched and where, or what is published without fetching it.
    async fn load(
        &self,
        event: &RecordingRequested,
    ) -> Result<Result<(Fetch, String), Vec<RecordingUploaded>>, Failure> {
        let mut tx = self.begin().await?;
        let session = timeline::read(&mut tx, event.session_id).await?;
        let fetch = recording_fetches::get(&mut tx, event.recording_id).await?;
        let (Some(session), Some(mut fetch)) = (session, fetch) else {
            // Their rows are older than the event: they were erased.
            return Ok(Err(Vec::new()));
        };
        let Some(url) = fetch.url.take() else {
            return Ok(Err(uploaded(&mut tx, &session, event).await?));
        };
        check_consent(&mut tx, &session).await?;
        tx.commit().await?;
        Ok(Ok((fetch, url)))
    }

    /// Begins to read, far enough to tell what it is: what is no recording leaves no trace.
    async fn open(&self, url: &str) -> Result<Begun, Failure> {
        let mut file = self.web.open(url).await.map_err(refusal)?;
        let mut prefix = BytesMut::new();
        while prefix.len() < PREFIX_BYTES {
            match file.next().await.map_err(refusal)? {
                Some(more) => prefix.extend_from_slice(&more),
                None => break,
            }
        }
        let kind = MediaKind::detect(&prefix[..prefix.len().min(PREFIX_BYTES)]);
        Ok(Begun {
            file,
            kind: kind.ok_or_else(|| Failure::reject(refusals::NO_RECORDING))?,
            prefix: prefix.freeze(),
        })
    }

    /// Sends the file on to the object store and makes the object.
    async fn transfer(
        &self,
        upload: &Unfinished,
        prefix: Bytes,
        file: &mut WebFile,
    ) -> Result<Sent, Failure> {
        let mut parts = upload.parts(self.web.max_bytes());
        let mut next = Some(prefix);
        while let Some(bytes) = next {
            parts.push(bytes).await.map_err(store_failure)?;
            next = file.next().await.map_err(refusal)?;
        }
        let sent = parts.end().await.map_err(store_failure)?;
        upload.complete(&sent).await?;
        Ok(sent)
    }

    /// Makes the recording and its event in one transaction; the first try that gets here stands.
    async fn finish(
        &self,
        event: &RecordingRequested,
        run: i32,
        upload: &Unfinished,
        recording: recordings::Upload<'_>,
    ) -> Result<Vec<RecordingUploaded>, Failure> {
        let mut tx = self.begin().await?;
        let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
            return Ok(Vec::new());
        };
        let (account, id) = (session.account_id, event.recording_id);
        let Some(fetch) = recording_fetches::get(&mut tx, id).await? else {
            return Ok(Vec::new());
        };
        if !recording_fetches::finish(&mut tx, account, fetch.recording_id).await? {
            return uploaded(&mut tx, &session, event).await;
        }
        // It may have been withdrawn since the fetch began.
        check_consent(&mut tx, &session).await?;
        if !uploads::finish(&mut tx, upload.id).await? {
            return Err(anyhow!("the sweep has given this fetch up").into());
        }
        let late = transcripts::last_written(&mut tx, event.session_id).await? > 0;
        let recording = recordings::Upload {
            run,
            late,
            ..recording
        };
        recordings::insert(&mut tx, &session, &recording).await?;
        let uploaded = RecordingUploaded {
            session_id: event.session_id,
            recording_id: id,
            run,
            late,
        };
        timeline::record(&mut tx, &session, &[uploaded.clone().into()]).await?;
        tx.commit().await?;
        Ok(vec![uploaded])
    }

    async fn fetch(
        &self,
        event: &RecordingRequested,
        context: &Context,
    ) -> Result<Vec<RecordingUploaded>, Failure> {
        let (fetch, url) = match self.load(event).await? {
            Ok(wanted) => wanted,
            Err(published) => {
                tracing::info!(recording_id = %event.recording_id, "nothing to fetch");
                return Ok(published);
            }
        };
        let Begun {
            mut file,
            prefix,
            kind,
        } = self.open(&url).await?;
        let content_type = kind.content_type();
        let begun = Unfinished::begin(&self.db, &self.store, &fetch, content_type).await?;
        let Some(upload) = begun else {
            return Ok(Vec::new());
        };
        let done = async {
            let sent = upload
                .kept_alive(self.transfer(&upload, prefix, &mut file))
                .await?;
            let recording = recordings::Upload {
                recording_id: event.recording_id,
                object_key: &upload.object_key,
                file_name: None,
                content_type,
                size_bytes: sent.size_bytes,
                sha256: sent.sha256,
                run: 1,
                late: false,
            };
            // A redriven fetch has failed under its own number, which its check must not share.
            let run = event.run + redrive(context);
            self.finish(event, run, &upload, recording).await
        };
        let done = done.await;
        // Whatever did not become the recording goes; what did is left alone.
        upload.remove_unless_finished().await;
        done
    }
}

impl Handler for FetchRecording {
    const NAME: &'static str = "fetch-recording";
    const GAVE_UP: &'static str = "The recording could not be fetched from its address.";
    type Consumes = RecordingRequested;
    type Publishes = RecordingUploaded;
    type Fails = RecordingFailed;

    async fn handle(
        &self,
        event: RecordingRequested,
        context: &Context,
    ) -> Result<Vec<RecordingUploaded>, Failure> {
        self.fetch(&event, context).await
    }

    fn failed(
        &self,
        event: &RecordingRequested,
        redrive: u32,
        reason: String,
    ) -> Option<RecordingFailed> {
        Some(RecordingFailed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            run: event.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}

fn redrive(context: &Context) -> i32 {
    i32::try_from(context.redrive()).unwrap_or(i32::MAX / 2)
}

/// What was published when the recording had arrived.
async fn uploaded(
    tx: &mut Tx,
    session: &LockedSession,
    event: &RecordingRequested,
) -> Result<Vec<RecordingUploaded>, Failure> {
    let recording = json!({ "recording_id": event.recording_id });
    let found = timeline::find::<RecordingUploaded>(tx, session, recording).await?;
    Ok(vec![
        found.context("a recording that was fetched has arrived")?,
    ])
}

/// Refuses to fetch what the person in the session has not agreed to.
async fn check_consent(tx: &mut Tx, session: &LockedSession) -> Result<(), Failure> {
    let rules = policies::rules(tx, session.session_id)
        .await?
        .unwrap_or_default();
    if rules.may_record() {
        return Ok(());
    }
    Err(Failure::reject(refusals::NO_CONSENT))
}
