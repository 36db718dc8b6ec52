//! `Idempotency-Key` of uploads: it belongs to user and session, and is held while the upload runs.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::incoming::File;
use super::{Target, Uploaded};
use crate::db::{Tx, idempotency, uploads};
use crate::http::problem::ApiError;
use crate::http::sessions;

/// An upload under the same key that was silent for this long is dead: its own process renews its row
/// every few seconds.
const SILENT_FOR: Duration = Duration::from_mins(1);

/// Either the first upload under a key, or the answer that was given.
pub(super) enum Begun {
    First,
    Again(idempotency::Answer),
}

/// Checks the session and its consent, and looks the key up.
pub(super) async fn begin(target: &Target) -> Result<Begun, ApiError> {
    let mut tx = target.state.db.begin(target.caller.principal()).await?;
    sessions::read(&mut tx, target.session_id).await?;
    let begun = match &target.key {
        None => Begun::First,
        Some(key) => match idempotency::find(&mut tx, &target.path(), key).await? {
            Some(answer) => Begun::Again(answer),
            None => free(&mut tx, target, key).await?,
        },
    };
    if matches!(begun, Begun::First) {
        super::check_consent(&mut tx, target.session_id).await?;
    }
    tx.commit().await?;
    Ok(begun)
}

/// Gives the first answer again if the file is the same.
pub(super) async fn repeat(
    mut file: File<'_>,
    answer: idempotency::Answer,
) -> Result<Response, ApiError> {
    if file.digest().await?.as_slice() != answer.request_sha256 {
        return Err(ApiError::KeyReused);
    }
    Ok((StatusCode::ACCEPTED, Json(answer.body)).into_response())
}

/// What is kept of an answer.
pub(super) fn kept(sha256: [u8; 32], answer: &Uploaded) -> idempotency::Answer {
    idempotency::Answer {
        request_sha256: sha256.to_vec(),
        status: 202,
        body: serde_json::to_value(answer).expect("an answer is plain data"),
    }
}

/// A first upload under this key is still on its way.
pub(super) fn running() -> ApiError {
    ApiError::conflict(
        "upload_running",
        "an upload under this Idempotency-Key is still running",
    )
}

/// Sees to it that no other upload holds the key.
async fn free(tx: &mut Tx, target: &Target, key: &str) -> Result<Begun, ApiError> {
    let Some(other) = uploads::by_key(tx, target.session_id, key).await? else {
        return Ok(Begun::First);
    };
    if other.state == "finished" {
        let detail = "this Idempotency-Key was used a day ago; use another";
        return Err(ApiError::conflict("idempotency_key_expired", detail));
    }
    if !uploads::abandon_if_silent(tx, other.id, SILENT_FOR).await? {
        return Err(running());
    }
    Ok(Begun::First)
}
