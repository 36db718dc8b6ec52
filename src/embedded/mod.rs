//! Private servers for development and tests: nats-server, PostgreSQL, S3, speech-to-text, and for tests
//! alone an OpenID provider, chat servers and a stand-in for Amazon Transcribe.
//!
//! Not for production, where these are services of their own. What the caller's environment already
//! names is used instead of being started.
//!
//! Invariant: everything is inside the data and tools directories and on 127.0.0.1, and no server
//! outlives the process that started it, however that process ends.

pub mod agent;
pub mod chat;
mod child;
mod data_dir;
pub mod error;
pub mod fault_proxy;
pub mod harness;
pub mod install;
mod known_uploads;
pub mod logins;
pub mod moto;
pub mod nats;
mod nats_users;
pub mod npm;
pub mod oidc;
mod ports;
pub mod postgres;
mod probe;
pub mod recount;
pub mod s3;
pub mod secrets;
pub mod seed;
pub mod speech;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_dir::DataDir;
use ports::Ports;

pub use chat::ChatPeer;
pub use error::{Error, Result};
pub use fault_proxy::FaultProxy;
pub use moto::Moto;
pub use nats::{NatsOptions, NatsPorts, NatsServer};
pub use nats_users::NatsUsers;
pub use oidc::{OidcOptions, OidcProvider};
pub use postgres::{Durability, Postgres, PostgresOptions};
pub use s3::{S3Options, S3Server};
pub use speech::{SpeechOptions, SpeechServer};

/// Tells a process under [`Servers::environment`] where the programs are installed.
pub const TOOLS_DIR_VARIABLE: &str = "EMBEDDED_TOOLS_DIR";

const ACCESS_KEY_ID: &str = "aftercall";

#[derive(Debug, Clone)]
pub struct Options {
    /// Data, logs, ports and pids; one process at a time.
    pub data_dir: PathBuf,
    /// Installed programs; shared by any number of processes.
    pub tools_dir: PathBuf,
    pub which: Which,
    pub durability: Durability,
}

/// The servers to start.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each server, each free of the others"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    pub nats: bool,
    pub postgres: bool,
    pub s3: bool,
    pub speech: bool,
}

/// A running set of servers. Dropping it ends them all; their data stays. Not `Debug`: its
/// environment holds passwords.
pub struct Servers {
    pub nats: Option<NatsServer>,
    pub postgres: Option<Postgres>,
    pub s3: Option<S3Server>,
    pub speech: Option<SpeechServer>,
    environment: BTreeMap<String, String>,
    // Declared last: the directory is given up when nothing runs in it any more.
    _data_dir: DataDir,
}

impl Which {
    pub const ALL: Self = Self {
        nats: true,
        postgres: true,
        s3: true,
        speech: true,
    };

    /// Leaves out what the caller's environment already names a server for: `is_set` says whether a
    /// variable has a value, and an empty one is none.
    pub fn not_named(is_set: impl Fn(&'static str) -> bool) -> Self {
        Self {
            nats: !is_set("NATS_URL"),
            postgres: !is_set("DATABASE_URL") && !is_set("DATABASE_ADMIN_URL"),
            s3: !is_set("AWS_ENDPOINT_URL_S3") && !is_set("AWS_ENDPOINT_URL"),
            speech: !is_set("TRANSCRIPTION_BASE_URL"),
        }
    }
}

impl Servers {
    /// Installs what is missing, then starts all servers at the same time. When one fails, those
    /// that run are ended.
    pub async fn start(options: Options) -> Result<Self> {
        let data_dir = DataDir::acquire(&options.data_dir).await?;
        let tools_dir = std::path::absolute(&options.tools_dir)
            .map_err(Error::io("resolve", &options.tools_dir))?;
        let mut ports = Ports::load(data_dir.path());
        let secret = secrets::load_or_make(&data_dir.path().join("s3-secret"))?;
        let which = options.which;
        let start = Start {
            data_dir: &data_dir,
            tools_dir: &tools_dir,
            ports: &ports,
        };
        let (nats, postgres, s3, speech) = tokio::try_join!(
            when(which.nats, start.nats()),
            when(which.postgres, start.postgres(options.durability)),
            when(which.s3, start.s3(secret.clone())),
            when(which.speech, start.speech()),
        )?;
        let mut servers = Self {
            nats,
            postgres,
            s3,
            speech,
            environment: BTreeMap::new(),
            _data_dir: data_dir,
        };
        servers.remember_ports(&mut ports)?;
        servers.environment = servers.variables(&tools_dir, &secret);
        Ok(servers)
    }

