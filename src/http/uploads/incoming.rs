//! Reading a recording from a request, be it a form or the body itself.
//!
//! Invariant: what is not bytes of the file is bounded, and a client that brings too little for too long
//! is not waited for.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use multer::{Field, Multipart};
use sha2::{Digest, Sha256};

use crate::config;
use crate::http::problem::ApiError;
use crate::media::{MediaKind, PREFIX_BYTES};
use crate::pace::Pace;

/// The form's field that holds the file.
const FIELD: &str = "file";
/// Most bytes of a form beside its file: headers and other fields, and what is read ahead.
const MAX_FORM_BYTES: u64 = 2 * 1024 * 1024;
/// After a refusal so much is still read, so that the client sees the answer and not a reset: enough
/// for a picture or an archive that was sent by mistake.
const DISCARD_BYTES: u64 = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// A request that brings a recording.
pub(super) struct Incoming {
    source: Source,
    flow: Arc<Flow>,
    limit: u64,
}

enum Source {
    Form(Multipart<'static>),
    Raw(BoxStream<'static, Result<Bytes, BodyError>>),
}

/// The file in it.
pub(super) struct File<'a> {
    bytes: FileBytes<'a>,
    flow: Arc<Flow>,
    size: u64,
    limit: u64,
}

enum FileBytes<'a> {
    /// The form gives its next field only when this one is dropped.
    Field(Box<Field<'static>>),
    Raw(&'a mut BoxStream<'static, Result<Bytes, BodyError>>),
}

/// The first bytes of a file, and the kind that they tell.
pub(super) struct Prefix {
    pub bytes: Bytes,
    pub kind: MediaKind,
}

/// What was read from the connection and not passed on as bytes of the file.
struct Flow {
    overhead: AtomicU64,
    most: AtomicU64,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("too little arrived in time")]
    TooSlow,
    #[error("the form holds too much beside the file")]
    FormTooLarge,
    #[error("the body broke off")]
    BrokenOff(#[source] axum::Error),
}

impl Incoming {
    /// Looks at the headers; nothing is read yet.
    pub fn of(request: Request, config: &config::Http) -> Result<Self, ApiError> {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let boundary = match multer::parse_boundary(header(CONTENT_TYPE).unwrap_or_default()) {
            Ok(boundary) => Some(boundary),
            Err(multer::Error::NoBoundary) => return Err(malformed("the form has no boundary")),
            Err(_) => None,
        };
        let limit = config.max_upload_bytes;
        let beside = if boundary.is_some() {
            MAX_FORM_BYTES
        } else {
            0
        };
        let claimed = header(CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
        if claimed.is_some_and(|claimed| claimed > limit.saturating_add(beside)) {
            return Err(ApiError::TooLarge { limit });
        }
        let flow = Arc::new(Flow::up_to(MAX_FORM_BYTES));
        let body = request.into_body().into_data_stream();
        let pace = Pace::new(config.upload_idle, config.min_upload_bytes_per_second);
        let body = watched(body, pace, Arc::clone(&flow));
        let source = match boundary {
            Some(boundary) => Source::Form(Multipart::new(body, boundary)),
            None => Source::Raw(body.boxed()),
        };
        Ok(Self {
            source,
            flow,
            limit,
        })
    }

    /// The file: the body, or the first field `file` of the form.
    pub async fn file(&mut self) -> Result<File<'_>, ApiError> {
        let bytes = match &mut self.source {
            Source::Raw(body) => FileBytes::Raw(body),
            Source::Form(form) => FileBytes::Field(Box::new(file_field(form).await?)),
        };
        Ok(File {
            bytes,
            flow: Arc::clone(&self.flow),
            size: 0,
            limit: self.limit,
        })
    }

    /// Reads on to the end of the request, in which there may be no other file.
    pub async fn end(&mut self) -> Result<(), ApiError> {
        let Source::Form(form) = &mut self.source else {
            return Ok(());
        };
        while let Some(field) = form.next_field().await.map_err(|e| form_error(&e))? {
            if field.name() == Some(FIELD) || field.file_name().is_some() {
                return Err(ApiError::invalid(FIELD, "must be the only file"));
            }
        }
        Ok(())
    }

    /// Reads a little of what a refused client still sends.
    pub async fn discard(&mut self) {
        // A form passes over the rest of its file, which counts as beside it.
        self.flow.allow(DISCARD_BYTES);
        let mut left = DISCARD_BYTES;
        let reading = async {
            let Ok(mut file) = self.file().await else {
                return;
            };
            while let Ok(Some(bytes)) = file.next().await {
                left = left.saturating_sub(bytes.len() as u64);
                if left == 0 {
                    return;
                }
            }
        };
        // Whether it was read to the end does not matter.
        let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
    }
}

impl File<'_> {
    /// The name that the client gives it.
    pub fn name(&self) -> Option<&str> {
        match &self.bytes {
            FileBytes::Field(field) => field.file_name(),
            FileBytes::Raw(_) => None,
        }
    }

