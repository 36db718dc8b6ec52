//! `aftercall-all`: everything in one process on the embedded servers.

use std::io::IsTerminal;
use std::process::ExitCode;

use aftercall::config::Env;
use aftercall::embedded::Which;
use aftercall_all::servers::{self, ServersArgs};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "aftercall-all", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start only the embedded servers and print the environment to use them.
    Servers(ServersArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    // Standard output is for what callers read; what happens is told on standard error.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .compact()
        .init();
    let env = Env::of_process();
    let which = Which::not_named(|name| env.set(name).is_some());
    let outcome = match Cli::parse().command {
        Command::Servers(args) => servers::run(args, which).await,
    };
    outcome.unwrap_or_else(|error| {
        // One line that says what to do: a backtrace would bury it.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
