//! The analytics worker as a process.

use aftercall::config::{Env, Process};
use aftercall::{lifecycle, telemetry};
use aftercall_analytics::{Config, start};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    lifecycle::install_tls();
    let env = Env::of_process();
    telemetry::install_logs(&Process::read(&env)?)?;
    let metrics = telemetry::install_metrics()?;
    let config = Config::read(&env)?;
    lifecycle::run(|shutdown| start(config, metrics, shutdown)).await
}
