//! `aftercall`: the operator's command line, and an upload for anybody with a token.

mod agents;
mod database;
mod dead;
mod keys;
mod provision;
mod redrive;
mod rollups;
mod table;
mod upload;
mod user;

use std::process::ExitCode;

use aftercall::config::Env;
use aftercall::lifecycle;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "aftercall",
    about = "Operate aftercall, and upload recordings to it",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make or update database roles, tables, streams, consumers and the bucket; may be repeated.
    ///
    /// Reads DATABASE_ADMIN_URL, DATABASE_PASSWORD_…, NATS_…, S3_BUCKET and AWS_….
    Provision,
    /// Look at messages that a worker gave up on, and send them again.
    ///
    /// Reads DATABASE_URL, of the maintenance worker, and NATS_….
    #[command(subcommand)]
    Dead(dead::Command),
    /// See and rotate the keys that sign access tokens.
    ///
    /// Reads JWT_KEYS_DIR.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make the first admin, look who there is, deactivate somebody.
    ///
    /// Reads DATABASE_ADMIN_URL and PASSWORD_MIN_LENGTH.
    #[command(subcommand)]
    User(user::Command),
    /// Rebuild what dashboards show from the calls, or check it against them.
    ///
    /// Reads DATABASE_ADMIN_URL.
    #[command(subcommand)]
    Rollups(rollups::Command),
    /// Prepare the broker for voice agents.
    #[command(subcommand)]
    Agents(agents::Command),
    /// Upload a recording to any server, and follow it to its transcript and analysis.
    Upload(upload::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    lifecycle::install_tls();
    let env = Env::of_process();
    let outcome = match Cli::parse().command {
        Command::Provision => provision::run(&env).await,
        Command::Dead(command) => dead::run(command, &env).await,
        Command::Keys(command) => keys::run(&command, &env),
        Command::User(command) => user::run(command, &env).await,
        Command::Rollups(command) => rollups::run(command, &env).await,
        Command::Agents(command) => {
            agents::run(&command);
            Ok(())
        }
        Command::Upload(args) => upload::run(args, &env).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what to do: a backtrace would bury it.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
