//! The demo: one recorded call through the whole pipeline, judged against what was really said.
//!
//! Not a test harness and not part of any worker: it sees the program only from outside. The
//! figures it prints are computed here, so that nothing under judgement computes its own mark.

mod call;
mod report;
pub mod sample;
pub mod score;
mod timings;
pub mod word_error_rate;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use aftercall::client::terminal;
use aftercall::config::Env;
use aftercall::embedded::{Durability, Options, Which};
use aftercall::telemetry;
use anyhow::{Context, anyhow, ensure};
use clap::Args;

use crate::local::Local;
use crate::logs;
use crate::shutdown::StopSignals;
use call::Call;
use sample::Sample;
use score::Score;

/// More wrong words than this and the demo has failed.
const WORD_ERROR_LIMIT: f64 = 0.10;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Holds data, logs, ports and pids of the servers.
    #[arg(long, value_name = "DIR", default_value = ".local/demo")]
    data_dir: PathBuf,
    /// Holds the programs, which are installed at the first start.
    #[arg(long, value_name = "DIR", default_value = ".local/tools")]
    tools_dir: PathBuf,
}

/// Starts everything, sends the call, shows what comes out, and stops everything.
pub async fn run(args: DemoArgs, which: Which, env: &Env) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let mut signals = StopSignals::listen()?;
    let sample = Sample::clinic_call()?;
    let log = logs::to_file(&args.data_dir)?;
    let metrics = telemetry::install_metrics()?;
    let keys_dir = args.data_dir.join("keys").display().to_string();
    // Ports of its own: it runs beside `up`.
    let env = env.with([("HOST", "127.0.0.1"), ("PORT", "0"), ("PUBLIC_URL", "")]);
    let env = env.with([("JWT_KEYS_DIR", keys_dir)]);
    let options = Options {
        which,
        data_dir: args.data_dir,
        tools_dir: args.tools_dir,
        durability: Durability::Synced,
    };
    let hint = || format!("the demo failed (log: {})", log.display());

    println!("Starting nats-server, Postgres, S3, speech to text, ingress and workers");
    let mut local = tokio::select! {
        started = Local::start(options, &env, &metrics) => started.with_context(hint)?,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    println!(
        "Started in {:.1} s. A call to a clinic:",
        begun.elapsed().as_secs_f64()
    );
    let url = local.url().to_owned();
    let sent = tokio::select! {
        sent = call::send(&url, &sample) => sent,
        error = local.broken() => Err(error),
        _ = signals.next() => Err(anyhow!("interrupted")),
    };
    local.stop(signals.next()).await;
    let score = show(&sent.with_context(hint)?, &sample);
    let rate = score.words.rate().context("the script is empty")?;
    ensure!(
        rate <= WORD_ERROR_LIMIT,
        "the word error rate of {rate:.3} is above {WORD_ERROR_LIMIT:.2}"
    );
    println!(
        "Done in {:.1} s; everything is stopped.",
        begun.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn show(call: &Call, sample: &Sample) -> Score {
    let score = Score::of(&call.transcript, &sample.turns);
    let stages = timings::by_stage(&call.events);
    let pipeline = timings::pipeline(&call.events);
    println!();
    println!("{}", terminal::transcript(&call.transcript));
    println!("{}", report::score(score));
    println!("{}", terminal::analysis(&call.analysis));
    let length_ms = call.transcript.duration_ms;
    println!(
        "{}",
        report::timings(call.upload, &stages, pipeline, length_ms)
    );
    score
}
