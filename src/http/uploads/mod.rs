//! `POST /sessions/{id}/upload-recording`: a recording streams through into the object store.
//!
//! [`incoming`] reads the request at the [`pace`](crate::pace) that is asked of it, [`transfer`] sends it
//! on part by part, [`unfinished`] removes the traces of an upload that does not end well, [`again`]
//! knows `Idempotency-Key`. Not here: whether
//! the bytes are audio that decodes; the storage worker finds out.
//!
//! Invariant: a row in `uploads` precedes the first byte in the object store, and the recording and
//! its event are written in one transaction after the last. What is broken off in between leaves no
//! recording; its row leads the clean-up, here or in the sweep, to everything else.

mod again;
mod file_name;
mod incoming;
mod transfer;
mod unfinished;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::commit::{commit, stage};
use super::extract::{Id, IdempotencyKey, Trace};
use super::problem::{ApiError, Problem};
use super::sessions;
use crate::db::{Tx, idempotency, policies, recordings, transcripts, uploads};
use crate::events::RecordingUploaded;
use crate::ids::{RecordingId, SessionId};
use crate::providers::object_store::Sent;
use crate::session::Status;
use again::Begun;
use incoming::{Incoming, Prefix};
use unfinished::Unfinished;

/// The answer to a finished upload.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Uploaded {
    pub recording_id: RecordingId,
    pub session_id: SessionId,
    /// Of the session; at least `recorded`.
    pub status: Status,
}

/// A file as `multipart/form-data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes the form")]
pub struct RecordingForm {
    /// WAV, MP3, FLAC, Ogg (Opus, Vorbis, FLAC), MP4/M4A, WebM or Matroska.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// Upload a recording.
///
/// As `multipart/form-data` with one file in the field `file`, or as the body itself. The kind is told
/// by the first bytes; the claimed content type does not count. Ended sessions take recordings too.
#[utoipa::path(post, path = "/sessions/{id}/upload-recording", tag = "recordings",
    security(("bearer" = [])),
    params(("id" = SessionId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe")),
    request_body(content((RecordingForm = "multipart/form-data"),
        (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 202, body = Uploaded),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 408, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(session_id): Id<SessionId>,
    key: IdempotencyKey,
    request: Request,
) -> Result<Response, ApiError> {
    let target = Target {
        state,
        caller,
        trace,
        session_id,
        key: key.0,
    };
    let mut incoming = Incoming::of(request, &target.state.config.http)?;
    let answered = target.receive(&mut incoming).await;
    if answered.is_err() {
        incoming.discard().await;
    }
    if let Err(ApiError::Conflict { .. }) = &answered
        && let Err(gone @ ApiError::NotFound { .. }) = target.still_there().await
    {
        // The upload was given up because the session was erased.
        return Err(gone);
    }
    answered
}

/// Where a recording goes, and on whose behalf.
#[derive(Clone)]
struct Target {
    state: AppState,
    caller: Caller,
    trace: Trace,
    session_id: SessionId,
    key: Option<String>,
}

impl Target {
    async fn receive(&self, incoming: &mut Incoming) -> Result<Response, ApiError> {
        let begun = again::begin(self).await?;
        let mut file = incoming.file().await?;
        if let Begun::Again(answer) = begun {
            return again::repeat(file, answer).await;
        }
        let file_name = file.name().and_then(file_name::harmless);
        let Prefix { bytes, kind } = file.prefix().await?;
        let unfinished = Unfinished::begin(self, kind.content_type()).await?;
        let sending = transfer::send(&unfinished, bytes, &mut file);
        let sent = unfinished.kept_alive(sending).await?;
        drop(file);
        incoming.end().await?;
        let content_type = kind.content_type();
        let last = Last {
            target: self.clone(),
            unfinished,
            file_name,
            content_type,
        };
        // The bytes are all there: a client that leaves now must not leave them half-done.
        let finished = self.state.tasks.spawn(last.finish(sent));
        finished
            .await
            .map_err(|error| ApiError::Internal(error.into()))?
    }

    /// Whether the session can still be seen.
    async fn still_there(&self) -> Result<(), ApiError> {
        let mut tx = self.state.db.begin(self.caller.principal()).await?;
        sessions::read(&mut tx, self.session_id).await?;
        Ok(tx.commit().await?)
    }

    /// What `Idempotency-Key` belongs to, beside the user.
    fn path(&self) -> String {
        format!("/sessions/{}/upload-recording", self.session_id)
    }
}

/// The last steps of an upload.
struct Last {
    target: Target,
    unfinished: Unfinished,
    file_name: Option<String>,
    content_type: &'static str,
}

impl Last {
    /// Makes the object of its parts, then the recording and its event in one transaction.
    async fn finish(self, sent: Sent) -> Result<Response, ApiError> {
        let Self {
            target,
            mut unfinished,
            file_name,
            content_type,
        } = self;
        let made = unfinished.complete(sent.parts, sent.size_bytes);
        unfinished.kept_alive(made).await?;
        let recording = recordings::Upload {
            recording_id: unfinished.recording_id,
            object_key: &unfinished.object_key,
            file_name: file_name.as_deref(),
            content_type,
            size_bytes: sent.size_bytes,
            sha256: sent.sha256,
            run: 1,
            late: false,
        };
        let answer = target.record(unfinished.id, recording).await?;
        unfinished.finished();
        Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
    }
}

impl Target {
    async fn record(
        &self,
        upload_id: uuid::Uuid,
        mut recording: recordings::Upload<'_>,
    ) -> Result<Uploaded, ApiError> {
        let session_id = self.session_id;
        let mut tx = self.state.db.begin(self.caller.principal()).await?;
        let session = sessions::lock(&mut tx, session_id).await?;
        // It may have been withdrawn since the upload began.
        check_consent(&mut tx, session_id).await?;
        if !uploads::finish(&mut tx, upload_id).await? {
            return Err(unfinished::given_up());
        }
        recording.late = transcripts::last_written(&mut tx, session_id).await? > 0;
        recordings::insert(&mut tx, &session, &recording).await?;
        let (recording_id, late) = (recording.recording_id, recording.late);
        let object = Object::recording(session.account_id, recording_id);
        let details = json!({ "session_id": session_id, "size_bytes": recording.size_bytes });
        note(&mut tx, &self.caller, "recording.uploaded", object, details).await?;
        let fact = RecordingUploaded {
            session_id,
            recording_id,
            run: 1,
            late,
        };
        let messages = stage(&mut tx, &session, self.trace, &[fact.into()]).await?;
        let status = sessions::read(&mut tx, session_id).await?.status;
        let answer = Uploaded {
            recording_id,
            session_id,
            status,
        };
        if let Some(key) = &self.key {
            let kept = again::kept(recording.sha256, &answer);
            idempotency::insert(&mut tx, &self.path(), key, &kept).await?;
        }
        commit(&self.state, tx, &session, self.caller, messages).await?;
        Ok(answer)
    }
}

/// Refuses a recording to which the person in the session has not agreed.
async fn check_consent(tx: &mut Tx, session: SessionId) -> Result<(), ApiError> {
    let rules = policies::rules(tx, session).await?;
    let rules = rules.ok_or(ApiError::SESSION_NOT_FOUND)?;
    if rules.may_record() {
        return Ok(());
    }
    Err(ApiError::conflict(
        "consent_needed",
        "note the consent to be recorded in the session first",
    ))
}
