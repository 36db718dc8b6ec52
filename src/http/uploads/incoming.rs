//! Reading a recording from a request, be it a form or the body itself.
//!
//! Invariant: what is not bytes of the file is bounded, and so is every pause between two frames.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};

use crate::config;
use crate::http::problem::ApiError;
use crate::media::{MediaKind, PREFIX_BYTES};

/// The form's field that holds the file.
const FIELD: &str = "file";
/// Most bytes of a form beside its file: headers and other fields, and what is read ahead.
const MAX_FORM_BYTES: u64 = 2 * 1024 * 1024;
/// After a refusal so much is still read, so that the client sees the answer and not a reset.
const DISCARD_BYTES: u64 = 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A request that brings a recording.
pub(super) struct Incoming {
    source: Source,
    flow: Arc<Flow>,
    limit: u64,
}

enum Source {
    Form(Multipart),
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
    Field(Field<'a>),
    Raw(&'a mut BoxStream<'static, Result<Bytes, BodyError>>),
}

/// The first bytes of a file, and the kind that they tell.
pub(super) struct Prefix {
    pub bytes: Bytes,
    pub kind: MediaKind,
}

/// What was read from the connection and not passed on as bytes of the file.
#[derive(Default)]
struct Flow {
    overhead: AtomicU64,
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("nothing arrived in time")]
    TooSlow,
    #[error("the form holds too much beside the file")]
    FormTooLarge,
    #[error("the body broke off")]
    BrokenOff(#[source] axum::Error),
}

impl Incoming {
    /// Looks at the headers; nothing is read yet.
    pub async fn of(request: Request, config: &config::Http) -> Result<Self, ApiError> {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let is_form = header(CONTENT_TYPE).is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("multipart/form-data")
        });
        let limit = config.max_upload_bytes;
        let most = if is_form {
            limit.saturating_add(MAX_FORM_BYTES)
        } else {
            limit
        };
        let claimed = header(CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
        if claimed.is_some_and(|claimed| claimed > most) {
            return Err(ApiError::TooLarge { limit });
        }
        let flow = Arc::new(Flow::default());
        let (parts, body) = request.into_parts();
        let body = watched(
            body.into_data_stream(),
            config.upload_idle,
            Arc::clone(&flow),
        );
        let source = if is_form {
            let mut request = Request::from_parts(parts, Body::from_stream(body));
            // The limits are those of this module.
            DefaultBodyLimit::disable().apply(&mut request);
            let form = Multipart::from_request(request, &()).await;
            Source::Form(form.map_err(|_| malformed("the form has no boundary"))?)
        } else {
            Source::Raw(body.boxed())
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
            Source::Form(form) => FileBytes::Field(file_field(form).await?),
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
        while let Some(field) = form.next_field().await.map_err(form_error)? {
            if field.name() == Some(FIELD) || field.file_name().is_some() {
                return Err(ApiError::invalid(FIELD, "must be the only file"));
            }
        }
        Ok(())
    }

    /// Reads a little of what a refused client still sends.
    pub async fn discard(&mut self) {
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
            FileBytes::Field(field) => field.chunk().await.map_err(form_error)?,
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
    /// Answers how much is now read and not passed on.
    fn read(&self, len: u64) -> u64 {
        self.overhead.fetch_add(len, Ordering::Relaxed) + len
    }

    fn passed_on(&self, len: u64) {
        self.overhead.fetch_sub(len, Ordering::Relaxed);
    }
}

/// A body that fails when it pauses for too long or when too much of it is no file.
fn watched(
    body: BodyDataStream,
    idle: Duration,
    flow: Arc<Flow>,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    stream::try_unfold((body, flow), move |(mut body, flow)| async move {
        let next = tokio::time::timeout(idle, body.next()).await;
        let Some(bytes) = next.map_err(|_| BodyError::TooSlow)? else {
            return Ok(None);
        };
        let bytes = bytes.map_err(BodyError::BrokenOff)?;
        if flow.read(bytes.len() as u64) > MAX_FORM_BYTES {
            return Err(BodyError::FormTooLarge);
        }
        Ok(Some((bytes, (body, flow))))
    })
}

async fn file_field(form: &mut Multipart) -> Result<Field<'_>, ApiError> {
    // Checked by name first: a field that is returned borrows the form for good.
    loop {
        match form.next_field().await.map_err(form_error)? {
            Some(field) if field.name() == Some(FIELD) => return Ok(field),
            Some(_) => {}
            None => return Err(ApiError::invalid(FIELD, "is missing")),
        }
    }
}

/// What the form's reader reports, told apart by what is at the bottom of it.
fn form_error(error: MultipartError) -> ApiError {
    let chain = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    match chain
        .filter_map(|error| error.downcast_ref::<BodyError>())
        .next()
    {
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
