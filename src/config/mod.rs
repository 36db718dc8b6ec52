//! Every setting, one struct per concern.
//!
//! Settings come from the environment and nowhere else, and only [`Env::of_process`] reads it: tests
//! and the all-in-one process make an [`Env`] from a map. A wrong value names its variable when the
//! process starts. `.env.example` lists every variable with its default; a test holds it against
//! [`VARIABLES`].

mod agents;
mod analysis;
mod auth;
mod env;
mod ingress;
mod oidc;
mod redaction;
mod servers;
mod transcribe;
mod workers;

pub use agents::Agents;
pub use analysis::{Analysis, Llm, Prices};
pub use auth::{Auth, Cookies, Registration, SameSite, jwt_keys_dir};
pub use env::{ConfigError, Env, VARIABLES};
pub use ingress::{Http, RateLimits, Sessions};
pub use oidc::{Issuer, Oidc, is_safe};
pub use redaction::{RedactPii, Redaction};
pub use servers::{Administration, Database, Nats, ObjectStore, Passwords, Provisioning};
pub use transcribe::{AwsTranscribe, SpeechProvider, TranscribeJob};
pub use workers::{Fetch, Maintenance, Storage, Transcription, Worker};

/// What every process has.
#[derive(Clone, Debug)]
pub struct Process {
    pub environment: Environment,
    /// A `tracing` filter, for example `info` or `aftercall=debug,info`.
    pub log_level: String,
    pub log_format: LogFormat,
}

/// Where a process runs. Production refuses default secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Development,
    Production,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

impl Process {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let environment = env.one_of(
            "ENVIRONMENT",
            &[
                ("development", Environment::Development),
                ("production", Environment::Production),
            ],
        )?;
        let log_format = env.one_of(
            "LOG_FORMAT",
            &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
        )?;
        let debug = env.flag("DEBUG")?;
        let log_level = if debug {
            "aftercall=debug,info".to_owned()
        } else {
            env.text("LOG_LEVEL")?
        };
        Ok(Self {
            environment,
            log_level,
            log_format,
        })
    }
}

#[cfg(test)]
mod tests;
