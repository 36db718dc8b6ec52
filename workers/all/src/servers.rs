//! `aftercall-all servers`: the embedded servers alone, for a shell or around one command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use aftercall::db::provision;
use aftercall::embedded::{Durability, Options, Servers, Which, logins};
use anyhow::Context;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use tokio::process::{Child, Command};

use crate::shutdown::{Stop, StopSignals};

#[derive(Debug, Args)]
pub struct ServersArgs {
    /// Holds data, logs, ports and pids of the servers.
    #[arg(long, value_name = "DIR", default_value = ".local/up")]
    data_dir: PathBuf,
    /// Holds the programs, which are installed at the first start.
    #[arg(long, value_name = "DIR", default_value = ".local/tools")]
    tools_dir: PathBuf,
    /// Do not wait for the disk: faster, and survives the death of a process only.
    #[arg(long)]
    unsynced: bool,
    /// Run this command with the servers' environment and end with its exit code.
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<OsString>,
}

/// Runs until the command ends, or without one until Ctrl-C or SIGTERM.
pub async fn run(args: ServersArgs, which: Which) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen()?;
    let options = Options {
        which,
        data_dir: args.data_dir,
        tools_dir: args.tools_dir,
        durability: if args.unsynced {
            Durability::Unsynced
        } else {
            Durability::Synced
        },
    };
    let servers = tokio::select! {
        started = Servers::start(options) => started?,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    if let Some(speech) = &servers.speech {
        tokio::select! {
            ready = speech.ready() => ready?,
            _ = signals.next() => return Ok(ExitCode::FAILURE),
        }
    }
    let code = if let Some((program, words)) = args.exec.split_first() {
        let command = spawn(program, words, servers.environment())?;
        exit_code(wait(command, &mut signals).await?)
    } else {
        let mut environment = servers.environment().clone();
        if let Some(postgres) = &servers.postgres {
            let admin_url = SecretString::from(postgres.admin_url());
            environment.extend(database_logins(&admin_url)?);
        }
        print_exports(&environment);
        eprintln!("the servers run until Ctrl-C");
        signals.next().await;
        ExitCode::SUCCESS
    };
    servers.stop().await;
    Ok(code)
}

/// Lines for a shell. No value needs quoting: URLs, names, hexadecimal digits and paths of a
/// checkout; quotes are for a path with a space.
fn print_exports(environment: &BTreeMap<String, String>) {
    for (name, value) in environment {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
}

/// For each process the password that `aftercall provision` gives its login role, and the address to
/// start it with as `DATABASE_URL`, since each has its own.
fn database_logins(admin_url: &SecretString) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (process, password) in logins::logins(admin_url)? {
        let name = format!("{process:?}").to_uppercase();
        let url = provision::login_url(admin_url, process, &password)?;
        variables.insert(
            format!("DATABASE_PASSWORD_{name}"),
            password.expose_secret().to_owned(),
        );
        variables.insert(
            format!("DATABASE_URL_{name}"),
            url.expose_secret().to_owned(),
        );
    }
    Ok(variables)
}

/// The command is told to stop when this process dies: it would be alone without its servers. The
/// kernel does so when the spawning thread ends, and this runs on the main thread.
fn spawn(
    program: &OsString,
    words: &[OsString],
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program)
        .args(words)
        .envs(environment)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))
}

/// The command decides when to end. A terminal's Ctrl-C has reached it already; SIGTERM is handed
/// on.
async fn wait(mut command: Child, signals: &mut StopSignals) -> anyhow::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = command.wait() => return status.context("could not wait for the command"),
            stop = signals.next() => {
                if let (Stop::Terminate, Some(pid)) = (stop, command.id()) {
                    hand_on(pid)?;
                }
            }
        }
    }
}

/// The command has not been waited for, so the pid is still its own.
fn hand_on(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("the command has an impossible pid")?;
    kill_process(pid, Signal::TERM).context("could not pass SIGTERM on")
}

/// As a shell shows it: the command's own code, or 128 and the signal's number.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use aftercall::config::{Env, Provisioning};

    use super::*;

    #[test]
    fn every_process_gets_a_password_and_its_address() {
        let admin_url = SecretString::from("postgres://postgres:secret@127.0.0.1:5432/aftercall");
        let variables = database_logins(&admin_url).unwrap();
        assert_eq!(variables.len(), 2 * provision::Process::ALL.len());
        let password = &variables["DATABASE_PASSWORD_STORAGE"];
        let expected =
            format!("postgres://aftercall_storage_login:{password}@127.0.0.1:5432/aftercall");
        assert_eq!(variables["DATABASE_URL_STORAGE"], expected);
        let env = Env::default().with([("DATABASE_ADMIN_URL", admin_url.expose_secret())]);
        let passwords = Provisioning::read(&env.with(variables)).unwrap().passwords;
        let all = [
            passwords.ingress,
            passwords.storage,
            passwords.transcription,
            passwords.analysis,
            passwords.maintenance,
        ];
        assert!(
            all.iter().all(Option::is_some),
            "the names that provisioning reads"
        );
    }
}
