//! S3, or what speaks its protocol: one bucket, objects by key.
//!
//! Not here: which keys there are, and what they hold.
//!
//! Invariant: memory is bounded by one part of an upload and one block of a download, whatever the
//! size of the object.

mod parts;

pub use parts::{Parts, Sent};

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CompletedMultipartUpload, CompletedPart, CreateBucketConfiguration,
};
use bytes::Bytes;
use futures::Stream;
use futures::stream;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::aws;
use crate::config;

/// Parts of a multipart upload but for the last must be at least this large
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
pub const MIN_PART_BYTES: usize = 5 * 1024 * 1024;

/// The only region whose name may not be sent when a bucket is made.
const DEFAULT_REGION: &str = "us-east-1";
/// A file that is sent in one request may take as long as its bytes need at this rate.
const SLOWEST_BYTES_PER_SECOND: u64 = 256 * 1024;

/// A bucket; clones share their connections.
#[derive(Clone, Debug)]
pub struct ObjectStore {
    client: Client,
    bucket: String,
    region: String,
}

/// What the store answered for one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartTag {
    /// Counts from 1 within the upload.
    pub number: i32,
    pub etag: String,
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub size_bytes: u64,
    pub content_type: Option<String>,
}

/// An object, or a range of one, as it is read.
#[derive(Debug)]
pub struct Object {
    /// Bytes that follow.
    pub len: u64,
    body: ByteStream,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object, upload or bucket.
    #[error("{what} does not exist in the object store")]
    NotFound { what: &'static str },
    /// It cannot be reached, does not answer, or asks to come back later.
    #[error("the object store does not answer")]
    Unavailable(#[source] Source),
    /// It refused, or answered what makes no sense.
    #[error("the object store refused")]
    Other(#[source] Source),
    /// Writing to the disk of this machine failed.
    #[error("writing the object to disk failed")]
    Disk(#[source] std::io::Error),
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl ObjectStore {
    /// Prepares a client; talks to nobody yet.
    pub async fn connect(config: &config::ObjectStore) -> Result<Self, StoreError> {
        let shared = aws::settings(config, config.endpoint_url.as_deref()).await;
        let own_server = config.endpoint_url.is_some();
        let settings = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(own_server)
            .build();
        Ok(Self {
            client: Client::from_conf(settings),
            bucket: config.bucket.clone(),
            region: config.region.clone(),
        })
    }

    /// Makes the bucket unless it exists.
    pub async fn ensure_bucket(&self) -> Result<(), StoreError> {
        match self.ping().await {
            Err(StoreError::NotFound { .. }) => {}
            known => return known,
        }
        let place = (self.region != DEFAULT_REGION).then(|| {
            let region = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder()
                .location_constraint(region)
                .build()
        });
        let made = self
            .client
            .create_bucket()
            .bucket(&self.bucket)
            .set_create_bucket_configuration(place)
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            // Another process made it in between.
            Err(error) if code_of(&error) == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(store_error(error, "the bucket")),
        }
    }

    /// Whether the bucket can be reached.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let asked = self.client.head_bucket().bucket(&self.bucket).send().await;
        asked
            .map(drop)
            .map_err(|error| store_error(error, "the bucket"))
    }

    /// Opens a multipart upload; answers its id.
    pub async fn create_multipart(
        &self,
        key: &str,
        content_type: &str,
    ) -> Result<String, StoreError> {
        let opened = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .send()
            .await
            .map_err(|error| store_error(error, "the bucket"))?;
        opened
            .upload_id
            .ok_or_else(|| StoreError::Other("no upload id in the answer".into()))
    }

    /// Sends one part, `number` counting from 1; all but the last have [`MIN_PART_BYTES`] or more.
    pub async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<PartTag, StoreError> {
        let sent = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| store_error(error, "the upload"))?;
        let etag = sent
            .e_tag
            .ok_or_else(|| StoreError::Other("no etag in the answer".into()))?;
        Ok(PartTag { number, etag })
    }

    /// Makes the object of its parts, which are in the order of their numbers.
    pub async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: Vec<PartTag>,
    ) -> Result<(), StoreError> {
        let parts = parts
            .into_iter()
            .map(|part| {
                CompletedPart::builder()
                    .part_number(part.number)
                    .e_tag(part.etag)
                    .build()
            })
            .collect();
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .send()
            .await
            .map(drop)
            .map_err(|error| store_error(error, "the upload"))
    }

    /// Drops a multipart upload with its parts; one that is gone is fine.
    pub async fn abort(&self, key: &str, id: &str) -> Result<(), StoreError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .send()
            .await;
        gone_is_fine(
            aborted
                .map(drop)
                .map_err(|error| store_error(error, "the upload")),
        )
    }