    /// The variables that lead to the servers which were started, and to no other.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Ends all servers cleanly.
    pub async fn stop(mut self) {
        // Not at the same time: whoever writes last still finds what it writes to.
        if let Some(speech) = &mut self.speech {
            speech.stop().await;
        }
        if let Some(nats) = &mut self.nats {
            nats.stop().await;
        }
        if let Some(s3) = &mut self.s3 {
            s3.stop().await;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop().await;
        }
    }

    fn remember_ports(&self, ports: &mut Ports) -> Result<()> {
        if let Some(nats) = &self.nats {
            ports.remember("nats", nats.ports().client);
            ports.remember("nats-monitor", nats.ports().monitor);
        }
        if let Some(postgres) = &self.postgres {
            ports.remember("postgres", postgres.port());
        }
        if let Some(s3) = &self.s3 {
            ports.remember("s3", s3.port());
        }
        if let Some(speech) = &self.speech {
            ports.remember("speech", speech.port());
        }
        ports.save()
    }

    fn variables(&self, tools_dir: &Path, secret: &str) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
        set(TOOLS_DIR_VARIABLE, tools_dir.display().to_string());
        if let Some(nats) = &self.nats {
            for (name, value) in nats.variables() {
                set(name, value);
            }
        }
        if let Some(postgres) = &self.postgres {
            set("DATABASE_ADMIN_URL", postgres.admin_url());
        }
        if let Some(s3) = &self.s3 {
            set("AWS_ENDPOINT_URL_S3", s3.url());
            set("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned());
            set("AWS_SECRET_ACCESS_KEY", secret.to_owned());
            set("AWS_REGION", s3::REGION.to_owned());
            set("S3_BUCKET", s3::BUCKET.to_owned());
        }
        if let Some(speech) = &self.speech {
            set("TRANSCRIPTION_BASE_URL", speech.base_url());
        }
        variables
    }
}

/// What each server's start needs of the set.
struct Start<'a> {
    data_dir: &'a DataDir,
    tools_dir: &'a Path,
    ports: &'a Ports,
}

impl Start<'_> {
    async fn nats(&self) -> Result<NatsServer> {
        let options = NatsOptions {
            program: install::nats_server(self.tools_dir).await?,
            pid_file: Some(self.data_dir.pid_file("nats")),
            ports: Some(NatsPorts {
                client: self.ports.pick("nats")?,
                monitor: self.ports.pick("nats-monitor")?,
            }),
            users: NatsUsers::load_or_make(self.data_dir.path())?,
        };
        NatsServer::start(&self.data_dir.path().join("nats"), options).await
    }

    async fn postgres(&self, durability: Durability) -> Result<Postgres> {
        let data_dir = self.data_dir.path();
        let options = PostgresOptions {
            programs: install::postgres(self.tools_dir).await?,
            password: secrets::load_or_make(&data_dir.join("postgres-password"))?.into(),
            pid_file: self.data_dir.pid_file("postgres"),
            port: Some(self.ports.pick("postgres")?),
            durability,
        };
        Postgres::start(&data_dir.join("postgres"), options).await
    }

    async fn s3(&self, secret_access_key: String) -> Result<S3Server> {
        let options = S3Options {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: secret_access_key.into(),
            port: Some(self.ports.pick("s3")?),
        };
        S3Server::start(&self.data_dir.path().join("s3"), options).await
    }

    async fn speech(&self) -> Result<SpeechServer> {
        let options = SpeechOptions {
            install: install::speech(self.tools_dir).await?,
            pid_file: self.data_dir.pid_file("speech"),
            port: Some(self.ports.pick("speech")?),
        };
        SpeechServer::start(&self.data_dir.path().join("speech"), options).await
    }
}

/// Boxed, because four starts side by side make a future too large for a stack.
async fn when<T>(wanted: bool, start: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    if wanted {
        Box::pin(start).await.map(Some)
    } else {
        Ok(None)
    }
}
