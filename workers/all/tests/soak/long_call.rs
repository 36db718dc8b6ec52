//! The long call, made once for each length and kept beside the tools that make it.

use std::path::{Path, PathBuf};

use aftercall::config::Env;
use aftercall::embedded::{TOOLS_DIR_VARIABLE, install};
use sha2::{Digest, Sha256};
use tokio::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/long-call");

/// A call of two channels without repeated passages.
pub async fn of_minutes(minutes: u32) -> PathBuf {
    let tools = Env::of_process()
        .text(TOOLS_DIR_VARIABLE)
        .expect("run the tests with `make test`");
    let tools = std::path::absolute(tools).expect("a path");
    let path = tools.join(format!("long-call-{}-{minutes}.wav", version()));
    if path.exists() {
        return path;
    }
    let installed = install::long_call(&tools).await.expect("installed");
    let made = Command::new(&installed.python)
        .arg(Path::new(FOLDER).join("make.py"))
        .arg(&path)
        .args(["--minutes", &minutes.to_string()])
        .env("PYTHONPATH", &installed.dir)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true)
        .status()
        .await
        .expect("Python starts");
    assert!(made.success(), "the call was not made");
    path
}

/// Names what makes the call: a change of it makes another call.
fn version() -> String {
    let mut hash = Sha256::new();
    for file in ["make.py", "conversation.py", "requirements.txt"] {
        hash.update(std::fs::read(Path::new(FOLDER).join(file)).expect("a file"));
    }
    let hash = hash.finalize();
    hash.iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
