//! Makes streams and consumers as `nats/` declares them; run by maintenance and the command line.

use std::time::Duration;

use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::{ErrorCode, consumer, stream};
use serde::Serialize;

use super::declared::{Declared, DeclaredConsumer, declared};
use super::{Bus, BusError};

/// What differs from one deployment to the next.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// Copies of each message: 1 on one machine, 3 across machines.
    pub replicas: usize,
    /// How long a stream remembers each `Nats-Msg-Id`.
    pub duplicate_window: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            replicas: 1,
            duplicate_window: Duration::from_mins(10),
        }
    }
}

/// What provisioning changed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    pub created: Vec<String>,
    pub updated: Vec<String>,
}

impl Bus {
    /// Makes what is missing and corrects what differs. What is as declared is left alone, so this may
    /// run at any time and from several processes.
    pub async fn provision(&self, parameters: Parameters) -> Result<Provisioned, BusError> {
        let Declared { streams, consumers } = declared();
        let mut done = Provisioned::default();
        for mut config in streams {
            config.num_replicas = parameters.replicas;
            config.duplicate_window = parameters.duplicate_window;
            self.provision_stream(config, &mut done).await?;
        }
        for consumer in consumers {
            self.provision_consumer(consumer, &mut done).await?;
        }
        Ok(done)
    }

    /// What `nats/` declares and the server does not have, by name.
    pub async fn missing(&self) -> Result<Vec<String>, BusError> {
        let Declared { streams, consumers } = declared();
        let mut missing = Vec::new();
        for stream in streams {
            if self.stream_info(&stream.name).await?.is_none() {
                missing.push(stream.name);
            }
        }
        for consumer in consumers {
            if self
                .consumer_info(&consumer.stream_name, consumer.name())
                .await?
                .is_none()
            {
                missing.push(consumer.name().to_owned());
            }
        }
        Ok(missing)
    }

    /// A stream as the server has it; `None` when it does not.
    pub(super) async fn stream_info(&self, name: &str) -> Result<Option<stream::Info>, BusError> {
        match self.jetstream.get_stream(name).await {
            Ok(found) => Ok(Some(found.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(BusError::of(name, error)),
            },
        }
    }

    async fn consumer_info(
        &self,
        stream: &str,
        name: &str,
    ) -> Result<Option<consumer::Info>, BusError> {
        let stream = self
            .jetstream
            .get_stream_no_info(stream)
            .await
            .map_err(|e| BusError::of(name, e))?;
        match stream.consumer_info(name).await {
            Ok(info) => Ok(Some(info)),
            Err(error) => match error.kind() {
                ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => Ok(None),
                _ => Err(BusError::of(name, error)),
            },
        }
    }

    async fn provision_stream(
        &self,
        config: stream::Config,
        done: &mut Provisioned,
    ) -> Result<(), BusError> {
        let name = config.name.clone();
        match self.stream_info(&name).await? {
            Some(found) if is_as_declared(&config, &found.config) => {}
            Some(_) => {
                self.jetstream
                    .update_stream(&config)
                    .await
                    .map_err(|e| BusError::of(&name, e))?;
                done.updated.push(name);
            }
            None => {
                self.jetstream
                    .create_stream(config)
                    .await
                    .map_err(|e| BusError::of(&name, e))?;
                done.created.push(name);
            }
        }
        Ok(())
    }

    async fn provision_consumer(
        &self,
        declared: DeclaredConsumer,
        done: &mut Provisioned,
    ) -> Result<(), BusError> {
        let name = declared.name().to_owned();
        let changed = match self.consumer_info(&declared.stream_name, &name).await? {
            Some(found) if is_as_declared(&declared.config, &found.config) => return Ok(()),
            Some(_) => &mut done.updated,
            None => &mut done.created,
        };
        self.jetstream
            .create_consumer_on_stream(declared.config, &declared.stream_name)
            .await
            .map_err(|e| BusError::of(&name, e))?;
        changed.push(name);
        Ok(())
    }
}

/// Whether the server has every value that is declared; what it adds of its own does not count.
fn is_as_declared(declared: &impl Serialize, found: &impl Serialize) -> bool {
    let declared = serde_json::to_value(declared).expect("plain data");
    let found = serde_json::to_value(found).expect("plain data");
    declared
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| value.is_null() || found.get(key) == Some(value))
}
