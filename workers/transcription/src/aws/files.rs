//! What the service reads and writes in the bucket of recordings.
//!
//! Everything is below one prefix of the session, and short-lived: the parts of converted audio, and
//! what the jobs write. What is left there when nobody waits for it any more is swept by maintenance.

use aftercall::db::transcriptions;
use aftercall::ids::{AccountId, SessionId};
use aftercall::providers::object_store::{ObjectStore, StoreError};

/// The output of four hours of speech is about 20 MB; more than this is not an output.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024 * 1024;

/// The files of the jobs of one session.
#[derive(Clone, Debug)]
pub struct Files {
    store: ObjectStore,
    prefix: String,
}

/// Why the output of a job was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the output has {len} bytes, more than {MAX_OUTPUT_BYTES}")]
    TooLarge { len: u64 },
}

impl Files {
    pub fn of(store: &ObjectStore, account: AccountId, session: SessionId) -> Self {
        Self {
            store: store.clone(),
            prefix: transcriptions::job_prefix(account, session),
        }
    }

    /// The key of a part of converted audio.
    pub fn audio_key(&self, job: &str) -> String {
        format!("{}{job}.wav", self.prefix)
    }

    /// Where a job is told to write its output.
    pub fn output_key(&self, job: &str) -> String {
        format!("{}{job}.json", self.prefix)
    }

    /// The address of an object as the service wants it.
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.store.bucket())
    }

    /// The output of a job, which says itself where it wrote: with redaction the name has a prefix.
    /// An address outside of the session's prefix is not followed.
    pub async fn output(&self, job: &str, written_to: Option<&str>) -> Result<Vec<u8>, ReadError> {
        let key = written_to
            .and_then(|uri| self.key_in(uri))
            .unwrap_or_else(|| self.output_key(job));
        let mut object = self.store.get(&key, None).await?;
        if object.len > MAX_OUTPUT_BYTES {
            return Err(ReadError::TooLarge { len: object.len });
        }
        let mut bytes = Vec::new();
        while let Some(block) = object.next().await? {
            bytes.extend_from_slice(&block);
        }
        Ok(bytes)
    }

    /// Removes whatever the job has read and written: the service puts words and folders of its own
    /// before a name.
    pub async fn remove(&self, job: &str) -> Result<(), StoreError> {
        for key in self.store.list(&self.prefix).await? {
            if key.contains(job) {
                self.store.delete(&key).await?;
            }
        }
        Ok(())
    }

    fn key_in(&self, uri: &str) -> Option<String> {
        let at = uri.find(&self.prefix)?;
        Some(uri[at..].to_owned())
    }
}
