//! `Idempotency-Key`: the same request under the same key gives the same answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::extract::IdempotencyKey;
use super::problem::ApiError;
use crate::db::Tx;
use crate::db::idempotency::{self, Answer};

/// A key in use by this transaction.
pub struct Claim {
    key: Option<String>,
    path: String,
    request_sha256: Vec<u8>,
}

/// Either the first request under a key, or the answer that was given.
pub enum Begun {
    First(Claim),
    Again(Response),
}

/// Takes the key for this transaction. Without a key every request is the first.
///
/// `path` is the request's path with its ids, so that a key belongs to caller and path.
pub async fn begin(
    tx: &mut Tx,
    path: &str,
    key: IdempotencyKey,
    body: &Bytes,
) -> Result<Begun, ApiError> {
    let request_sha256 = Sha256::digest(body).to_vec();
    if let Some(key) = &key.0 {
        if !idempotency::try_lock(tx, path, key).await? {
            return Err(ApiError::conflict(
                "still_running",
                "the first request under this Idempotency-Key is still running",
            ));
        }
        if let Some(answer) = idempotency::find(tx, path, key).await? {
            if answer.request_sha256 != request_sha256 {
                return Err(ApiError::KeyReused);
            }
            return Ok(Begun::Again(respond(answer.status, answer.body)));
        }
    }
    Ok(Begun::First(Claim {
        key: key.0,
        path: path.to_owned(),
        request_sha256,
    }))
}

impl Claim {
    /// Keeps the answer in the transaction of the effect, and gives it.
    pub async fn answer<T: Serialize>(
        self,
        tx: &mut Tx,
        status: StatusCode,
        body: &T,
    ) -> Result<Response, ApiError> {
        self.answer_once(tx, status, body, body).await
    }

    /// Gives `body` once and keeps `kept` for repeats: what is shown once is not in it.
    pub async fn answer_once<T: Serialize, K: Serialize>(
        self,
        tx: &mut Tx,
        status: StatusCode,
        body: &T,
        kept: &K,
    ) -> Result<Response, ApiError> {
        if let Some(key) = &self.key {
            let answer = Answer {
                request_sha256: self.request_sha256,
                status: i16::try_from(status.as_u16()).expect("three digits"),
                body: serde_json::to_value(kept).map_err(anyhow::Error::from)?,
            };
            idempotency::insert(tx, &self.path, key, &answer).await?;
        }
        Ok((status, Json(body)).into_response())
    }
}

fn respond(status: i16, body: Value) -> Response {
    let status = u16::try_from(status)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    (status.unwrap_or(StatusCode::OK), Json(body)).into_response()
}
