//! Settings of the ingress.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use super::{ConfigError, Env};

/// How the ingress serves.
#[derive(Clone, Debug)]
pub struct Http {
    pub app_name: String,
    pub address: SocketAddr,
    /// The address that clients use; by default the one that is served.
    pub public_url: String,
    /// The origin of [`public_url`](Self::public_url).
    pub own_origin: String,
    /// Origins of browsers that may call with credentials; compared exactly.
    pub cors_origins: Vec<HeaderValue>,
    /// Name of the cookie that holds the access token.
    pub cookie_name: String,
    /// Largest recording in bytes.
    pub max_upload_bytes: u64,
    /// Time for the headers of a request to arrive.
    pub header_timeout: Duration,
    /// Time for a request to be answered; uploads, playback and event streams are exempt.
    pub request_timeout: Duration,
    /// Time in which an upload must bring some bytes, and over which its rate is measured.
    pub upload_idle: Duration,
    /// Least rate of an upload; 0 is none.
    pub min_upload_bytes_per_second: u64,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
}

/// Requests that a client may send in a minute; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    pub address_per_minute: u32,
    pub user_per_minute: u32,
    pub key_per_minute: u32,
    /// Requests of a user or a key that bring calls.
    pub calls_per_minute: u32,
}

/// How sessions behave.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// Whether sessions complete by themselves once analysed and not live.
    pub auto_complete: bool,
}

impl Http {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let host: std::net::IpAddr = env.parsed("HOST", "an IP address")?;
        let port: u16 = env.parsed("PORT", "a port")?;
        let address = SocketAddr::new(host, port);
        let public_url = env
            .http_url("PUBLIC_URL")?
            .unwrap_or_else(|| format!("http://{address}"));
        let parsed = public_url.parse::<reqwest::Url>();
        let own_origin = parsed.map(|url| url.origin().ascii_serialization());
        Ok(Self {
            app_name: env.text("APP_NAME")?,
            address,
            own_origin: own_origin.unwrap_or_default(),
            public_url,
            cors_origins: origins(env)?,
            cookie_name: env.text("AUTH_COOKIE_NAME")?,
            max_upload_bytes: env.parsed("MAX_UPLOAD_BYTES", "a number of bytes")?,
            header_timeout: env.seconds("HEADER_TIMEOUT_SECONDS")?,
            request_timeout: env.seconds("REQUEST_TIMEOUT_SECONDS")?,
            upload_idle: env.seconds("UPLOAD_IDLE_SECONDS")?,
            min_upload_bytes_per_second: env
                .parsed("MIN_UPLOAD_BYTES_PER_SECOND", "a number of bytes")?,
            trusted_proxies: networks(env)?,
        })
    }
}

impl RateLimits {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let expected = "a number of requests, 0 for no limit";
        Ok(Self {
            address_per_minute: env.parsed("RATE_LIMIT_ADDRESS_PER_MINUTE", expected)?,
            user_per_minute: env.parsed("RATE_LIMIT_USER_PER_MINUTE", expected)?,
            key_per_minute: env.parsed("RATE_LIMIT_KEY_PER_MINUTE", expected)?,
            calls_per_minute: env.parsed("RATE_LIMIT_CALLS_PER_MINUTE", expected)?,
        })
    }
}

impl Sessions {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            auto_complete: env.flag("AUTO_COMPLETE")?,
        })
    }
}

fn origins(env: &Env) -> Result<Vec<HeaderValue>, ConfigError> {
    let wrong = || ConfigError::Wrong {
        name: "CORS_ORIGINS",
        expected: r#"a JSON list of origins, for example ["https://app.example.org"]"#.to_owned(),
    };
    let listed: Vec<String> =
        serde_json::from_str(&env.text("CORS_ORIGINS")?).map_err(|_| wrong())?;
    listed
        .into_iter()
        .map(|origin| {
            let url: reqwest::Url = origin.parse().map_err(|_| wrong())?;
            // An origin has no path, and `*` with credentials is what a list of origins is there to avoid.
            if url.origin().ascii_serialization() != origin {
                return Err(wrong());
            }
            HeaderValue::from_str(&origin).map_err(|_| wrong())
        })
        .collect()
}

/// Networks between commas; an address is a network of one.
fn networks(env: &Env) -> Result<Vec<IpNet>, ConfigError> {
    let listed = env.optional("TRUSTED_PROXIES").unwrap_or_default();
    let parse = |item: &str| {
        let address = || item.parse().map(|address: IpAddr| IpNet::from(address));
        item.parse().or_else(|_| address())
    };
    listed
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            parse(item).map_err(|_| ConfigError::Wrong {
                name: "TRUSTED_PROXIES",
                expected: "networks between commas, for example 10.0.0.0/8, fd00::/8".to_owned(),
            })
        })
        .collect()
}
