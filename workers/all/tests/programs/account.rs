//! One account with a folder of its own, and what a program leaves in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_aftercall-all");
const NOBODY: u32 = 65_534;
/// The servers that the environment of the test run names are not the ones under test.
const NAMED_ELSEWHERE: [&str; 6] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "DATABASE_ADMIN_URL",
    "DATABASE_URL",
    "NATS_URL",
    "TRANSCRIPTION_BASE_URL",
];

/// A folder with everything that one account needs to run the program.
pub struct Account {
    home: TempDir,
    program: PathBuf,
    tools_dir: PathBuf,
    is_nobody: bool,
}

impl Account {
    pub fn own() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            program: PROGRAM.into(),
            tools_dir: checkout_tools(),
            is_nobody: false,
        }
    }

    /// Program and tools are copied, since the checkout may be out of this account's reach.
    pub fn nobody() -> Self {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("aftercall-all");
        fs::copy(PROGRAM, &program).unwrap();
        let tools_dir = home.path().join("tools");
        if checkout_tools().exists() {
            let copy = Command::new("cp")
                .arg("-r")
                .arg(checkout_tools())
                .arg(&tools_dir)
                .status();
            assert!(copy.unwrap().success());
        }
        let give = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(home.path())
            .status();
        assert!(give.unwrap().success());
        chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        Self {
            home,
            program,
            tools_dir,
            is_nobody: true,
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn servers(&self, more: &[&str]) -> Command {
        self.command("servers", more)
    }

    /// One of the program's commands in this folder.
    pub fn command(&self, name: &str, more: &[&str]) -> Command {
        let mut command;
        if self.is_nobody {
            command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command.arg(&self.program);
            command
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env("HOME", self.home.path());
        } else {
            command = Command::new(&self.program);
        }
        command.current_dir(self.home.path());
        command.arg(name).arg("--data-dir").arg(self.data_dir());
        command.arg("--tools-dir").arg(&self.tools_dir).args(more);
        for name in NAMED_ELSEWHERE {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Without the speech server, which takes longest and is named elsewhere here.
    pub fn quick_servers(&self, more: &[&str]) -> Command {
        let mut command = self.servers(more);
        command.env("TRANSCRIPTION_BASE_URL", "http://127.0.0.1:9");
        command
    }

    /// Starts all servers; the names of variables come in alphabetical order.
    pub fn start(&self) -> Running {
        self.start_by(&mut self.servers(&[]), "TRANSCRIPTION_BASE_URL")
    }

    /// Starts the program and reads what it prints, up to a variable's line.
    pub fn start_by(&self, command: &mut Command, last_variable: &str) -> Running {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut environment = BTreeMap::new();
        for line in lines {
            let line = line.unwrap();
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            environment.insert(name.to_owned(), value.trim_matches('\'').to_owned());
            if name == last_variable {
                break;
            }
        }
        Running {
            process,
            environment,
            pids: recorded_pids(&self.data_dir()),
            ports: remembered_ports(&self.data_dir()),
        }
    }
}

pub struct Running {
    pub process: Child,
    pub environment: BTreeMap<String, String>,
    pub pids: Vec<u32>,
    pub ports: Vec<u16>,
}

impl Running {
    pub fn assert_serving(&self) {
        assert_eq!(self.pids.len(), 3, "nats-server, postgres, speech server");
        assert_eq!(self.ports.len(), 5, "two of them are nats-server's");
        assert!(self.pids.iter().copied().all(is_alive));
        for port in &self.ports {
            TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).unwrap();
        }
    }

    /// Within the time that a killed program's children have.
    pub fn assert_gone(&self) {
        let killed = Instant::now();
        while !self.is_gone() {
            assert!(
                killed.elapsed() < Duration::from_secs(5),
                "something outlived the program"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_gone(&self) -> bool {
        !self.pids.iter().copied().any(is_alive)
            && self
                .ports
                .iter()
                .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
    }
}

fn checkout_tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/tools")
}

pub fn recorded_pids(data_dir: &Path) -> Vec<u32> {
    let files = fs::read_dir(data_dir.join("pids")).unwrap();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap().trim().parse().unwrap();
    files.map(|file| read(file.unwrap().path())).collect()
}

pub fn remembered_ports(data_dir: &Path) -> Vec<u16> {
    let text = fs::read(data_dir.join("ports.json")).unwrap();
    let ports: BTreeMap<String, u16> = serde_json::from_slice(&text).unwrap();
    ports.into_values().collect()
}

/// A process that has ended and that nobody has waited for yet is not alive.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with('Z')
}

pub fn terminate(process: &Child) {
    kill_process(Pid::from_child(process), Signal::TERM).unwrap();
}
