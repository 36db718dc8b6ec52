//! Multipart uploads that do not exist, answered as Amazon answers them.
//!
//! s3s-fs lists no parts and refuses the rest as if the credentials were wrong, so that a client could
//! not tell an upload that was removed.

use std::path::{Path, PathBuf};

use s3s::access::S3Access;
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, ListPartsInput, UploadPartInput,
};
use s3s::{S3Request, S3Result, s3_error};
use uuid::Uuid;

/// Lets requests pass that name a multipart upload of this directory, or none.
pub(super) struct KnownUploads {
    dir: PathBuf,
}

impl KnownUploads {
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// s3s-fs keeps a file for each upload until it is completed or aborted.
    fn check(&self, upload_id: &str) -> S3Result<()> {
        let is_known = upload_id
            .parse::<Uuid>()
            .is_ok_and(|id| self.dir.join(format!(".upload-{id}.json")).exists());
        if is_known {
            Ok(())
        } else {
            Err(s3_error!(NoSuchUpload))
        }
    }
}

#[async_trait::async_trait]
impl S3Access for KnownUploads {
    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        self.check(&request.input.upload_id)
    }

    async fn list_parts(&self, request: &mut S3Request<ListPartsInput>) -> S3Result<()> {
        self.check(&request.input.upload_id)
    }

    async fn complete_multipart_upload(
        &self,
        request: &mut S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<()> {
        self.check(&request.input.upload_id)
    }

    async fn abort_multipart_upload(
        &self,
        request: &mut S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<()> {
        self.check(&request.input.upload_id)
    }
}
