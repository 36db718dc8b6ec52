//! An OpenID provider on this machine, for tests of signing in with one.
//!
//! Whoever asks is let in: `PUT /users/{subject}` sets the claims of a person, and a POST to the
//! authorization endpoint with `sub` signs that person in. It forgets everything, its signing key
//! included, when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::install::PythonInstall;
use super::ports;

const NAME: &str = "OpenID provider";
const SCRIPT: &str = include_str!("oidc_provider.py");
/// Importing what it is built on takes seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub struct OidcOptions {
    pub install: PythonInstall,
    /// The port to try first.
    pub port: Option<u16>,
}

/// A running provider; dropping it ends it.
#[derive(Debug)]
pub struct OidcProvider {
    port: u16,
    child: Child,
}

impl OidcProvider {
    /// Starts a provider with its log in `dir`; it answers.
    pub async fn start(dir: &Path, options: OidcOptions) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let mut wanted = options.port;
        let mut tries = 0;
        loop {
            let port = match wanted.take() {
                Some(port) => port,
                None => ports::free()?,
            };
            match launch(&dir, &options.install, port).await {
                Ok(child) => return Ok(Self { port, child }),
                Err(error) if tries < 5 && port_was_taken(&dir, &error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// What it calls itself, and where its discovery document is found.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }
}

async fn launch(dir: &Path, install: &PythonInstall, port: u16) -> Result<Child> {
    let port = port.to_string();
    let child = Child::spawn(Spec {
        name: NAME,
        account: Account::Caller,
        program: install.python.clone(),
        args: ["-c", SCRIPT, "127.0.0.1", &port].map(Into::into).into(),
        environment: Environment::Only(vec![
            ("PYTHONPATH", install.dir.clone().into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            // Authlib wants TLS otherwise, which the loopback interface does not need.
            ("AUTHLIB_INSECURE_TRANSPORT", "1".into()),
            ("HOME", dir.into()),
            ("LANG", "C.UTF-8".into()),
        ]),
        log: log_file(dir),
        pid_file: dir.join("pid"),
        stop: StopSignal::Kill,
    })
    .await?;
    // It prints this when it listens; an answer on the port alone could be another server's.
    child
        .until_ready(START_LIMIT, POLL, async || {
            let log = fs::read_to_string(log_file(dir)).ok()?;
            log.lines().any(|line| line == "listening").then_some(())
        })
        .await?;
    Ok(child)
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("oidc.log")
}

/// werkzeug says so itself and exits.
fn port_was_taken(dir: &Path, error: &Error) -> bool {
    matches!(error, Error::Exited { .. })
        && fs::read_to_string(log_file(dir)).is_ok_and(|log| log.contains("in use"))
}
