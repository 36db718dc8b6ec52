//! What the bench is asked to do.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Measure calls from an agent to a dashboard.
#[derive(Debug, Parser)]
#[command(name = "calls")]
pub struct Args {
    #[command(subcommand)]
    pub role: Option<Role>,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Rounds, Part::Reads, Part::Ingest])]
    parts: Vec<Part>,
    /// Rounds of each side at each concurrency.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of a round.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    pub concurrency: Vec<usize>,
    /// Clients that the calls are of.
    #[arg(long, default_value_t = 20)]
    pub clients: usize,
    /// Transactions that the baseline has open at once.
    #[arg(long, default_value_t = 2)]
    pub writers: usize,
    /// Numbers of calls at which dashboards are read.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000, 5_000_000])]
    pub calls: Vec<i64>,
    /// Reads of each kind and concurrency.
    #[arg(long, default_value_t = 200)]
    pub reads: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The other program that is in this one.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Serve the baseline.
    #[command(hide = true)]
    Baseline(BaselineArgs),
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct BaselineArgs {
    #[arg(long)]
    pub port: u16,
    #[arg(long)]
    pub writers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Calls one by one, in turns with the baseline.
    Rounds,
    /// Every GET, at growing numbers of calls.
    Reads,
    /// Batches, and calls over NATS.
    Ingest,
}

impl Args {
    pub fn measures(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
