//! Handlers of frames: many messages in one transaction.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use jiff::Timestamp;

use super::context::Context;
use super::dead_letter::Death;
use super::handler::{Failure, Handler};
use super::incoming::{Incoming, Received};
use super::metrics;
use super::verdict::Class;
use crate::bus::BusError;
use crate::events::DecodeError;
use crate::ids::SessionId;

/// Handles frames, as many at a time as have arrived.
///
/// A handler never acknowledges. It makes its effects in one transaction that also holds what makes
/// them unique: a frame may come again, alone or with others. A record that can never be kept fails
/// neither its frame nor its batch: it is [`Refused`], and given up alone.
///
/// A batch that fails is taken apart: each frame runs alone, with its failures counted as those of any
/// message ([`Handler`]); one that is rejected is taken apart into its records.
pub trait BatchHandler: Send + Sync + 'static {
    /// Verb and object, for example `fold-calls`: the name of its consumer in `nats/consumers/`.
    const NAME: &'static str;

    /// So many counted failures of a frame alone, and it is given up.
    const ATTEMPTS: u32 = 8;

    /// What a person reads when the retries are used up: one sentence without internals.
    const GAVE_UP: &'static str;

    type Consumes: Frame;

    /// Makes the effects of all frames, or of none.
    fn handle(
        &self,
        frames: &[Self::Consumes],
        context: &Context,
    ) -> impl Future<Output = Result<Vec<Refused>, Failure>> + Send;
}

/// A message of many records.
pub trait Frame: Incoming {
    /// Its sequence in the stream.
    fn stream_sequence(&self) -> i64;

    /// Its bytes.
    fn data(&self) -> &Bytes;

    /// A frame for each record.
    fn split(&self) -> Vec<Self>;

    /// The line of the first record in the message, from 1.
    fn first_line(&self) -> i32;
}

/// A record that can never be kept.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The message that carried it.
    pub stream_sequence: i64,
    /// Its line in there, from 1.
    pub line: i32,
    pub record: Bytes,
    pub class: Class,
    /// For operators; holds nothing of what was said.
    pub detail: String,
}

/// What is needed to give up a record of a message.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) stream: &'static str,
    pub(super) stream_created: Timestamp,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) stream_sequence: i64,
}

impl Origin {
    pub(super) fn of(stream: &'static str, message: &Received<'_>) -> Self {
        Self {
            stream,
            stream_created: message.stream_created,
            subject: message.subject.to_owned(),
            headers: message.headers.clone(),
            stream_sequence: message.stream_sequence,
        }
    }

    /// Stores a record as a dead letter: a frame of one.
    pub(super) async fn give_up(
        &self,
        handler: &'static str,
        refused: &Refused,
        context: &Context,
    ) -> Result<(), BusError> {
        let death = Death {
            handler,
            class: refused.class,
            detail: &refused.detail,
            attempts: 1,
            stream: self.stream,
            stream_created: self.stream_created,
            stream_sequence: self.stream_sequence,
            line: refused.line,
            trace: context.trace,
        };
        let message = Received {
            subject: &self.subject,
            headers: &self.headers,
            payload: &refused.record,
            stream_sequence: self.stream_sequence,
            stream_created: self.stream_created,
        };
        death.publish(&context.bus, &message).await?;
        let class = refused.class;
        tracing::error!(%class, sequence = self.stream_sequence, line = refused.line, "record given up");
        metrics::failed(handler, class);
        Ok(())
    }
}

/// One frame, handled as any message is.
pub(super) struct Alone<B> {
    pub(super) handler: Arc<B>,
    pub(super) origin: Origin,
}

impl<B: BatchHandler> Handler for Alone<B> {
    const NAME: &'static str = B::NAME;
    const ATTEMPTS: u32 = B::ATTEMPTS;
    const GAVE_UP: &'static str = B::GAVE_UP;
    type Consumes = B::Consumes;
    type Publishes = Infallible;
    type Fails = Infallible;

    async fn handle(
        &self,
        frame: B::Consumes,
        context: &Context,
    ) -> Result<Vec<Infallible>, Failure> {
        let handled = self
            .handler
            .handle(std::slice::from_ref(&frame), context)
            .await;
        let records = frame.split();
        let refused = match handled {
            Err(Failure::Reject { .. }) if records.len() > 1 => {
                self.handle_each(&records, context).await?
            }
            handled => handled?,
        };
        for refused in &refused {
            self.origin.give_up(B::NAME, refused, context).await?;
        }
        Ok(Vec::new())
    }

    fn failed(&self, _: &B::Consumes, _redrive: u32, _reason: String) -> Option<Infallible> {
        None
    }
}

impl<B: BatchHandler> Alone<B> {
    /// One of the records can never be kept: finds out which.
    async fn handle_each(
        &self,
        records: &[B::Consumes],
        context: &Context,
    ) -> Result<Vec<Refused>, Failure> {
        let mut refused = Vec::new();
        for record in records {
            match self
                .handler
                .handle(std::slice::from_ref(record), context)
                .await
            {
                Ok(more) => refused.extend(more),
                Err(failure @ Failure::Reject { .. }) => refused.push(Refused {
                    stream_sequence: record.stream_sequence(),
                    line: record.first_line(),
                    record: record.data().clone(),
                    class: Class::Rejected,
                    detail: failure.detail(),
                }),
                Err(other) => return Err(other),
            }
        }
        Ok(refused)
    }
}

/// A frame of calls.
#[derive(Clone, Debug)]
pub struct CallFrame {
    data: Bytes,
    first_line: i32,
    stream_sequence: i64,
    stream_created: Timestamp,
}

impl CallFrame {
    /// The lines with their numbers, from [`Frame::first_line`] on.
    pub fn lines(&self) -> impl Iterator<Item = (i32, &[u8])> {
        (self.first_line..).zip(crate::events::calls_ended::lines(&self.data))
    }

    /// A line of this frame as bytes of its own, which share its memory.
    pub fn slice(&self, line: &[u8]) -> Bytes {
        self.data.slice_ref(line)
    }

    /// When the stream was made that carries it.
    pub fn stream_created(&self) -> Timestamp {
        self.stream_created
    }
}

impl Incoming for CallFrame {
    const STREAM: &'static str = crate::bus::CALLS;
    const TYPE: &'static str = crate::events::calls_ended::TYPE;

    fn read(message: &Received<'_>) -> Result<Self, DecodeError> {
        crate::events::calls_ended::check_envelope(&message.envelope()?)?;
        Ok(Self {
            data: message.payload.clone(),
            first_line: 1,
            stream_sequence: message.stream_sequence,
            stream_created: message.stream_created,
        })
    }

    fn session_id(&self) -> Option<SessionId> {
        None
    }
}

impl Frame for CallFrame {
    fn stream_sequence(&self) -> i64 {
        self.stream_sequence
    }

    fn data(&self) -> &Bytes {
        &self.data
    }

    fn split(&self) -> Vec<Self> {
        let lines = self.lines().map(|(first_line, line)| Self {
            data: self.slice(line),
            first_line,
            ..*self
        });
        lines.collect()
    }

    fn first_line(&self) -> i32 {
        self.first_line
    }
}
