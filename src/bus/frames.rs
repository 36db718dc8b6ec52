//! The frame publisher: records that arrive while a publish is in flight go together into the next
//! message.
//!
//! The broker syncs once a message, so what it takes is messages a second; a frame holds as many
//! records as were waiting, and whoever waits gets the frame's answer. There is no timer: a lone record
//! goes at once, and frames grow with the load. Not here: what a record is.
//!
//! Invariant: [`Receipt::stored`] is `Ok` only when the stream has stored the record. A frame that was
//! not acknowledged is sent again with its `Nats-Msg-Id`. What waits is bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
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
pub struct Frames(Arc<Queue>);

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
pub struct Receipt(watch::Receiver<Option<Stored>>);

type Stored = Result<(), FrameError>;

/// Records are written where they are sent from: none has memory of its own.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The last one may still grow.
    frames: VecDeque<Frame>,
    /// What the frame before took; the next will be of about that size.
    expected_bytes: usize,
    stopped: bool,
}

#[derive(Debug)]
struct Frame {
    payload: Vec<u8>,
    records: usize,
    /// What all of its records take, given back after the answer.
    room: Option<OwnedSemaphorePermit>,
    /// All of its records wait for this.
    stored: watch::Sender<Option<Stored>>,
}

impl Receipt {
    /// Waits until the record is stored.
    pub async fn stored(mut self) -> Result<(), FrameError> {
        let answer = self.0.wait_for(Option::is_some).await;
        let answer = answer.map_err(|_| FrameError::Stopped)?;
        answer.clone().unwrap_or(Err(FrameError::Stopped))
    }
}

impl Frame {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            payload: Vec::with_capacity(bytes),
            records: 0,
            room: None,
            stored: watch::Sender::new(None),
        }
    }

    fn is_full(&self) -> bool {
        self.records >= MAX_RECORDS || self.payload.len() >= MAX_BYTES
    }

    /// Adds a record as one line.
    fn add(&mut self, parts: &[&[u8]], room: OwnedSemaphorePermit) {
        for part in parts {
            let start = self.payload.len();
            self.payload.extend_from_slice(part);
            for at in memchr::memchr2_iter(b'\n', b'\r', part) {
                self.payload[start + at] = b' ';
            }
        }
        self.payload.push(b'\n');
        self.records += 1;
        match &mut self.room {
            Some(taken) => taken.merge(room),
            none => *none = Some(room),
        }
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            room: Arc::new(Semaphore::new(ROOM_BYTES)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record to the frame that waits, or to a new one.
    fn add(&self, parts: &[&[u8]], room: OwnedSemaphorePermit) -> Result<Receipt, FrameError> {
        let mut waiting = self.lock();
        if waiting.stopped {
            return Err(FrameError::Stopped);
        }
        if let Some(full) = waiting.frames.back().filter(|frame| frame.is_full()) {
            waiting.expected_bytes = full.payload.len();
        }
        if waiting.frames.back().is_none_or(Frame::is_full) {
            let bytes = room.num_permits().max(waiting.expected_bytes);
            waiting.frames.push_back(Frame::with_capacity(bytes));
        }
        let frame = waiting.frames.back_mut().expect("one that is not full");
        frame.add(parts, room);
        let receipt = Receipt(frame.stored.subscribe());
        let is_first = frame.records == 1;
        drop(waiting);
        if is_first {
            self.arrived.notify_one();
        }
        Ok(receipt)
    }

    fn take(&self) -> Option<Frame> {
        let mut waiting = self.lock();
        let frame = waiting.frames.pop_front()?;
        waiting.expected_bytes = frame.payload.len();
        if !waiting.frames.is_empty() {
            // Two that arrived at once were told as one.
            self.arrived.notify_one();
        }
        Some(frame)
    }

    /// Whoever waits or comes now is told at once.
    fn stop(&self) {
        let mut waiting = self.lock();
        waiting.stopped = true;
        waiting.frames.clear();
    }
}

/// Stops a queue when nobody publishes from it any more, for whatever reason.
struct StopAtEnd(Arc<Queue>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
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
        let queue = Arc::new(Queue::new());
        let publisher = Publisher {
            bus: bus.clone(),
            subject,
            headers,
            queue: Arc::clone(&queue),
        };
        (Self(queue), publisher.run(stop.clone()))
    }

    /// Queues a record, which is these parts in turn; line breaks in it become spaces. Waits shortly when
    /// there is no room.
    pub async fn queue(&self, parts: &[&[u8]]) -> Result<Receipt, FrameError> {
        let queue = &*self.0;
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
        let permits = u32::try_from(bytes).map_err(|_| FrameError::Full)?;
        let free = Arc::clone(&queue.room).try_acquire_many_owned(permits);
        let room = if let Ok(room) = free {
            room
        } else {
            let room = Arc::clone(&queue.room).acquire_many_owned(permits);
            let room = tokio::time::timeout(ROOM_TIMEOUT, room).await;
            room.map_err(|_| FrameError::Full)?
                .map_err(|_| FrameError::Stopped)?
        };
        queue.add(parts, room)
    }
}

