//! What becomes of a fetch that does not go well, and what the people who wait for it read.

use aftercall::providers::object_store::StoreError;
use aftercall::providers::web_file::WebFileError;
use aftercall::worker::Failure;

pub const NO_CONSENT: &str = "The consent that a recording needs has not been noted.";
pub const NO_RECORDING: &str =
    "The file at the recording's address is no recording that can be played.";

/// What may go better another time is tried again: a server that is down, slow, or breaks off.
pub fn refusal(error: WebFileError) -> Failure {
    let reason = match &error {
        WebFileError::Failed(_) | WebFileError::TooSlow => return Failure::Retry(error.into()),
        WebFileError::Status(status) => match status.as_u16() {
            408 | 425 | 429 | 500.. => return Failure::Retry(error.into()),
            300..=399 => {
                "The recording's address only points to another one, which is not followed."
                    .to_owned()
            }
            404 | 410 => "There is no recording at its address any more.".to_owned(),
            401 | 403 => "The recording's address asks for a permission that we do not have; \
                it may have expired."
                .to_owned(),
            _ => format!(
                "The recording's address answers with an error ({}).",
                status.as_u16()
            ),
        },
        WebFileError::NotHttps => {
            "The recording's address does not begin with https://.".to_owned()
        }
        WebFileError::Private(_) => {
            "The recording's address is inside a private network, where nothing is fetched."
                .to_owned()
        }
        WebFileError::TooLarge { max_bytes } => {
            format!("The recording is larger than {} MB.", max_bytes / 1_000_000)
        }
    };
    Failure::reject_because(reason, error)
}

/// An upload that is gone was swept: the next try begins another.
pub fn store_failure(error: StoreError) -> Failure {
    Failure::Retry(error.into())
}
