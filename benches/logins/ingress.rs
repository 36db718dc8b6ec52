//! The ingress as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

const STOP_LIMIT: Duration = Duration::from_secs(30);

pub struct Ingress {
    child: Child,
    pub url: String,
}

impl Ingress {
    /// Starts it with its defaults, but for a trusted proxy: the bench speaks for many addresses.
    pub async fn start(harness: &Harness) -> Self {
        let port = free_port();
        let env = harness.env(Process::Ingress).with([
            ("PORT", port.to_string().as_str()),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
            ("DATABASE_MAX_CONNECTIONS", ""),
            ("LOG_LEVEL", "warn"),
        ]);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(env!("CARGO_BIN_EXE_ingress"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(env.iter())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the ingress starts");
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}/ready");
        eventually("the ingress is ready", || async {
            let answer = reqwest::get(&ready).await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self { child, url }
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, Signal::TERM).expect("a signal");
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        let status = ended.expect("it stops in time").expect("waited for");
        assert!(status.success(), "{status}");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
