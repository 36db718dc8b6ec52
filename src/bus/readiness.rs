//! Whether messages can be published, and are safe once acknowledged.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::declared::declared;
use super::{Bus, BusError};

/// A stream that is this full stops accepting soon.
const WARN_PERCENT: u64 = 80;
/// The monitoring answers from memory.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(2);
/// `/varz` of a server with hundreds of accounts stays far below.
const MONITOR_BODY_LIMIT: usize = 4 << 20;

/// What readiness found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Why messages cannot be published safely; ready when there are none.
    pub problems: Vec<String>,
    /// What becomes a problem unless somebody acts.
    pub warnings: Vec<String>,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What `/varz` says of JetStream.
#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
}

impl Bus {
    /// Whether the connection is up, every declared stream is there, and the server syncs before it
    /// acknowledges.
    pub async fn readiness(&self) -> Readiness {
        let mut found = Readiness::default();
        if !self.is_connected() {
            found.problems.push("nats is not connected".to_owned());
            return found;
        }
        for stream in declared().streams {
            match self.stream_info(&stream.name).await {
                Ok(Some(info)) => {
                    let limit = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
                    if is_nearly_full(info.state.bytes, limit) {
                        found.warnings.push(format!(
                            "stream {} is over {WARN_PERCENT} % full",
                            stream.name
                        ));
                    }
                }
                Ok(None) => found
                    .problems
                    .push(format!("stream {} is missing", stream.name)),
                Err(_) => found
                    .problems
                    .push(format!("stream {} does not answer", stream.name)),
            }
        }
        if !self.settings.allow_unsynced
            && let Some(problem) = self.sync_problem().await
        {
            found.problems.push(problem);
        }
        found
    }

    /// The probe of a worker: connected, and the stream answers.
    pub async fn ping(&self, stream: &str) -> Result<(), BusError> {
        match self.stream_info(stream).await? {
            Some(_) => Ok(()),
            None => Err(BusError::of(stream, "stream is missing")),
        }
    }

    /// Only the monitoring tells: `sync_interval` is not in the client protocol. It is asked each time,
    /// because a server may have been started anew with other settings.
    async fn sync_problem(&self) -> Option<String> {
        let Some(monitor_url) = &self.settings.monitor_url else {
            return Some("whether nats syncs always is unknown: no monitor url is set".to_owned());
        };
        match tokio::time::timeout(MONITOR_TIMEOUT, sync_always(monitor_url)).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => {
                Some("nats acknowledges before it syncs: set sync_interval always".to_owned())
            }
            Ok(Err(_)) | Err(_) => Some("monitoring of nats does not answer".to_owned()),
        }
    }
}

/// Asks the monitoring port, which speaks plain HTTP inside the network.
async fn sync_always(monitor_url: &str) -> anyhow::Result<bool> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let address = format!("{}/varz", monitor_url.trim_end_matches('/')).parse()?;
    let answer = client.get(address).await?;
    anyhow::ensure!(answer.status().is_success(), "answered {}", answer.status());
    let body = Limited::new(answer.into_body(), MONITOR_BODY_LIMIT)
        .collect()
        .await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    reads_sync_always(&body)
}

fn reads_sync_always(varz: &[u8]) -> anyhow::Result<bool> {
    let varz: Varz = serde_json::from_slice(varz)?;
    Ok(varz
        .jetstream
        .config
        .is_some_and(|config| config.sync_always))
}

fn is_nearly_full(bytes: u64, limit: u64) -> bool {
    bytes >= limit / 100 * WARN_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_yes_is_one() {
        let yes = br#"{"jetstream":{"config":{"sync_always":true,"sync_interval":120}}}"#;
        assert!(reads_sync_always(yes).expect("json"));
        for no in [
            r#"{"jetstream":{"config":{"sync_interval":120}}}"#,
            r#"{"jetstream":{}}"#,
            "{}",
        ] {
            assert!(!reads_sync_always(no.as_bytes()).expect("json"), "{no}");
        }
        assert!(reads_sync_always(b"<html>").is_err());
    }

    #[test]
    fn fullness_does_not_overflow() {
        assert!(!is_nearly_full(799, 1_000));
        assert!(is_nearly_full(800, 1_000));
        assert!(!is_nearly_full(1 << 40, u64::MAX));
    }
}
