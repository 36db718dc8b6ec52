//! What calls cost on their way from an agent to a dashboard: `make bench`.
//!
//! The real programs (ingress, analytics, maintenance, nats-server, Postgres) take calls in turns with
//! a baseline, a plain axum service that writes the same rows into the same Postgres within the
//! request. Then come the dashboards at growing numbers of calls, batches, and calls over NATS.
//! `docs/performance.md` says how to read the figures. It reports, and judges nothing.
//!
//! Invariant: both sides get the same requests, have every commit or frame synced to disk before they
//! answer, and begin each round with empty tables.

mod args;
mod baseline;
mod figures;
mod ingest;
mod load;
mod machine;
mod measured;
mod reads;
mod records;
mod report;
mod rounds;
mod seeding;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../../tests/support/mod.rs"]
mod support;
mod systems;

use aftercall::embedded::harness::Harness;
use aftercall::lifecycle;
use anyhow::Context as _;
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use args::{Args, Part, Role};
use report::Report;

fn main() -> anyhow::Result<()> {
    lifecycle::install_tls();
    let args = Args::parse();
    match args.role {
        Some(Role::Baseline(args)) => {
            let runtime = Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(baseline::serve(args))
        }
        None => one_thread()?.block_on(measure(&args)),
    }
}

/// The load shares the machine with what it measures.
fn one_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut report = Report::default();
    if args.measures(Part::Rounds) {
        report.rounds = rounds::run(args).await?;
    }
    if args.measures(Part::Reads) {
        let harness = Harness::start().await;
        let reads = reads::run(&harness, args).await;
        harness.finish_as_it_is().await;
        report.reads = reads?;
    }
    if args.measures(Part::Ingest) {
        let harness = Harness::start().await;
        let ingest = ingest::run(&harness, args).await;
        harness.finish_as_it_is().await;
        report.ingest = ingest?;
    }
    println!("{report}");
    let path = report.write().context("the figures could not be written")?;
    println!("written to {}", path.display());
    Ok(())
}
