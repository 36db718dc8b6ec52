//! The frame publisher: records that arrive while a publish is in flight go together into the next
//! message.
//!
//! The broker syncs once a message, so what it takes is messages a second; a frame holds as many
//! records as were waiting, and whoever waits gets the frame's answer. There is no timer: a lone record
//! goes at once, and frames grow with the load. Not here: what a record is.
//!
//! Invariant: [`Receipt::stored`] is `Ok` only when the stream has stored the record. A frame that was
//! not acknowledged is sent again with its `Nats-Msg-Id`. What waits is bounded in bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Bus, BusError};

/// Most records of a frame.
const MAX_RECORDS: usize = 256;
/// A frame is closed once it holds this many bytes; one record more may reach beyond.
const MAX_BYTES: usize = 512 * 1024;
/// While one frame is synced the next is on its way.
const IN_FLIGHT: usize = 2;
/// Bytes of all records that wait or are in flight.
const ROOM_BYTES: usize = 16 * 1024 * 1024;
/// Whoever finds no room waits this long for some.
const ROOM_TIMEOUT: Duration = Duration::from_millis(1_500);

const FRAMES: &str = "aftercall_frames_total";
const RECORDS: &str = "aftercall_frame_records_total";
const WAITING: &str = "aftercall_frame_waiting_bytes";

/// Headers of a message, and its `Nats-Msg-Id`.
pub type FrameHeaders = (Vec<(&'static str, String)>, String);

/// Takes records and publishes them in frames; clones share one queue.
#[derive(Clone, Debug)]
pub struct Frames {
    sender: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

/// Why a record was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FrameError {
    #[error("too many records wait to be stored")]
    Full,
    /// It may be stored all the same: send it again under its id.
    #[error("the broker did not confirm the record")]
    Unconfirmed(#[source] Arc<BusError>),
    #[error("the process stops")]
    Stopped,
}

/// What a record's frame comes to.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<(), FrameError>>);

#[derive(Debug)]
struct Waiting {
    record: Vec<u8>,
    answer: oneshot::Sender<Result<(), FrameError>>,
    /// Given back with the answer.
    room: OwnedSemaphorePermit,
}

impl Receipt {
    /// Waits until the record is stored.
    pub async fn stored(self) -> Result<(), FrameError> {
        self.0.await.unwrap_or(Err(FrameError::Stopped))
    }
}

impl Frames {
    /// Publishes to `subject` with `headers` made for each frame. The publisher runs until `stop`, and
    /// then until nothing waits.
    pub fn start(
        bus: &Bus,
        subject: &'static str,
        headers: fn() -> FrameHeaders,
        stop: &CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        describe_counter!(FRAMES, Unit::Count, "frames that the stream has stored");
        describe_counter!(
            RECORDS,
            Unit::Count,
            "records in the frames that are stored"
        );
        describe_gauge!(WAITING, Unit::Bytes, "records that wait to be stored");
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let frames = Self {
            sender,
            room: Arc::new(Semaphore::new(ROOM_BYTES)),
        };
        let publisher = Publisher {
            bus: bus.clone(),
            subject,
            headers,
            receiver,
            room: Arc::clone(&frames.room),
        };
        (frames, publisher.run(stop.clone()))
    }

    /// Queues a record: one line, without its line break. Waits shortly when there is no room.
    pub async fn queue(&self, record: Vec<u8>) -> Result<Receipt, FrameError> {
        let bytes = u32::try_from(record.len()).map_err(|_| FrameError::Full)?;
        let free = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = if let Ok(room) = free {
            room
        } else {
            let room = Arc::clone(&self.room).acquire_many_owned(bytes);
            let room = tokio::time::timeout(ROOM_TIMEOUT, room).await;
            room.map_err(|_| FrameError::Full)?
                .map_err(|_| FrameError::Stopped)?
        };
        let (answer, receipt) = oneshot::channel();
        let waiting = Waiting {
            record,
            answer,
            room,
        };
        let sent = self.sender.send(waiting);
        sent.map_err(|_| FrameError::Stopped)?;
        Ok(Receipt(receipt))
    }
}

#[derive(Clone)]
struct Publisher {
    bus: Bus,
    subject: &'static str,
    headers: fn() -> FrameHeaders,
    receiver: Arc<Mutex<mpsc::UnboundedReceiver<Waiting>>>,
    room: Arc<Semaphore>,
}

impl Publisher {
    async fn run(self, stop: CancellationToken) {
        let mut publishing = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            publishing.spawn(self.clone().publish_until(stop.clone()));
        }
        while publishing.join_next().await.is_some() {}
        // Whoever comes now is told at once.
        self.receiver.lock().await.close();
    }

    async fn publish_until(self, stop: CancellationToken) {
        while let Some(frame) = self.next_frame(&stop).await {
            self.publish(frame).await;
        }
    }

    /// Everything that waits, up to a frame; `None` once the stop has begun and nothing waits.
    async fn next_frame(&self, stop: &CancellationToken) -> Option<Vec<Waiting>> {
        let mut receiver = self.receiver.lock().await;
        let first = tokio::select! {
            biased;
            first = receiver.recv() => first?,
            () = stop.cancelled() => return None,
        };
        let mut bytes = first.record.len();
        let mut frame = vec![first];
        while frame.len() < MAX_RECORDS && bytes < MAX_BYTES {
            let Ok(next) = receiver.try_recv() else { break };
            bytes += next.record.len() + 1;
            frame.push(next);
        }
        Some(frame)
    }

    async fn publish(&self, frame: Vec<Waiting>) {
        let stored = self.store(&frame).await;
        let stored = stored.map_err(|error| {
            let error = Arc::new(error);
            tracing::warn!(%error, records = frame.len(), "frame was not confirmed");
            FrameError::Unconfirmed(error)
        });
        if stored.is_ok() {
            counter!(FRAMES).increment(1);
            counter!(RECORDS).increment(frame.len() as u64);
        }
        for waiting in frame {
            // Whoever has gone away needs no answer.
            let _ = waiting.answer.send(stored.clone());
            drop(waiting.room);
        }
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        gauge!(WAITING).set((ROOM_BYTES - self.room.available_permits()) as f64);
    }

    async fn store(&self, frame: &[Waiting]) -> Result<(), BusError> {
        let bytes = frame.iter().map(|waiting| waiting.record.len() + 1).sum();
        let mut payload = Vec::with_capacity(bytes);
        for waiting in frame {
            payload.extend_from_slice(&waiting.record);
            payload.push(b'\n');
        }
        let (headers, id) = (self.headers)();
        let payload = Bytes::from(payload);
        self.bus
            .publish(self.subject, headers, payload, &id)
            .await?;
        Ok(())
    }
}
