//! A private PostgreSQL, its data in one directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{getegid, geteuid};
use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateDatabase;
use sqlx::{ConnectOptions, Connection};
use tokio::process::Command;

use super::child::{Account, Child, Environment, PATH, Spec, StopSignal};
use super::error::{Error, Result};
use super::ports;

/// The database made at the first start.
pub const DATABASE: &str = "aftercall";

const NAME: &str = "postgres";
/// Commits are synced by the server; the files of an empty cluster need not be.
const INITDB_ARGS: [&str; 9] = [
    "-U",
    "postgres",
    "--auth=scram-sha-256",
    "--no-sync",
    "-E",
    "UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
];
const NOBODY: u32 = 65_534;
/// Recovery after a crash is part of a start.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long a restart waits for what a killed server left behind.
const RESTART_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The directory of `initdb` and `postgres`, from [`super::install::postgres`].
    pub programs: PathBuf,
    /// Of the superuser `postgres`; letters and digits only, since it stands in a URL.
    pub password: SecretString,
    pub pid_file: PathBuf,
    /// The port to try first.
    pub port: Option<u16>,
    pub durability: Durability,
}

/// Whether commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production.
    Synced,
    /// For tests: survives the death of a process, not of the machine.
    Unsynced,
}

/// A running PostgreSQL; dropping it ends it. Its data stays in its directory.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    dir: PathBuf,
    account: Account,
    options: PostgresOptions,
    child: Child,
}

