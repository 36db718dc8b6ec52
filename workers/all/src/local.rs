//! Everything on this machine: the servers, and on them the ingress and every worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use aftercall::config::{self, Env};
use aftercall::db::provision::Process;
use aftercall::embedded::{Options, Servers};
use aftercall::telemetry::PrometheusHandle;
use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::environments::Environments;
use crate::first_words;
use crate::pipeline::Pipeline;

/// For all parts to find each other, once the servers answer.
const READY_LIMIT: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(50);

/// Dropping it ends everything at once; the data stays.
pub struct Local {
    url: String,
    // In this order: the pipeline goes before what it talks to.
    pipeline: Pipeline,
    servers: Servers,
}

impl Local {
    /// Starts servers and pipeline. Its port opens when one transcription has succeeded, and this
    /// returns when it is ready for requests.
    pub async fn start(
        options: Options,
        env: &Env,
        metrics: &PrometheusHandle,
    ) -> anyhow::Result<Self> {
        let address = config::Http::read(env)?.address;
        // A port that is taken is told at once, and not after a minute of starting.
        drop(bind(address).await?);
        let servers = Servers::start(options).await?;
        let environments = Environments::provision(env, &servers).await?;
        first_words::transcribe(&environments.of(Process::Transcription)).await?;
        let listener = bind(address).await?;
        let url = format!("http://{}", reachable(listener.local_addr()?));
        let pipeline = Pipeline::start(|process| environments.of(process), listener, metrics)?;
        let mut local = Self {
            url,
            pipeline,
            servers,
        };
        local.until_ready().await?;
        Ok(local)
    }

    /// Where it is reached from this machine.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until a process ends that nobody stopped, and says why it did.
    pub async fn broken(&mut self) -> anyhow::Error {
        self.pipeline.broken().await
    }

    /// Lets what is in hand be finished, then ends the servers; `hurry` ends the patience.
    pub async fn stop(self, hurry: impl Future) {
        self.pipeline.stop(hurry).await;
        self.servers.stop().await;
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().timeout(READY_LIMIT).build()?;
        let url = format!("{}/ready", self.url);
        let ready = async {
            loop {
                match http.get(&url).send().await {
                    Ok(answer) if answer.status().is_success() => return,
                    _ => tokio::time::sleep(READY_POLL).await,
                }
            }
        };
        let ready = tokio::select! {
            ready = tokio::time::timeout(READY_LIMIT, ready) => ready,
            error = self.pipeline.broken() => return Err(error),
        };
        if ready.is_err() {
            let answer = http.get(&url).send().await?.text().await?;
            bail!("not ready after {} s: {answer}", READY_LIMIT.as_secs());
        }
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be served on: choose another with PORT"))
}

/// The address to reach a listener by, where it listens on all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_the_loopback() {
        let reached = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8000"), "127.0.0.1:8000");
        assert_eq!(reached("127.0.0.2:8000"), "127.0.0.2:8000");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_says_what_to_do() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        let expected = format!("{address} cannot be served on: choose another with PORT");
        assert_eq!(error, expected);
    }
}
