//! One child process that ends when asked, when dropped, and when this process dies.
//!
//! The kernel delivers the parent-death signal when the *thread* that spawned a child ends, so each
//! child has a thread of its own that spawns it and then waits for it.
//! <https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html>

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{oneshot, watch};

use super::error::{Error, Result};

/// Where the programs of util-linux and the shell are looked for.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a dropped child has to end by its stop signal before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(3);

/// What to run and how it ends.
pub(super) struct Spec {
    pub name: &'static str,
    pub account: Account,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub environment: Environment,
    /// Receives both output streams; emptied at each start.
    pub log: PathBuf,
    /// Holds the pid while the child runs.
    pub pid_file: PathBuf,
    /// Ends the program cleanly; sent on stop, on drop and by the kernel when this process dies.
    pub stop: StopSignal,
}

pub(super) enum Environment {
    /// Of this process, with these on top: an installer needs its proxies and indexes.
    Inherited(Vec<(&'static str, OsString)>),
    /// Only these: a developer's `PGOPTIONS` and API keys are no server's business.
    Only(Vec<(&'static str, OsString)>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum StopSignal {
    Int,
    Term,
    Kill,
}

/// As whom the child runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// As the caller.
    Caller,
    /// Root outside, an ordinary user in its own eyes; its files stay root's.
    MappedUser,
    /// As `nobody`, where user namespaces are refused.
    Nobody,
}

/// A running (or ended) child. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Child {
    name: &'static str,
    pid: Pid,
    stop: Signal,
    log: PathBuf,
    reaped: Arc<Reaped>,
    exited: watch::Receiver<Option<ExitStatus>>,
}

/// Held while a signal is sent and while the child is reaped, so that a signal never reaches a
/// stranger to whom the kernel has given the same pid.
#[derive(Debug, Default)]
struct Reaped {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Child {
    pub async fn spawn(spec: Spec) -> Result<Self> {
        let log = File::create(&spec.log).map_err(Error::io("write", &spec.log))?;
        let errors = log.try_clone().map_err(Error::io("write", &spec.log))?;
        let mut command = spec.command();
        command.stdin(Stdio::null()).stdout(log).stderr(errors);

        let (started_tx, started_rx) = oneshot::channel();
        let (exited_tx, exited) = watch::channel(None);
        let reaped = Arc::new(Reaped::default());
        let thread_reaped = Arc::clone(&reaped);
        let pid_file = spec.pid_file.clone();
        let name = spec.name;
        thread::Builder::new()
            .name(format!("embedded-{name}"))
            .spawn(move || live(command, &pid_file, started_tx, &exited_tx, &thread_reaped))
            .map_err(|source| Error::Spawn { name, source })?;
        let pid = started_rx
            .await
            .expect("the thread reports before it ends")
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::MissingProgram {
                    program: "prlimit or setpriv",
                    install: "apt-get install -y util-linux",
                },
                _ => Error::Spawn { name, source },
            })?;
        Ok(Self {
            name,
            pid,
            stop: spec.stop.into(),
            log: spec.log,
            reaped,
            exited,
        })
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits for a child that is to end by itself.
    pub async fn succeeded(&self) -> Result<()> {
        let status = self.ended().await;
        if status.success() {
            return Ok(());
        }
        Err(self.exited_with(status))
    }

    /// Runs `ready` until it gives a value, the child ends, or the time is over.
    pub async fn until_ready<T, F>(
        &self,
        limit: Duration,
        poll: Duration,
        mut ready: F,
    ) -> Result<T>
    where
        F: AsyncFnMut() -> Option<T>,
    {
        let polling = async {
            loop {
                if let Some(value) = ready().await {
                    return value;
                }
                tokio::time::sleep(poll).await;
            }
        };
        tokio::select! {
            biased;
            status = self.ended() => Err(self.exited_with(status)),
            outcome = tokio::time::timeout(limit, polling) => outcome.map_err(|_| Error::NotReady {
                name: self.name,
                waited: limit,
                log: self.log.clone(),
            }),
        }
    }

    /// Asks the child to end, and kills it when it has not after `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.signal(self.stop);
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            tracing::warn!(name = self.name, "had to be killed");
            self.kill().await;
        }
    }

