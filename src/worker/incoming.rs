//! What a handler can consume: a fact, or a dead letter.

use async_nats::HeaderMap;
use bytes::Bytes;
use jiff::Timestamp;

use crate::bus;
use crate::events::{DecodeError, Envelope, Event};
use crate::ids::SessionId;

/// A message that a handler can consume.
pub trait Incoming: Clone + Send + Sync + 'static {
    /// The stream that carries it.
    const STREAM: &'static str;
    /// What the flow table calls it.
    const TYPE: &'static str;

    fn read(message: &Received<'_>) -> Result<Self, DecodeError>;

    fn session_id(&self) -> Option<SessionId>;
}

/// A message as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub subject: &'a str,
    pub headers: &'a HeaderMap,
    pub payload: &'a Bytes,
    pub stream_sequence: i64,
    /// When the stream was made: sequences start again with a new one.
    pub stream_created: Timestamp,
}

impl<'a> Received<'a> {
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }

    pub fn envelope(&self) -> Result<Envelope, DecodeError> {
        Envelope::from_headers(|name| self.header(name))
    }
}

impl<E: Event> Incoming for E {
    const STREAM: &'static str = bus::EVENTS;
    const TYPE: &'static str = E::TYPE;

    fn read(message: &Received<'_>) -> Result<Self, DecodeError> {
        E::decode(&message.envelope()?, message.payload)
    }

    fn session_id(&self) -> Option<SessionId> {
        Some(Event::session_id(self))
    }
}
