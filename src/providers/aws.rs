//! What all clients of AWS share: credentials, region, TLS by ring, time-outs.
//!
//! Not here: any service.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
};
use aws_smithy_http_client::{Builder, tls};
use secrecy::ExposeSecret;

use crate::config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To the first byte of the answer; completing a large upload takes minutes on some servers.
const READ_TIMEOUT: Duration = Duration::from_mins(2);
const ATTEMPTS: u32 = 3;
/// A stream that brings nothing for this long has failed.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// The settings of a client of the service at `endpoint_url`, Amazon's own where that is unset. Talks
/// to nobody yet.
pub async fn settings(account: &config::ObjectStore, endpoint_url: Option<&str>) -> SdkConfig {
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    let stalls = StalledStreamProtectionConfig::enabled()
        .grace_period(STALL_LIMIT)
        .build();
    // By default the SDK adds checksums that not every server of the protocol knows.
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(Builder::new().tls_provider(ring).build_https())
        .region(Region::new(account.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
        .stalled_stream_protection(stalls)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let (Some(id), Some(secret)) = (&account.access_key_id, &account.secret_access_key) {
        let secret = secret.expose_secret();
        let keys = Credentials::new(id, secret, None, None, "the settings of this process");
        loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
    }
    if let Some(profile) = &account.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}
