//! `aftercall-all`: everything in one process on the embedded servers.

use std::process::ExitCode;

use aftercall::config::Env;
use aftercall::embedded::Which;
use aftercall::lifecycle;
use aftercall_all::demo::{self, DemoArgs};
use aftercall_all::logs;
use aftercall_all::servers::{self, ServersArgs};
use aftercall_all::up::{self, UpArgs};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "aftercall-all", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a spoken call through the whole pipeline and show what comes out.
    Demo(DemoArgs),
    /// Serve on the embedded servers until Ctrl-C.
    Up(UpArgs),
    /// Start only the embedded servers and print the environment to use them.
    Servers(ServersArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    lifecycle::install_tls();
    let env = Env::of_process();
    let which = Which::not_named(|name| env.set(name).is_some());
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(args, which, &env).await,
        Command::Up(args) => up::run(args, which, &env).await,
        Command::Servers(args) => {
            logs::to_terminal();
            servers::run(args, which).await
        }
    };
    outcome.unwrap_or_else(|error| {
        // One line that says what to do: a backtrace would bury it.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