    /// The next bytes; `None` at the end of the file.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let next = match &mut self.bytes {
            FileBytes::Field(field) => field.chunk().await.map_err(|e| form_error(&e))?,
            FileBytes::Raw(body) => body.next().await.transpose().map_err(|e| body_error(&e))?,
        };
        if let Some(bytes) = &next {
            let len = bytes.len() as u64;
            self.flow.passed_on(len);
            self.size += len;
            if self.size > self.limit {
                return Err(ApiError::TooLarge { limit: self.limit });
            }
        }
        Ok(next)
    }

    /// Reads enough to tell the kind; what is empty or of no accepted kind is refused.
    pub async fn prefix(&mut self) -> Result<Prefix, ApiError> {
        let mut bytes = BytesMut::new();
        while bytes.len() < PREFIX_BYTES {
            match self.next().await? {
                Some(more) => bytes.extend_from_slice(&more),
                None => break,
            }
        }
        if bytes.is_empty() {
            return Err(ApiError::invalid(FIELD, "must not be empty"));
        }
        let kind = MediaKind::detect(&bytes[..bytes.len().min(PREFIX_BYTES)]).ok_or_else(|| {
            let accepted = "the file is none of WAV, MP3, FLAC, Ogg, MP4/M4A, WebM and Matroska";
            ApiError::UnsupportedMediaType(accepted.to_owned())
        })?;
        Ok(Prefix {
            bytes: bytes.freeze(),
            kind,
        })
    }

    /// Reads the rest; answers its SHA-256.
    pub async fn digest(&mut self) -> Result<[u8; 32], ApiError> {
        let mut hash = Sha256::new();
        while let Some(bytes) = self.next().await? {
            hash.update(&bytes);
        }
        Ok(hash.finalize().into())
    }
}

impl Flow {
    fn up_to(most: u64) -> Self {
        Self {
            overhead: AtomicU64::new(0),
            most: AtomicU64::new(most),
        }
    }

    fn allow(&self, more: u64) {
        self.most.fetch_add(more, Ordering::Relaxed);
    }

    /// Answers whether what is now read and not passed on is still within bounds.
    fn read(&self, len: u64) -> bool {
        let overhead = self.overhead.fetch_add(len, Ordering::Relaxed) + len;
        overhead <= self.most.load(Ordering::Relaxed)
    }

    fn passed_on(&self, len: u64) {
        self.overhead.fetch_sub(len, Ordering::Relaxed);
    }
}

/// A body that fails when it is too slow or when too much of it is no file.
fn watched(
    body: BodyDataStream,
    pace: Pace,
    flow: Arc<Flow>,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    stream::try_unfold(
        (body, pace, flow),
        async move |(mut body, mut pace, flow)| {
            // The form's reader takes in whatever is ready before it gives anything out: one frame a turn
            // keeps what it holds small on every kind of connection.
            tokio::task::yield_now().await;
            let asked = Instant::now();
            let next = tokio::time::timeout(pace.window(), body.next()).await;
            let Some(bytes) = next.map_err(|_| BodyError::TooSlow)? else {
                return Ok(None);
            };
            let bytes = bytes.map_err(BodyError::BrokenOff)?;
            let len = bytes.len() as u64;
            if !pace.keeps(asked.elapsed(), len) {
                return Err(BodyError::TooSlow);
            }
            if !flow.read(len) {
                return Err(BodyError::FormTooLarge);
            }
            Ok(Some((bytes, (body, pace, flow))))
        },
    )
}

async fn file_field(form: &mut Multipart<'static>) -> Result<Field<'static>, ApiError> {
    while let Some(field) = form.next_field().await.map_err(|e| form_error(&e))? {
        if field.name() == Some(FIELD) {
            return Ok(field);
        }
    }
    Err(ApiError::invalid(FIELD, "is missing"))
}

/// What the form's reader reports, told apart by what is at the bottom of it.
fn form_error(error: &multer::Error) -> ApiError {
    let mut causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
    match causes.find_map(|cause| cause.downcast_ref::<BodyError>()) {
        Some(cause) => body_error(cause),
        None => malformed("the form is malformed or was cut off"),
    }
}

fn body_error(error: &BodyError) -> ApiError {
    match error {
        BodyError::TooSlow => ApiError::TooSlow,
        BodyError::FormTooLarge => malformed("the form holds too much beside the file"),
        BodyError::BrokenOff(_) => {
            ApiError::bad_request("malformed_body", "the body did not arrive in full")
        }
    }
}

fn malformed(detail: &str) -> ApiError {
    ApiError::bad_request("malformed_multipart", detail)
}
