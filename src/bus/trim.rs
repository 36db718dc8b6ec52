//! How full a stream is, how far all of its durable consumers are, and taking the oldest away.
//!
//! A purge moves the beginning of the stream on. It does not overwrite anything: the bytes go with the
//! file that holds them.

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures::TryStreamExt;
use jiff::Timestamp;

use super::{Bus, BusError, declared};

/// How full a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub bytes: u64,
    /// None for a stream without a bound.
    pub max_bytes: Option<u64>,
    /// The oldest message that is still there, or would be.
    pub first_sequence: u64,
    /// The newest message that ever was.
    pub last_sequence: u64,
}

/// How far all durable consumers of a stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Up to here nobody waits for a message, or has one that is not acknowledged.
    pub sequence: u64,
    /// The durable that is not further.
    pub slowest: String,
}

impl Bus {
    pub async fn fill(&self, stream: &str) -> Result<Fill, BusError> {
        let of = self.jetstream.get_stream(stream).await;
        let of = of.map_err(|error| BusError::of(stream, error))?;
        let (config, state) = (&of.cached_info().config, &of.cached_info().state);
        Ok(Fill {
            bytes: state.bytes,
            max_bytes: u64::try_from(config.max_bytes).ok().filter(|max| *max > 0),
            first_sequence: state.first_sequence,
            last_sequence: state.last_sequence,
        })
    }

    /// How far all durables are, not beyond `last_sequence`, which was the end of the stream before this
    /// was asked. None when there is no durable, or one that is declared is missing: it is yet to read
    /// everything.
    pub async fn consumed(
        &self,
        stream: &str,
        last_sequence: u64,
    ) -> Result<Option<Consumed>, BusError> {
        let of = self.stream(stream).await?;
        let consumers: Vec<consumer::Info> = of
            .consumers()
            .try_collect()
            .await
            .map_err(|error| BusError::of(stream, error))?;
        let declared = declared().consumers;
        let mut expected = declared.iter().filter(|one| one.stream_name == stream);
        if !expected.all(|one| consumers.iter().any(|found| found.name == one.name())) {
            return Ok(None);
        }
        let mut slowest: Option<Consumed> = None;
        for durable in consumers
            .into_iter()
            .filter(|found| found.config.durable_name.is_some())
        {
            // The floor stands where the last message for this consumer was, which may be long ago.
            let from = durable.ack_floor.stream_sequence + 1;
            let mut sequence = last_sequence;
            for filter in filters(&durable.config) {
                if let Some(next) = next(&of, stream, from, filter).await? {
                    sequence = sequence.min(next.0 - 1);
                }
            }
            if slowest.as_ref().is_none_or(|one| sequence < one.sequence) {
                slowest = Some(Consumed {
                    sequence,
                    slowest: durable.name,
                });
            }
        }
        Ok(slowest)
    }

    /// The first message that came at `time` or after, looked for between the ends of `fill`; one beyond
    /// the last when there is none.
    pub async fn first_since(
        &self,
        stream: &str,
        fill: Fill,
        time: Timestamp,
    ) -> Result<u64, BusError> {
        let of = self.stream(stream).await?;
        let (mut low, mut high) = (fill.first_sequence, fill.last_sequence + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match next(&of, stream, middle, ">").await? {
                Some((sequence, at)) if at < time => low = sequence + 1,
                // Between the middle and that message there may be none at all.
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Takes every message below `sequence` out of a stream; answers how many that were.
    pub async fn purge_below(&self, stream: &str, sequence: u64) -> Result<u64, BusError> {
        let of = self.stream(stream).await?;
        let purged = of.purge().sequence(sequence).await;
        purged
            .map(|done| done.purged)
            .map_err(|error| BusError::of(stream, error))
    }
}

/// The subjects that a consumer reads.
fn filters(config: &consumer::Config) -> Vec<&str> {
    if !config.filter_subjects.is_empty() {
        return config.filter_subjects.iter().map(String::as_str).collect();
    }
    match config.filter_subject.as_str() {
        "" => vec![">"],
        one => vec![one],
    }
}

/// Sequence and time of the first message from `from` on whose subject matches.
async fn next(
    of: &Stream<()>,
    stream: &str,
    from: u64,
    filter: &str,
) -> Result<Option<(u64, Timestamp)>, BusError> {
    let next = of.raw_message_builder().sequence(from);
    match next.next_by_subject(filter).send().await {
        Ok(message) => {
            let at = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos());
            let at = at.map_err(|error| BusError::of(stream, error))?;
            Ok(Some((message.sequence, at)))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(BusError::of(stream, error)),
    }
}
