//! Amazon's S3 and Transcribe on this machine, for tests of Amazon Transcribe, as moto stands in for them.
//!
//! Of Transcribe it knows standard jobs. A job goes one step each time it is asked about (queued, in
//! progress, completed) and writes nothing: a test puts the output where the job was told to. It forgets
//! everything when it ends. <https://docs.getmoto.org/en/latest/docs/server_mode.html>

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::install::PythonInstall;
use super::ports;

const NAME: &str = "moto";
/// Importing what it is built on takes seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
const MAX_TRIES: u32 = 5;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    child: Child,
}

impl Moto {
    /// Starts a server with its log in `dir`; it answers.
    pub async fn start(dir: &Path, install: &PythonInstall) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let mut tries = 0;
        loop {
            let port = ports::free()?;
            match launch(&dir, install, port).await {
                Ok(child) => return Ok(Self { port, child }),
                Err(error) if tries < MAX_TRIES && port_was_taken(&dir, &error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }
}

async fn launch(dir: &Path, install: &PythonInstall, port: u16) -> Result<Child> {
    let port = port.to_string();
    let args = ["-m", "moto.server", "-H", "127.0.0.1", "-p", &port];
    let child = Child::spawn(Spec {
        name: NAME,
        account: Account::Caller,
        program: install.python.clone(),
        args: args.map(Into::into).into(),
        environment: Environment::Only(vec![
            ("PYTHONPATH", install.dir.clone().into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("PYTHONUNBUFFERED", "1".into()),
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
            log.contains("Running on").then_some(())
        })
        .await?;
    Ok(child)
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("moto.log")
}

/// werkzeug says so itself and exits.
fn port_was_taken(dir: &Path, error: &Error) -> bool {
    matches!(error, Error::Exited { .. })
        && fs::read_to_string(log_file(dir)).is_ok_and(|log| log.contains("in use"))
}
