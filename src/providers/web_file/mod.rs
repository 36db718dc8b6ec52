//! Files at addresses that somebody else named.
//!
//! Whoever names an address here may be hostile: it must not lead into our network, and what it answers
//! must not keep us busy. So: `https` only, no redirects, no proxy, every address of the name checked
//! and only those connected to, bounded in size, time and slowness. Not here: what is in the file.
//!
//! Invariant: an error never shows the address, which may hold a credential.

mod addresses;
mod names;

pub use names::{PrivateAddress, SystemNames};

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use crate::config;
use crate::pace::Pace;
use addresses::is_public;
use names::{CheckedNames, is_allowed};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches files; clones share one client.
#[derive(Clone, Debug)]
pub struct WebFiles {
    client: Client,
    allowed: Arc<[String]>,
    max_bytes: u64,
    idle: Duration,
    min_bytes_per_second: u64,
    time_limit: Duration,
}

/// A file that is being fetched.
#[derive(Debug)]
pub struct WebFile {
    response: Response,
    pace: Pace,
    size_bytes: u64,
    max_bytes: u64,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum WebFileError {
    #[error("the address is none that is fetched")]
    NotHttps,
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    #[error("the server answered {0}")]
    Status(StatusCode),
    #[error("the file is larger than {max_bytes} bytes")]
    TooLarge { max_bytes: u64 },
    #[error("too little arrived in time")]
    TooSlow,
    /// It cannot be reached, does not answer, or broke off.
    #[error("the request failed")]
    Failed(#[source] reqwest::Error),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum WebFilesError {
    #[error("FETCH_CA_FILE cannot be read")]
    CaFile(#[source] std::io::Error),
    #[error("the client cannot be made")]
    Client(#[from] reqwest::Error),
}

impl WebFiles {
    /// The process must have a TLS provider (`lifecycle::install_tls`).
    pub fn build(config: &config::Fetch) -> Result<Self, WebFilesError> {
        Self::with_names(config, Arc::new(SystemNames))
    }

    /// Asks `names` for the addresses of names, which are checked all the same.
    pub fn with_names(
        config: &config::Fetch,
        names: Arc<dyn Resolve>,
    ) -> Result<Self, WebFilesError> {
        let allowed: Arc<[String]> = config.allowed_hosts.clone().into();
        let mut client = Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            // A proxy would look the name up itself.
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(config.idle)
            .dns_resolver(CheckedNames::new(names, Arc::clone(&allowed)))
            .user_agent(concat!("aftercall/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(WebFilesError::CaFile)?;
            client = client.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self {
            client: client.build()?,
            allowed,
            max_bytes: config.max_bytes,
            idle: config.idle,
            min_bytes_per_second: config.min_bytes_per_second,
            time_limit: config.time_limit,
        })
    }

    /// Largest file in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Asks for a file; its bytes follow.
    pub async fn open(&self, address: &str) -> Result<WebFile, WebFileError> {
        let url = self.checked(address)?;
        let asked = self.client.get(url).timeout(self.time_limit).send().await;
        let response = asked.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(WebFileError::Status(response.status()));
        }
        let max_bytes = self.max_bytes;
        if response.content_length().is_some_and(|len| len > max_bytes) {
            return Err(WebFileError::TooLarge { max_bytes });
        }
        Ok(WebFile {
            response,
            pace: Pace::new(self.idle, self.min_bytes_per_second),
            size_bytes: 0,
            max_bytes,
        })
    }

    /// A host that is an address is never looked up, so it is checked here.
    fn checked(&self, address: &str) -> Result<Url, WebFileError> {
        let url: Url = address.parse().map_err(|_| WebFileError::NotHttps)?;
        let host = url.host_str().filter(|_| url.scheme() == "https");
        let host = host.ok_or(WebFileError::NotHttps)?;
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match literal.filter(|ip| !is_public(*ip) && !is_allowed(&self.allowed, host)) {
            Some(private) => Err(PrivateAddress(private).into()),
            None => Ok(url),
        }
    }
}

impl WebFile {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WebFileError> {
        let asked = Instant::now();
        let Some(bytes) = self.response.chunk().await.map_err(failed)? else {
            return Ok(None);
        };
        let len = bytes.len() as u64;
        if !self.pace.keeps(asked.elapsed(), len) {
            return Err(WebFileError::TooSlow);
        }
        self.size_bytes += len;
        if self.size_bytes > self.max_bytes {
            let max_bytes = self.max_bytes;
            return Err(WebFileError::TooLarge { max_bytes });
        }
        Ok(Some(bytes))
    }
}

/// What is at the bottom of a failure, without the address.
fn failed(error: reqwest::Error) -> WebFileError {
    let error = error.without_url();
    let mut causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    let private = causes.find_map(|cause| cause.downcast_ref::<PrivateAddress>().copied());
    match private {
        Some(private) => private.into(),
        None if error.is_timeout() => WebFileError::TooSlow,
        None => WebFileError::Failed(error),
    }
}
