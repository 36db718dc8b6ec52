//! What the refusals and silences of the service mean.

use aws_sdk_transcribe::error::{ProvideErrorMetadata, SdkError};

/// Codes that mean "too fast", in the words of the service and of Amazon's gateways.
const TOO_FAST: [&str; 3] = [
    "LimitExceededException",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// Codes that mean that the operator's account or role lacks something: mended outside, after which the
/// same request is taken.
const OF_THE_ACCOUNT: [&str; 6] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SubscriptionRequiredException",
    "UnrecognizedClientException",
];
/// Statuses of a service that is away, or of a gateway before it.
const AWAY: [u16; 3] = [502, 503, 504];

/// Why the service did not answer as hoped.
#[derive(Debug, thiserror::Error)]
pub enum TranscribeError {
    /// Asked too fast, or the account has as many jobs as it may.
    #[error("Amazon Transcribe asks to slow down")]
    Throttled(#[source] Source),
    /// It cannot be reached, or says that it is away.
    #[error("Amazon Transcribe does not answer")]
    Unavailable(#[source] Source),
    /// A fault of the service, or rights that the operator's account lacks: worth trying again.
    #[error("Amazon Transcribe cannot do it now")]
    Fault(#[source] Source),
    /// No such job.
    #[error("Amazon Transcribe does not know the job")]
    NotFound,
    /// The request will not be taken, now or later.
    #[error("Amazon Transcribe refused the job")]
    Refused {
        message: Option<String>,
        #[source]
        source: Source,
    },
}

pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a request came to that was not answered as hoped.
pub(super) fn transcribe_error<E>(error: SdkError<E>) -> TranscribeError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let code = error.code();
    if code == Some("NotFoundException") {
        return TranscribeError::NotFound;
    }
    if status == Some(429) || code.is_some_and(|code| TOO_FAST.contains(&code)) {
        return TranscribeError::Throttled(error.into());
    }
    if is_away(&error, status) {
        return TranscribeError::Unavailable(error.into());
    }
    let of_the_request = matches!(error, SdkError::ServiceError(_))
        && status.is_some_and(|status| (400..500).contains(&status))
        && !code.is_some_and(|code| OF_THE_ACCOUNT.contains(&code));
    if of_the_request {
        TranscribeError::Refused {
            message: error.message().map(str::to_owned),
            source: error.into(),
        }
    } else {
        TranscribeError::Fault(error.into())
    }
}

/// Credentials that cannot be had also end as a request that was not sent: not that.
fn is_away<E>(error: &SdkError<E>, status: Option<u16>) -> bool {
    match error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        _ => status.is_some_and(|status| AWAY.contains(&status)),
    }
}
