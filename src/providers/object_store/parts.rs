//! An object that is sent as its bytes arrive, part by part.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{ObjectStore, PartTag, StoreError};

/// A part is held in memory until the store has it.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// The protocol allows no more of them in an object.
const MAX_PARTS: u64 = 10_000;

/// Gathers bytes into parts of a multipart upload and sends each when it is full.
#[derive(Debug)]
pub struct Parts<'a> {
    store: &'a ObjectStore,
    key: &'a str,
    multipart_id: &'a str,
    part_bytes: usize,
    buffer: BytesMut,
    sent: Vec<PartTag>,
    hash: Sha256,
    size_bytes: i64,
}

/// Bytes that the store has, in parts that are no object yet.
#[derive(Debug)]
pub struct Sent {
    pub parts: Vec<PartTag>,
    pub size_bytes: i64,
    pub sha256: [u8; 32],
}

impl<'a> Parts<'a> {
    /// `max_bytes` is what may come at most: parts are as large as that needs.
    pub fn of(store: &'a ObjectStore, key: &'a str, multipart_id: &'a str, max_bytes: u64) -> Self {
        let part_bytes = max_bytes.div_ceil(MAX_PARTS).max(PART_BYTES);
        Self {
            store,
            key,
            multipart_id,
            part_bytes: usize::try_from(part_bytes).unwrap_or(usize::MAX),
            buffer: BytesMut::new(),
            sent: Vec::new(),
            hash: Sha256::new(),
            size_bytes: 0,
        }
    }

    pub async fn push(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        self.hash.update(&bytes);
        self.size_bytes += i64::try_from(bytes.len()).expect("a frame is small");
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

    /// Sends what is left.
    pub async fn end(mut self) -> Result<Sent, StoreError> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        Ok(Sent {
            parts: self.sent,
            size_bytes: self.size_bytes,
            sha256: self.hash.finalize().into(),
        })
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let number = i32::try_from(self.sent.len() + 1).expect("at most ten thousand parts");
        let part = self.buffer.split().freeze();
        let sent = self
            .store
            .upload_part(self.key, self.multipart_id, number, part);
        // Boxed, as the client's futures are large.
        self.sent.push(Box::pin(sent).await?);
        Ok(())
    }
}

impl ObjectStore {
    /// Makes the object of everything that was sent; [`StoreError::NotFound`] where somebody gave the
    /// upload up.
    ///
    /// The client asks again when an answer is lost, and is then told that the upload does not exist:
    /// only the object tells whether the first request made it.
    pub async fn complete_sent(
        &self,
        key: &str,
        multipart_id: &str,
        parts: Vec<PartTag>,
        size_bytes: i64,
    ) -> Result<(), StoreError> {
        match Box::pin(self.complete(key, multipart_id, parts)).await {
            Err(gone @ StoreError::NotFound { .. }) => {
                let found = Box::pin(self.head(key)).await?.size_bytes;
                let is_whole = i64::try_from(found).is_ok_and(|found| found == size_bytes);
                if is_whole { Ok(()) } else { Err(gone) }
            }
            made => made,
        }
    }
}