    /// Ends the child at once, as a crash would.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Waits for the child to end, by itself or otherwise.
    pub async fn ended(&self) -> ExitStatus {
        let mut exited = self.exited.clone();
        let status = exited.wait_for(Option::is_some).await;
        let status = status.expect("the thread that reports outlives the child");
        status.expect("this is what was waited for")
    }

    fn exited_with(&self, status: ExitStatus) -> Error {
        Error::Exited {
            name: self.name,
            status,
            log: self.log.clone(),
            last_line: last_line(&self.log),
        }
    }

    fn signal(&self, signal: Signal) {
        let done = self.reaped.lock();
        if !*done {
            // The child may have ended a moment ago, which is what was asked for.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(self.stop);
        if !self.reaped.wait(DROP_GRACE) {
            self.signal(Signal::KILL);
            self.reaped.wait(DROP_GRACE);
        }
    }
}

impl Reaped {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the child ended within `limit`.
    fn wait(&self, limit: Duration) -> bool {
        let (done, _) = self
            .changed
            .wait_timeout_while(self.lock(), limit, |done| !*done)
            .unwrap_or_else(PoisonError::into_inner);
        *done
    }
}

impl Spec {
    /// `prlimit … [unshare …] setpriv --pdeathsig … sh -c 'still mine?' program args`, each of which
    /// executes the next, so that the pid is the program's. setpriv comes after the change of
    /// account, because that change clears the parent-death signal; the shell closes the gap in
    /// which this process dies before the signal is armed.
    fn command(&self) -> Command {
        let mut command = Command::new("prlimit");
        match &self.environment {
            Environment::Inherited(added) => {
                command.envs(added.iter().map(|(name, value)| (*name, value)));
            }
            Environment::Only(given) => {
                command.env_clear().env("PATH", PATH);
                command.envs(given.iter().map(|(name, value)| (*name, value)));
            }
        }
        command.args(["--core=0", "--"]);
        command.args(self.account.prefix());
        command.args(["setpriv", "--pdeathsig", self.stop.name(), "--"]);
        command.args(["sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#]);
        command.arg(std::process::id().to_string());
        command.arg(&self.program).args(&self.args);
        command
    }
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}

impl From<StopSignal> for Signal {
    fn from(signal: StopSignal) -> Self {
        match signal {
            StopSignal::Int => Self::INT,
            StopSignal::Term => Self::TERM,
            StopSignal::Kill => Self::KILL,
        }
    }
}

impl Account {
    /// The command words that change the account.
    pub fn prefix(self) -> &'static [&'static str] {
        match self {
            Self::Caller => &[],
            Self::MappedUser => &[
                "unshare",
                "--user",
                "--map-user=65534",
                "--map-group=65534",
                "--",
            ],
            Self::Nobody => &[
                "setpriv",
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                "--",
            ],
        }
    }
}

/// The life of the child, on its own thread.
fn live(
    mut command: Command,
    pid_file: &Path,
    started: oneshot::Sender<std::io::Result<Pid>>,
    exited: &watch::Sender<Option<ExitStatus>>,
    reaped: &Reaped,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_child(&child);
    if let Err(error) = fs::write(pid_file, format!("{}\n", pid.as_raw_pid())) {
        tracing::warn!(%error, file = %pid_file.display(), "could not record a pid");
    }
    let _ = started.send(Ok(pid));
    // Seen, not yet reaped: the pid stays taken until nobody can be about to signal it.
    while let Err(rustix::io::Errno::INTR) = waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
    let mut done = reaped.lock();
    let status = child.wait().unwrap_or_default();
    let _ = fs::remove_file(pid_file);
    *done = true;
    drop(done);
    exited.send_replace(Some(status));
    reaped.changed.notify_all();
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("(empty)")
        .to_owned()
}
