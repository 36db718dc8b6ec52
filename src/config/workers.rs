//! Settings of the workers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::{ConfigError, Env};

/// What every worker has.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Address of `/health`, `/ready` and `/metrics`; port 0 takes a free one and logs it.
    pub address: SocketAddr,
    /// Messages that one process handles at once.
    pub concurrency: usize,
}

/// The speech-to-text server: any that speaks `POST /v1/audio/transcriptions`.
#[derive(Clone, Debug)]
pub struct Transcription {
    pub base_url: String,
    pub api_key: Option<SecretString>,
    pub model: String,
    /// Language of the speech (ISO 639-1); the engine finds it out where this is unset.
    pub language: Option<String>,
    /// Longest recording that is accepted, by its decoded length.
    pub max_audio: Duration,
}

/// How recordings are checked.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Longest recording that is accepted, by its decoded length: what is never transcribed is not
    /// stored either.
    pub max_audio: Duration,
}

/// How recordings are fetched from where agents keep them.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Largest recording in bytes, as for uploads.
    pub max_bytes: u64,
    /// Time in which a server must bring some bytes, and over which its rate is measured.
    pub idle: Duration,
    /// Least rate; 0 is none.
    pub min_bytes_per_second: u64,
    /// For the whole of a recording.
    pub time_limit: Duration,
    /// Hosts, in lower case, that may be in a private network.
    pub allowed_hosts: Vec<String>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How the maintenance jobs run.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// Age at which an event in the outbox counts as left behind.
    pub outbox_delay: Duration,
    /// Age at which unfinished work is asked for again; longer than the broker's duplicate window.
    pub reconcile_after: Duration,
    /// Silence after which an upload counts as broken off.
    pub upload_sweep_after: Duration,
    /// Copies of each stream across the servers of a cluster.
    pub nats_replicas: usize,
    /// How long the broker remembers a message's id.
    pub nats_duplicate_window: Duration,
}

impl Worker {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let host: std::net::IpAddr = env.parsed("WORKER_HOST", "an IP address")?;
        let port: u16 = env.parsed("WORKER_PORT", "a port")?;
        let concurrency: usize = env.parsed("WORKER_CONCURRENCY", "a number of messages")?;
        Ok(Self {
            address: SocketAddr::new(host, port),
            concurrency: concurrency.max(1),
        })
    }
}

impl Transcription {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            base_url: env
                .http_url("TRANSCRIPTION_BASE_URL")?
                .ok_or(ConfigError::Missing("TRANSCRIPTION_BASE_URL"))?,
            api_key: env.optional_secret("TRANSCRIPTION_API_KEY"),
            model: env.text("TRANSCRIPTION_MODEL")?,
            language: env.optional("TRANSCRIPTION_LANGUAGE"),
            max_audio: env.seconds("TRANSCRIPTION_MAX_AUDIO_SECONDS")?,
        })
    }
}

impl Storage {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            max_audio: env.seconds("TRANSCRIPTION_MAX_AUDIO_SECONDS")?,
        })
    }
}

impl Fetch {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let listed = env.optional("FETCH_ALLOWED_HOSTS").unwrap_or_default();
        let hosts = listed
            .split(',')
            .map(|host| host.trim().to_ascii_lowercase());
        Ok(Self {
            max_bytes: env.parsed("MAX_UPLOAD_BYTES", "a number of bytes")?,
            idle: env.seconds("UPLOAD_IDLE_SECONDS")?,
            min_bytes_per_second: env.parsed("MIN_UPLOAD_BYTES_PER_SECOND", "a number of bytes")?,
            time_limit: env.seconds("FETCH_TIME_LIMIT_SECONDS")?,
            allowed_hosts: hosts.filter(|host| !host.is_empty()).collect(),
            ca_file: env.optional("FETCH_CA_FILE").map(PathBuf::from),
        })
    }
}

impl Maintenance {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            outbox_delay: env.seconds("OUTBOX_DELAY_SECONDS")?,
            reconcile_after: env.seconds("RECONCILE_AFTER_SECONDS")?,
            upload_sweep_after: env.seconds("UPLOAD_SWEEP_AFTER_SECONDS")?,
            nats_replicas: env.parsed("NATS_REPLICAS", "a number of servers")?,
            nats_duplicate_window: env.seconds("NATS_DUPLICATE_WINDOW_SECONDS")?,
        })
    }
}
