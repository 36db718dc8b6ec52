//! HTTP towards identity providers: bounded in size and time, and never redirected.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;

use crate::config::is_safe;

const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Largest answer; key sets of big providers have some 10 KB.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A client for identity providers.
pub struct Http(reqwest::Client);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the address is neither https nor on this machine")]
    Unsafe,
    #[error("the request failed")]
    Failed(#[from] reqwest::Error),
    #[error("the answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not HTTP")]
    Malformed(#[from] http::Error),
}

impl Http {
    /// The process must have a TLS provider (`lifecycle::install_tls`).
    pub fn build() -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(TIME_LIMIT)
            .timeout(TIME_LIMIT)
            // What an issuer says of itself is read from the issuer, and our secret goes to nobody else.
            .redirect(Policy::none())
            .user_agent(concat!("aftercall/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        if !is_safe(request.url()) {
            return Err(HttpError::Unsafe);
        }
        let mut response = self.0.execute(request).await?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.extend(response.headers().clone());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
