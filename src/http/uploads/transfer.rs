//! Sends a file on to the object store, part by part.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::incoming::File;
use super::unfinished::Unfinished;
use crate::http::problem::ApiError;
use crate::providers::object_store::PartTag;

/// A part is held in memory until the store has it.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// The protocol allows no more of them in an object.
const MAX_PARTS: u64 = 10_000;

/// A file that has arrived in the object store, in parts.
pub(super) struct Transferred {
    pub parts: Vec<PartTag>,
    pub size_bytes: i64,
    pub sha256: [u8; 32],
}

/// Sends `first` and then the rest of the file.
pub(super) async fn send(
    upload: &Unfinished,
    first: Bytes,
    file: &mut File<'_>,
) -> Result<Transferred, ApiError> {
    let mut parts = Parts::of(upload);
    let mut hash = Sha256::new();
    let mut size_bytes = 0;
    let mut next = Some(first);
    while let Some(bytes) = next {
        hash.update(&bytes);
        size_bytes += i64::try_from(bytes.len()).expect("a frame is small");
        parts.push(bytes).await?;
        next = file.next().await?;
    }
    Ok(Transferred {
        parts: parts.end().await?,
        size_bytes,
        sha256: hash.finalize().into(),
    })
}

/// Gathers bytes into parts and sends each when it is full.
struct Parts<'a> {
    upload: &'a Unfinished,
    part_bytes: usize,
    buffer: BytesMut,
    sent: Vec<PartTag>,
}

impl<'a> Parts<'a> {
    fn of(upload: &'a Unfinished) -> Self {
        let part_bytes = upload.max_bytes().div_ceil(MAX_PARTS).max(PART_BYTES);
        let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        Self {
            upload,
            part_bytes,
            buffer: BytesMut::new(),
            sent: Vec::new(),
        }
    }

    async fn push(&mut self, mut bytes: Bytes) -> Result<(), ApiError> {
        while !bytes.is_empty() {
            let room = self.part_bytes - self.buffer.len();
            let taken = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&taken);
            if self.buffer.len() == self.part_bytes {
                self.flush().await?;
                // One allocation for each further part, instead of one for each doubling.
                self.buffer.reserve(self.part_bytes);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        let number = i32::try_from(self.sent.len() + 1).expect("at most ten thousand parts");
        let part = self.buffer.split().freeze();
        self.sent.push(self.upload.send_part(number, part).await?);
        Ok(())
    }

    async fn end(mut self) -> Result<Vec<PartTag>, ApiError> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        Ok(self.sent)
    }
}