    /// The numbers of the parts that a multipart upload has; [`StoreError::NotFound`] without one.
    pub async fn parts(&self, key: &str, id: &str) -> Result<Vec<i32>, StoreError> {
        let listed = self
            .client
            .list_parts()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .send()
            .await
            .map_err(|error| store_error(error, "the upload"))?;
        Ok(listed
            .parts()
            .iter()
            .filter_map(|part| part.part_number)
            .collect())
    }

    /// Stores a small object in one piece.
    pub async fn put(&self, key: &str, content_type: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map(drop)
            .map_err(|error| store_error(error, "the bucket"))
    }

    /// Stores a file, whatever its size, in one piece of at most 5 GB. Until all of it has arrived there
    /// is no object.
    pub async fn put_file(
        &self,
        key: &str,
        content_type: &str,
        path: &Path,
    ) -> Result<(), StoreError> {
        let size_bytes = tokio::fs::metadata(path).await.map_err(StoreError::Disk)?;
        let longest = Duration::from_secs(60 + size_bytes.len() / SLOWEST_BYTES_PER_SECOND);
        let patient = TimeoutConfig::builder().read_timeout(longest).build();
        let body = ByteStream::from_path(path)
            .await
            .map_err(|error| StoreError::Disk(std::io::Error::other(error)))?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(body)
            .customize()
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(patient))
            .send()
            .await
            .map(drop)
            .map_err(|error| store_error(error, "the bucket"))
    }

    /// The name of the bucket, for who reads it without this client.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Opens an object for reading, whole or in part.
    pub async fn get(
        &self,
        key: &str,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<Object, StoreError> {
        let range = range.map(|range| format!("bytes={}-{}", range.start(), range.end()));
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_range(range)
            .send()
            .await
            .map_err(|error| store_error(error, "the object"))?;
        let len = answer
            .content_length
            .and_then(|len| u64::try_from(len).ok());
        let len = len.ok_or_else(|| StoreError::Other("no length in the answer".into()))?;
        Ok(Object {
            len,
            body: answer.body,
        })
    }

    /// Copies an object to the start of an empty file and rewinds it; answers its length in bytes.
    pub async fn download(&self, key: &str, file: &mut File) -> Result<u64, StoreError> {
        let mut object = self.get(key, None).await?;
        let mut len = 0;
        while let Some(bytes) = object.next().await? {
            file.write_all(&bytes).await.map_err(StoreError::Disk)?;
            len += bytes.len() as u64;
        }
        file.flush().await.map_err(StoreError::Disk)?;
        file.rewind().await.map_err(StoreError::Disk)?;
        Ok(len)
    }

    pub async fn head(&self, key: &str) -> Result<Head, StoreError> {
        let answer = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| store_error(error, "the object"))?;
        let len = answer
            .content_length
            .and_then(|len| u64::try_from(len).ok());
        Ok(Head {
            size_bytes: len.unwrap_or_default(),
            content_type: answer.content_type,
        })
    }

    /// The keys that begin with `prefix`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let listing = self.client.list_objects_v2().bucket(&self.bucket);
        let mut pages = listing.prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| store_error(error, "the bucket"))?;
            let objects = page.contents.unwrap_or_default();
            keys.extend(objects.into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    /// Removes an object; one that is gone is fine.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await;
        gone_is_fine(
            deleted
                .map(drop)
                .map_err(|error| store_error(error, "the object")),
        )
    }
}

impl Object {
    /// The next block of bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let block = self.body.try_next().await;
        block.map_err(|error| StoreError::Unavailable(error.into()))
    }

    /// The rest as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
        stream::try_unfold(self, |mut object| async move {
            Ok(object.next().await?.map(|block| (block, object)))
        })
    }
}

/// Codes that mean "not there", in the words of Amazon and of others.
const NOT_FOUND: [&str; 4] = ["NoSuchKey", "NoSuchUpload", "NoSuchBucket", "NotFound"];
/// Codes that mean "not now".
const NOT_NOW: [&str; 4] = [
    "SlowDown",
    "ServiceUnavailable",
    "RequestTimeout",
    "InternalError",
];

fn store_error<E>(error: SdkError<E>, what: &'static str) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = code_of(&error);
    if status == Some(404) || code.is_some_and(|code| NOT_FOUND.contains(&code)) {
        return StoreError::NotFound { what };
    }
    let not_now = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => true,
        _ => {
            status.is_some_and(|status| status >= 500 || status == 429)
                || code.is_some_and(|code| NOT_NOW.contains(&code))
        }
    };
    if not_now {
        StoreError::Unavailable(error.into())
    } else {
        StoreError::Other(error.into())
    }
}

fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

fn gone_is_fine(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
