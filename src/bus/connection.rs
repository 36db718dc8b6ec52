//! The connection, and publishing with an acknowledgement.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::header::{HeaderMap, HeaderName, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};

use super::address::Address;
use crate::config::Nats;

/// One acknowledgement is waited for this long. An fsync takes milliseconds; a fail-over of a
/// replicated stream takes seconds.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A publish whose acknowledgement did not arrive is sent again, this often in all.
const SENDS: u32 = 3;
/// A server that restarts refuses at once, and is back in some hundred milliseconds.
const RESEND_PAUSE: Duration = Duration::from_millis(250);
/// While the server is gone nothing is handed to the client, which would keep it in memory. One that
/// restarts is back sooner than this; then everybody is told at once until it is there.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// How often the connection is looked at, which nothing else tells.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection to NATS that mends itself; clones share it.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    pub(super) settings: Nats,
    lost: Arc<Mutex<Lost>>,
}

/// Since when the connection that was the last of so many is missed.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    connects: u64,
    since: Option<Instant>,
}

/// Where a published message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// The stream had a message with this `Nats-Msg-Id`; nothing was added.
    pub duplicate: bool,
}

/// Why the bus did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Without its cause, which may quote a password.
    #[error("nats address is malformed")]
    Address,
    #[error("header {0} is malformed")]
    Header(String),
    /// There is no connection. A message that was sent before it was lost may be stored all the same.
    #[error("publish on {subject} waited for a connection")]
    Disconnected { subject: String },
    /// The message may be stored or not: publish it again with the same id.
    #[error("publish on {subject} was not acknowledged")]
    Unacknowledged {
        subject: String,
        #[source]
        source: jetstream::context::PublishError,
    },
    #[error("publish on {subject} was refused")]
    Refused {
        subject: String,
        #[source]
        source: jetstream::context::PublishError,
    },
    /// `of` is a stream or a consumer.
    #[error("{of} cannot be read or made")]
    JetStream {
        of: String,
        #[source]
        source: async_nats::Error,
    },
}

impl BusError {
    pub(crate) fn of(name: &str, source: impl Into<async_nats::Error>) -> Self {
        Self::JetStream {
            of: name.to_owned(),
            source: source.into(),
        }
    }
}

impl Bus {
    /// Connects as `name`, which the server's monitoring shows.
    ///
    /// A server that is not there yet is no error: the connection is made as soon as it answers, and
    /// [`Bus::readiness`] says so until then.
    pub async fn connect(settings: &Nats, name: &str) -> Result<Self, BusError> {
        let client = connect(&settings.url, ConnectOptions::new().name(name)).await?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .ack_timeout(ACK_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            settings: settings.clone(),
            lost: Arc::default(),
        })
    }

    /// The plain connection: subscriptions and requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Publishes into a stream and waits until it is stored.
    ///
    /// `message_id` becomes `Nats-Msg-Id`; a message that was not acknowledged is sent again with it.
    pub async fn publish<N, V>(
        &self,
        subject: &str,
        headers: impl IntoIterator<Item = (N, V)>,
        payload: impl Into<Bytes>,
        message_id: &str,
    ) -> Result<Published, BusError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let headers = header_map(headers, message_id)?;
        let payload = payload.into();
        let mut sent = 0;
        loop {
            while !self.is_connected() {
                if self.missed_for() >= RECONNECT_PATIENCE {
                    let subject = subject.to_owned();
                    return Err(BusError::Disconnected { subject });
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            sent += 1;
            match self.send(subject, headers.clone(), payload.clone()).await {
                Ok(ack) => {
                    return Ok(Published {
                        sequence: ack.sequence,
                        duplicate: ack.duplicate,
                    });
                }
                Err(source) => {
                    let uncertain = matches!(
                        source.kind(),
                        // No stream answers also while the server restarts.
                        PublishErrorKind::TimedOut
                            | PublishErrorKind::BrokenPipe
                            | PublishErrorKind::StreamNotFound
                    );
                    let subject = subject.to_owned();
                    if !uncertain {
                        return Err(BusError::Refused { subject, source });
                    }
                    if sent == SENDS {
                        return Err(BusError::Unacknowledged { subject, source });
                    }
                    tracing::debug!(%subject, sent, "publish is sent again");
                    tokio::time::sleep(RESEND_PAUSE).await;
                }
            }
        }
    }

    async fn send(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<jetstream::publish::PublishAck, jetstream::context::PublishError> {
        let sent = self
            .jetstream
            .publish_with_headers(subject.to_owned(), headers, payload)
            .await?;
        tokio::select! {
            biased;
            answer = sent.into_future() => answer,
            // The answer was to come on the connection that is gone.
            () = self.disconnected() => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
        }
    }

    /// For how long publishers have missed the connection, from the first that did.
    fn missed_for(&self) -> Duration {
        let connects = self.client.statistics().connects.load(Ordering::Relaxed);
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.connects != connects {
            *lost = Lost {
                connects,
                since: None,
            };
        }
        lost.since.get_or_insert_with(Instant::now).elapsed()
    }

    async fn disconnected(&self) {
        while self.is_connected() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Connects to what an address names, as the user that it names, and mends the connection for ever.
///
/// A server that is not there yet is no error.
pub async fn connect(url: &SecretString, options: ConnectOptions) -> Result<Client, BusError> {
    let address = Address::parse(url.expose_secret()).map_err(|_| BusError::Address)?;
    let options = options
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .connection_timeout(Duration::from_secs(5));
    let connected = address.sign_in(options).connect(&address.servers[..]).await;
    connected.map_err(|_| BusError::Address)
}

/// Back at once after a blip, every two seconds while the server is gone.
fn reconnect_delay(attempts: usize) -> Duration {
    const LONGEST_MS: u64 = 2_000;
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(8);
    Duration::from_millis(if attempts <= 1 {
        0
    } else {
        (20 << doublings).min(LONGEST_MS)
    })
}

fn header_map<N: AsRef<str>, V: AsRef<str>>(
    headers: impl IntoIterator<Item = (N, V)>,
    message_id: &str,
) -> Result<HeaderMap, BusError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let (name, value) = (name.as_ref(), value.as_ref());
        let malformed = || BusError::Header(name.to_owned());
        map.insert(
            name.parse::<HeaderName>().map_err(|_| malformed())?,
            value.parse::<HeaderValue>().map_err(|_| malformed())?,
        );
    }
    let value = message_id.parse::<HeaderValue>();
    map.insert(
        NATS_MESSAGE_ID,
        value.map_err(|_| BusError::Header("Nats-Msg-Id".to_owned()))?,
    );
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_break_the_protocol_are_refused() {
        let refused =
            header_map([("ce-id", "a\r\nNats-Rollup: all")], "1").expect_err("a line break");
        assert_eq!(refused.to_string(), "header ce-id is malformed");
        assert!(header_map([("a b:", "x")], "1").is_err());
        assert!(header_map([("ce-id", "x")], "1\n").is_err());
    }

    #[test]
    fn reconnecting_slows_down_to_a_bound() {
        assert_eq!(reconnect_delay(0), Duration::ZERO);
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert_eq!(reconnect_delay(2), Duration::from_millis(40));
        assert_eq!(reconnect_delay(usize::MAX), Duration::from_secs(2));
    }
}
