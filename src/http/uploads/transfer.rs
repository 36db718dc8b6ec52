//! Sends a file on to the object store, part by part.

use bytes::Bytes;

use super::incoming::File;
use super::unfinished::{Unfinished, store_error};
use crate::http::problem::ApiError;
use crate::providers::object_store::Sent;

/// Sends `first` and then the rest of the file.
pub(super) async fn send(
    upload: &Unfinished,
    first: Bytes,
    file: &mut File<'_>,
) -> Result<Sent, ApiError> {
    let mut parts = upload.parts();
    let mut next = Some(first);
    while let Some(bytes) = next {
        parts.push(bytes).await.map_err(store_error)?;
        next = file.next().await?;
    }
    parts.end().await.map_err(store_error)
}
