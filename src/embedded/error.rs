//! What can go wrong with the embedded servers, in sentences that say what to do.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{program} is missing: install it with `{install}`")]
    MissingProgram {
        program: &'static str,
        install: &'static str,
    },
    #[error("installing {tool} failed: {detail}")]
    Install { tool: &'static str, detail: String },
    #[error("{dir} is in use by process {holder}: stop it, or choose another data directory", dir = .dir.display())]
    InUse { dir: PathBuf, holder: String },
    #[error("could not {action} {path}", path = .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not start {name}")]
    Spawn {
        name: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{name} ended with {status}; its log is {log}: {last_line}", log = .log.display())]
    Exited {
        name: &'static str,
        status: ExitStatus,
        log: PathBuf,
        last_line: String,
    },
    #[error("{name} was not ready after {} s; its log is {log}", .waited.as_secs(), log = .log.display())]
    NotReady {
        name: &'static str,
        waited: Duration,
        log: PathBuf,
    },
    #[error(
        "postgres refuses to run as root, user namespaces are not allowed here, and nobody cannot reach {path}: \
         run as an ordinary user, or choose a data directory that everybody can enter",
        path = .path.display()
    )]
    PostgresAsRoot { path: PathBuf },
    #[error("no free port of 127.0.0.1 found")]
    NoFreePort,
    #[error("could not open the database of the embedded postgres")]
    Database(#[from] sqlx::Error),
    #[error("{name} did not answer")]
    Http {
        name: &'static str,
        #[source]
        source: reqwest::Error,
    },
    #[error("the speech server refused a test clip with {status}: {body}")]
    Speech { status: u16, body: String },
}

impl Error {
    /// For `map_err`: what was being done to which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
