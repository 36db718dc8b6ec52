//! The servers that every process talks to.

use secrecy::SecretString;

use super::{ConfigError, Env};

/// The broker.
#[derive(Clone, Debug)]
pub struct Nats {
    /// One or more addresses, separated by commas, with user and password where the server wants them.
    pub url: SecretString,
    /// The monitoring port, which alone tells whether the server syncs before it acknowledges.
    pub monitor_url: Option<String>,
    /// Accept a server that acknowledges before its disk has the message.
    pub allow_unsynced: bool,
}

/// Postgres, as this process's own login role.
#[derive(Clone, Debug)]
pub struct Database {
    pub url: SecretString,
    pub max_connections: u32,
}

/// S3, or what speaks its protocol. Without keys, the AWS SDK's own chain finds them.
#[derive(Clone, Debug)]
pub struct ObjectStore {
    pub bucket: String,
    /// Base address of another server than Amazon's; requests are then path-style.
    pub endpoint_url: Option<String>,
    pub region: String,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<SecretString>,
    pub profile: Option<String>,
}

/// What `aftercall provision` sets up.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// An administrator of the cluster, connected to the project's database.
    pub admin_url: SecretString,
    pub passwords: Passwords,
}

/// What `aftercall user` needs.
#[derive(Clone, Debug)]
pub struct Administration {
    /// An administrator of the cluster, connected to the project's database.
    pub admin_url: SecretString,
    /// In characters.
    pub password_min_length: usize,
}

/// Passwords of the login roles; a role whose password is unset is neither made nor changed.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    pub ingress: Option<SecretString>,
    pub storage: Option<SecretString>,
    pub transcription: Option<SecretString>,
    pub analysis: Option<SecretString>,
    pub analytics: Option<SecretString>,
    pub maintenance: Option<SecretString>,
}

impl Nats {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            url: env.secret("NATS_URL")?,
            monitor_url: env.http_url("NATS_MONITOR_URL")?,
            allow_unsynced: env.flag("NATS_ALLOW_UNSYNCED")?,
        })
    }
}

impl Database {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            url: env.secret("DATABASE_URL")?,
            max_connections: env.parsed("DATABASE_MAX_CONNECTIONS", "a number of connections")?,
        })
    }
}

impl ObjectStore {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let own = env.http_url("AWS_ENDPOINT_URL_S3")?;
        Ok(Self {
            bucket: env.text("S3_BUCKET")?,
            endpoint_url: own
                .map_or_else(|| env.http_url("AWS_ENDPOINT_URL"), |url| Ok(Some(url)))?,
            region: env.text("AWS_REGION")?,
            access_key_id: env.optional("AWS_ACCESS_KEY_ID"),
            secret_access_key: env.optional_secret("AWS_SECRET_ACCESS_KEY"),
            profile: env.optional("AWS_PROFILE"),
        })
    }
}

impl Administration {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            admin_url: env.secret("DATABASE_ADMIN_URL")?,
            password_min_length: env.parsed("PASSWORD_MIN_LENGTH", "a number of characters")?,
        })
    }
}

impl Provisioning {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            admin_url: env.secret("DATABASE_ADMIN_URL")?,
            passwords: Passwords {
                ingress: env.optional_secret("DATABASE_PASSWORD_INGRESS"),
                storage: env.optional_secret("DATABASE_PASSWORD_STORAGE"),
                transcription: env.optional_secret("DATABASE_PASSWORD_TRANSCRIPTION"),
                analysis: env.optional_secret("DATABASE_PASSWORD_ANALYSIS"),
                analytics: env.optional_secret("DATABASE_PASSWORD_ANALYTICS"),
                maintenance: env.optional_secret("DATABASE_PASSWORD_MAINTENANCE"),
            },
        })
    }
}
