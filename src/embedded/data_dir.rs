//! The directory that a set of servers lives in: one holder at a time, and no children left of the
//! last one.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{Error, Result};

/// How long children of a holder that was killed have to end by themselves.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

/// A data directory that this process holds. The kernel releases the lock when the process ends,
/// however it ends.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    pub async fn acquire(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
        let pids = path.join("pids");
        fs::create_dir_all(&pids).map_err(Error::io("create", &pids))?;
        let lock = lock(&path)?;
        let dir = Self { path, _lock: lock };
        dir.outlive_leftovers().await?;
        Ok(dir)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.path.join("pids").join(name)
    }

    /// A holder that was killed may have children that are still ending, and whose data would be
    /// opened twice.
    async fn outlive_leftovers(&self) -> Result<()> {
        let pids = self.path.join("pids");
        for entry in fs::read_dir(&pids).map_err(Error::io("read", &pids))? {
            let file = entry.map_err(Error::io("read", &pids))?.path();
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
                self.outlive(pid).await;
            }
            fs::remove_file(&file).map_err(Error::io("remove", &file))?;
        }
        Ok(())
    }

    async fn outlive(&self, pid: Pid) {
        let patience_ends = Instant::now() + LEFTOVER_GRACE;
        while self.owns(pid) {
            if Instant::now() > patience_ends {
                let pid_number = pid.as_raw_pid();
                tracing::warn!(
                    pid = pid_number,
                    "killing a server that a killed process left"
                );
                let _ = kill_process(pid, Signal::KILL);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the process was started on this directory: a pid may belong to a stranger by now,
    /// but every embedded server is named a file of its directory on its command line.
    fn owns(&self, pid: Pid) -> bool {
        let Ok(command_line) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())) else {
            return false;
        };
        let prefix = format!("{}/", self.path.display());
        command_line
            .split(|byte| *byte == 0)
            .any(|word| word.starts_with(prefix.as_bytes()))
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = path.join("lock");
    let mut open = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file)
        .map_err(Error::io("open", &file))?;
    match open.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&file).unwrap_or_default();
            return Err(Error::InUse {
                dir: path.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &file)(error)),
    }
    open.set_len(0)
        .and_then(|()| writeln!(open, "{}", std::process::id()))
        .map_err(Error::io("write", &file))?;
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_cannot_hold_one_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::acquire(dir.path()).await.unwrap();
        let error = DataDir::acquire(dir.path()).await.unwrap_err();
        let expected = format!("is in use by process {}", std::process::id());
        assert!(error.to_string().contains(&expected), "{error}");
        drop(first);
        DataDir::acquire(dir.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_recorded_pid_that_belongs_to_a_stranger_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pids")).unwrap();
        fs::write(dir.path().join("pids/nats"), std::process::id().to_string()).unwrap();
        fs::write(dir.path().join("pids/torn"), "12x").unwrap();
        let dir = DataDir::acquire(dir.path()).await.unwrap();
        assert_eq!(fs::read_dir(dir.path().join("pids")).unwrap().count(), 0);
    }
}
