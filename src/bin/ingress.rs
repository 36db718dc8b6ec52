//! The ingress as a process.

use aftercall::config::{Env, Process};
use aftercall::http::{Config, start};
use aftercall::{lifecycle, telemetry};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    lifecycle::install_tls();
    let env = Env::of_process();
    telemetry::install_logs(&Process::read(&env)?)?;
    let metrics = telemetry::install_metrics()?;
    let config = Config::read(&env)?;
    let listener = TcpListener::bind(config.http.address).await?;
    lifecycle::run(|shutdown| start(config, listener, metrics, shutdown)).await
}