impl Postgres {
    /// Starts the server on the data in `dir`, which it makes if there is none, and waits until the
    /// superuser can log in and the database exists.
    pub async fn start(dir: &Path, options: PostgresOptions) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let account = choose_account(&dir, &options.programs).await?;
        let data = dir.join("data");
        if !data.is_dir() {
            initialize(&dir, &data, account, &options).await?;
        }
        give_to(account, &data).await?;
        let mut wanted = options.port;
        let mut tries = 0;
        loop {
            let port = match wanted.take() {
                Some(port) => port,
                None => ports::free()?,
            };
            match launch(&dir, &data, account, &options, port).await {
                Ok(child) => {
                    let postgres = Self {
                        port,
                        dir,
                        account,
                        options,
                        child,
                    };
                    postgres.ensure_database().await?;
                    return Ok(postgres);
                }
                Err(error) if tries < 5 && port_was_taken(&dir, &error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// As the superuser, to [`DATABASE`].
    pub fn admin_url(&self) -> String {
        url(&self.options.password, self.port, DATABASE)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server cleanly, cutting off whoever is connected.
    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }

    /// Ends the server as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await;
    }

    /// Starts the server again on the same data and port, stopping it first if it runs. After a crash
    /// it recovers what was committed.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let data = self.dir.join("data");
        let retry_until = tokio::time::Instant::now() + RESTART_LIMIT;
        loop {
            match launch(&self.dir, &data, self.account, &self.options, self.port).await {
                Ok(child) => {
                    self.child = child;
                    return Ok(());
                }
                // What a killed server had started ends by itself a moment later, and holds its memory
                // and its port until then.
                Err(Error::Exited { .. }) if tokio::time::Instant::now() < retry_until => {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn ensure_database(&self) -> Result<()> {
        let url = self.admin_url();
        if !sqlx::Postgres::database_exists(&url).await? {
            sqlx::Postgres::create_database(&url).await?;
        }
        Ok(())
    }
}

/// Postgres refuses to be root. In a user namespace root is somebody else in its own eyes and the
/// files stay root's; where that is not allowed, `nobody` must do, who has to reach the files.
async fn choose_account(dir: &Path, programs: &Path) -> Result<Account> {
    if !geteuid().is_root() {
        return Ok(Account::Caller);
    }
    if succeeds(Account::MappedUser, &["true".as_ref()]).await? {
        return Ok(Account::MappedUser);
    }
    for (test, path) in [("-x", programs.join("postgres")), ("-x", dir.to_owned())] {
        if !succeeds(Account::Nobody, &["test".as_ref(), test.as_ref(), &path]).await? {
            return Err(Error::PostgresAsRoot { path });
        }
    }
    Ok(Account::Nobody)
}

async fn succeeds(account: Account, words: &[&Path]) -> Result<bool> {
    let output = as_account(account)
        .args(words)
        .output()
        .await
        .map_err(spawn_failed)?;
    Ok(output.status.success())
}

/// A short-lived command of this account, started with the words that follow.
fn as_account(account: Account) -> Command {
    // env does nothing but execute its arguments, for the account that needs no other prefix.
    let (first, rest) = account.prefix().split_first().unwrap_or((&"env", &[]));
    let mut command = Command::new(first);
    command.env_clear().env("PATH", PATH).args(rest);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn spawn_failed(source: std::io::Error) -> Error {
    Error::Spawn { name: NAME, source }
}

/// Makes the data beside its place and renames it, so that a killed run leaves nothing half-made.
async fn initialize(
    dir: &Path,
    data: &Path,
    account: Account,
    options: &PostgresOptions,
) -> Result<()> {
    let partial = dir.join("data.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
    }
    fs::create_dir(&partial).map_err(Error::io("create", &partial))?;
    let password_file = dir.join("password.partial");
    super::secrets::write(&password_file, options.password.expose_secret())?;
    give_to(account, &partial).await?;
    give_to(account, &password_file).await?;
    let mut args = vec!["-D".into(), partial.clone().into()];
    args.push(format!("--pwfile={}", password_file.display()).into());
    args.extend(INITDB_ARGS.map(Into::into));
    let initdb = Child::spawn(Spec {
        name: "initdb",
        account,
        program: options.programs.join("initdb"),
        args,
        environment: Environment::Only(vec![("LC_ALL", "C".into())]),
        log: dir.join("initdb.log"),
        pid_file: options.pid_file.clone(),
        stop: StopSignal::Kill,
    })
    .await?;
    let initialized = initdb.succeeded().await;
    fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    initialized?;
    fs::rename(&partial, data).map_err(Error::io("rename to", data))
}

/// Makes the files those of the account that will use them, whoever had them before.
async fn give_to(account: Account, path: &Path) -> Result<()> {
    let (owner, group) = match account {
        Account::Caller => return Ok(()),
        Account::MappedUser => (geteuid().as_raw(), getegid().as_raw()),
        Account::Nobody => (NOBODY, NOBODY),
    };
    let found = fs::metadata(path).map_err(Error::io("read", path))?;
    if found.uid() == owner {
        return Ok(());
    }
    let mut chown = as_account(Account::Caller);
    chown
        .args(["chown", "-R", &format!("{owner}:{group}")])
        .arg(path);
    let status = chown.status().await.map_err(spawn_failed)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::PostgresAsRoot {
        path: path.to_owned(),
    })
}

async fn launch(
    dir: &Path,
    data: &Path,
    account: Account,
    options: &PostgresOptions,
    port: u16,
) -> Result<Child> {
    let mut args = vec!["-D".into(), data.into()];
    // No socket in a folder: its path has a length limit that a deep checkout exceeds.
    args.extend(["-h", "127.0.0.1", "-k", "", "-p"].map(Into::into));
    args.push(port.to_string().into());
    let mut settings = vec![
        "max_connections=300",
        "timezone=UTC",
        "log_timezone=UTC",
        // After a crash: as safe as to sync thousands of files one by one, which takes seconds.
        "recovery_init_sync_method=syncfs",
    ];
    if options.durability == Durability::Unsynced {
        settings.extend([
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ]);
    }
    args.extend(
        settings
            .into_iter()
            .flat_map(|setting| ["-c".into(), setting.into()]),
    );
    let child = Child::spawn(Spec {
        name: NAME,
        account,
        program: options.programs.join("postgres"),
        args,
        environment: Environment::Only(vec![("LC_ALL", "C".into())]),
        log: log_file(dir),
        pid_file: options.pid_file.clone(),
        // The fast shutdown: it disconnects everybody and writes a checkpoint.
        stop: StopSignal::Int,
    })
    .await?;
    // The password is this server's own, so a login proves that no other answers on the port.
    let url = url(&options.password, port, "postgres");
    let connect: sqlx::postgres::PgConnectOptions = url.parse()?;
    child
        .until_ready(START_LIMIT, POLL, async || {
            let connection = connect.connect().await.ok()?;
            connection.close().await.ok()
        })
        .await?;
    Ok(child)
}

fn url(password: &SecretString, port: u16, database: &str) -> String {
    let password = password.expose_secret();
    format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}")
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("postgres.log")
}

fn port_was_taken(dir: &Path, error: &Error) -> bool {
    matches!(error, Error::Exited { .. })
        && fs::read_to_string(log_file(dir))
            .is_ok_and(|log| log.contains("could not create any TCP/IP sockets"))
}