#[derive(Clone)]
struct Publisher {
    bus: Bus,
    subject: &'static str,
    headers: fn() -> FrameHeaders,
    queue: Arc<Queue>,
}

impl Publisher {
    async fn run(self, stop: CancellationToken) {
        let _stop = StopAtEnd(Arc::clone(&self.queue));
        let mut publishing = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            publishing.spawn(self.clone().publish_until(stop.clone()));
        }
        while publishing.join_next().await.is_some() {}
    }

    async fn publish_until(self, stop: CancellationToken) {
        while let Some(frame) = self.next_frame(&stop).await {
            self.publish(frame).await;
        }
    }

    /// Everything that waits, up to a frame; `None` once the stop has begun and nothing waits.
    async fn next_frame(&self, stop: &CancellationToken) -> Option<Frame> {
        loop {
            if let Some(frame) = self.queue.take() {
                return Some(frame);
            }
            tokio::select! {
                biased;
                () = self.queue.arrived.notified() => {}
                () = stop.cancelled() => return self.queue.take(),
            }
        }
    }

    async fn publish(&self, frame: Frame) {
        let Frame {
            payload,
            records,
            room,
            stored: answer,
        } = frame;
        let stored = self.store(payload.into()).await.map_err(|error| {
            let error = Arc::new(error);
            tracing::warn!(%error, records, "frame was not confirmed");
            FrameError::Unconfirmed(error)
        });
        if stored.is_ok() {
            counter!(FRAMES).increment(1);
            counter!(RECORDS).increment(records as u64);
        }
        answer.send_replace(Some(stored));
        drop(room);
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        gauge!(WAITING).set((ROOM_BYTES - self.queue.room.available_permits()) as f64);
    }

    async fn store(&self, payload: Bytes) -> Result<(), BusError> {
        let (headers, id) = (self.headers)();
        self.bus
            .publish(self.subject, headers, payload, &id)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Queue {
        fn add_one(&self, record: &[u8]) -> Result<Receipt, FrameError> {
            let bytes = u32::try_from(record.len() + 1).unwrap();
            let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
            self.add(&[record], room.unwrap())
        }
    }

    #[test]
    fn a_record_is_one_line() {
        let queue = Queue::new();
        let room = || Arc::clone(&queue.room).try_acquire_owned().unwrap();
        let parts: [&[u8]; 3] = [b"{", b"\"a\":\r\n1\n,\t\"b\":2", b"}"];
        queue.add(&parts, room()).unwrap();
        queue.add(&[b"[]"], room()).unwrap();
        let frame = queue.take().unwrap();
        assert_eq!(frame.payload, b"{\"a\":  1 ,\t\"b\":2}\n[]\n");
        assert_eq!(frame.records, 2);
    }

    #[test]
    fn a_frame_is_closed_at_its_bounds() {
        let queue = Queue::new();
        for _ in 0..=MAX_RECORDS {
            queue.add_one(b"{}").unwrap();
        }
        assert_eq!(queue.take().unwrap().records, MAX_RECORDS);
        queue.add_one(&vec![b'x'; MAX_BYTES]).unwrap();
        queue.add_one(b"{}").unwrap();
        assert_eq!(queue.take().unwrap().records, 2);
        assert_eq!(queue.take().unwrap().records, 1);
        assert!(queue.take().is_none());
        assert_eq!(queue.room.available_permits(), ROOM_BYTES);
    }

    #[tokio::test]
    async fn whoever_waits_at_the_stop_is_told() {
        let queue = Arc::new(Queue::new());
        let taken = queue.add_one(b"{}").unwrap();
        let frame = queue.take().unwrap();
        let waits = queue.add_one(b"{}").unwrap();
        drop(StopAtEnd(Arc::clone(&queue)));
        assert!(matches!(waits.stored().await, Err(FrameError::Stopped)));
        assert!(matches!(queue.add_one(b"{}"), Err(FrameError::Stopped)));
        // A frame that is on its way gets the answer of the stream.
        frame.stored.send_replace(Some(Ok(())));
        drop(frame);
        assert!(taken.stored().await.is_ok());
        assert_eq!(queue.room.available_permits(), ROOM_BYTES);
    }
}
