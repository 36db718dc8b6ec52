//! `aftercall-all up`: everything, served until somebody stops it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall::client::{Client, ClientError};
use aftercall::config::{Env, Process};
use aftercall::embedded::{Durability, Options, Which, secrets};
use aftercall::telemetry;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::local::Local;
use crate::shutdown::StopSignals;

const DEMO_EMAIL: &str = "demo@example.org";
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/clinic-call/call.opus");

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Holds data, logs, ports and pids of the servers.
    #[arg(long, value_name = "DIR", default_value = ".local/up")]
    data_dir: PathBuf,
    /// Holds the programs, which are installed at the first start.
    #[arg(long, value_name = "DIR", default_value = ".local/tools")]
    tools_dir: PathBuf,
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn run(args: UpArgs, which: Which, env: &Env) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen()?;
    telemetry::install_logs(&Process::read(env)?)?;
    let metrics = telemetry::install_metrics()?;
    let env = with_keys_dir(env, &args.data_dir);
    let data_dir = args.data_dir.clone();
    let options = Options {
        which,
        data_dir: args.data_dir,
        tools_dir: args.tools_dir,
        durability: Durability::Synced,
    };
    eprintln!("starting the servers");
    let mut local = tokio::select! {
        started = Local::start(options, &env, &metrics) => started?,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let url = local.url().to_owned();
    let outcome = tokio::select! {
        outcome = greet(&url, &data_dir) => outcome,
        error = local.broken() => Err(error),
        _ = signals.next() => Ok(()),
    };
    local.stop(signals.next()).await;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Keys of tokens stay with the data whose users they sign for, unless they are named elsewhere.
fn with_keys_dir(env: &Env, data_dir: &Path) -> Env {
    match env.set("JWT_KEYS_DIR") {
        Some(_) => env.clone(),
        None => env.with([("JWT_KEYS_DIR", data_dir.join("keys").display().to_string())]),
    }
}

/// Prints how to use it, then stays.
async fn greet(url: &str, data_dir: &Path) -> anyhow::Result<()> {
    let password = SecretString::from(secrets::load_or_make(&data_dir.join("demo-password"))?);
    match sign_in(url, &password).await {
        Ok(token) => say(&walkthrough(url, token.expose_secret())),
        // Somebody may have closed the registration, or brought a database with other users.
        Err(error) => say(&format!("{url} serves, without a demo user: {error}")),
    }
    eprintln!("serving until Ctrl-C");
    std::future::pending().await
}

/// Nobody may be reading any more, which is no reason to stop serving.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The demo user's token; the user is made on the first start.
async fn sign_in(url: &str, password: &SecretString) -> Result<SecretString, ClientError> {
    let client = Client::of(url)?;
    let signed_in = match client.login(DEMO_EMAIL, password).await {
        Err(ClientError::Refused(problem)) if problem.status == 401 => {
            client.register(DEMO_EMAIL, "Demo", password).await?
        }
        answer => answer?,
    };
    Ok(signed_in.access_token)
}

/// Lines to paste into a shell with `curl`.
fn walkthrough(url: &str, token: &str) -> String {
    format!(
        r#"aftercall is at {url}
its API documents are at {url}/docs

To send it a recording, paste this into another shell:

export AFTERCALL_URL={url}
export AFTERCALL_TOKEN={token}
API=$AFTERCALL_URL/api/v1 AUTH="Authorization: Bearer $AFTERCALL_TOKEN"
# create a session
SESSION=$(curl -sS -X POST -H "$AUTH" $API/sessions |
  grep -o '"session_id":"[^"]*' | cut -d '"' -f 4)
# upload a recording: this one, or one of yours
curl -sS -H "$AUTH" -F file=@'{SAMPLE}' \
  $API/sessions/$SESSION/upload-recording; echo
# follow it to its analysis
curl -sS -N -H "$AUTH" $API/sessions/$SESSION/events |
  sed '/analysis\.completed/q; /\.failed/q'
# read what came of it
curl -sS -H "$AUTH" "$API/sessions/$SESSION/transcript?format=txt"; echo
curl -sS -H "$AUTH" $API/analysis/$SESSION/analysis; echo

Or, with a progress display: aftercall upload FILE --follow
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_with_the_data_unless_they_are_named() {
        let dir = Path::new("/data");
        let keys = |env: &Env| with_keys_dir(env, dir).text("JWT_KEYS_DIR").unwrap();
        assert_eq!(keys(&Env::default()), "/data/keys");
        let named = Env::default().with([("JWT_KEYS_DIR", "/elsewhere")]);
        assert_eq!(keys(&named), "/elsewhere");
    }

    #[test]
    fn the_walkthrough_is_ready_to_paste() {
        let text = walkthrough("http://127.0.0.1:8000", "t0ken");
        assert!(text.contains("export AFTERCALL_TOKEN=t0ken\n"));
        assert!(Path::new(SAMPLE).exists());
        // The paths of a checkout may be long; the rest fits a terminal.
        let fitting = text.lines().filter(|line| !line.contains(SAMPLE));
        assert!(fitting.clone().all(|line| line.chars().count() <= 80));
    }
}
