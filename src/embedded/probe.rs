//! HTTP towards the embedded servers, for health checks.

use std::time::Duration;

use reqwest::Client;

/// A client for plain HTTP on the loopback interface. It brings its own TLS provider, because a
/// library does not install one for the process, and no roots, because it meets no TLS.
pub(super) fn client() -> Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(1))
        .build()
        .expect("the options do not depend on the environment")
}

/// Whether a GET is answered with a success in a second.
pub(super) async fn answers(client: &Client, url: &str) -> bool {
    let request = client.get(url).timeout(Duration::from_secs(1));
    matches!(request.send().await, Ok(response) if response.status().is_success())
}
