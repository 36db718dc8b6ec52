//! Programs of this workspace as children, for the tests that need whole processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::eventually;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};

/// A stop may take this long (`lifecycle`).
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A running program.
pub struct Program {
    child: Child,
    url: String,
}

impl Program {
    /// The program of a worker.
    pub fn of(process: Process) -> &'static str {
        match process {
            Process::Ingress => "ingress",
            Process::Storage => "storage",
            Process::Transcription => "transcription",
            Process::Analysis => "analysis",
            Process::Analytics => "analytics",
            Process::Maintenance => "maintenance",
        }
    }

    /// Starts a program with nothing but this environment, and waits until it is ready.
    pub async fn start(name: &str, env: &Env, port: u16) -> Self {
        let mut command = Self::command(name, env);
        command.env("LOG_LEVEL", "warn");
        Self::ready(command, port).await
    }

    /// A program with nothing but this environment; it dies with the test.
    pub fn command(name: &str, env: &Env) -> Command {
        Self::command_at(&program(name), env)
    }

    /// The same of any file.
    pub fn command_at(path: &Path, env: &Env) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(path)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts it and waits until it is ready.
    pub async fn ready(mut command: Command, port: u16) -> Self {
        let child = command.spawn().expect("the program starts");
        let url = format!("http://127.0.0.1:{port}");
        let program = Self { child, url };
        eventually("the program is ready", || async {
            let ready = reqwest::get(format!("{}/ready", program.url())).await;
            ready.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        program
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Pid {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        pid.and_then(Pid::from_raw).expect("it runs")
    }

    /// Ends it as the death of its machine would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Asks it to stop and waits until it has; it must end well.
    pub async fn stop(mut self) {
        kill_process(self.pid(), Signal::TERM).expect("a signal");
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        assert!(
            ended
                .expect("it stops in time")
                .expect("waited for")
                .success()
        );
    }
}

/// A program of this workspace, beside the one that belongs to these tests.
fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_aftercall-all")).with_file_name(name);
    assert!(path.exists(), "build it first: `make test` does");
    path
}

/// SHA-256 of the WAV file in the form that a worker sends to a speech server.
pub fn audio_sha256(form: &[u8]) -> Vec<u8> {
    let start = form
        .windows(4)
        .position(|four| four == b"RIFF")
        .expect("a WAV file");
    let length = form[start + 4..start + 8]
        .try_into()
        .map(u32::from_le_bytes)
        .expect("a length");
    Sha256::digest(&form[start..start + 8 + length as usize]).to_vec()
}
