//! Finding messages by their subject, and destroying them where they are stored.
//!
//! Deleting a message overwrites its bytes in the file that holds them; a purge, and the age limit of a
//! stream, only move on and leave the bytes until the whole file goes.

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, RawMessageErrorKind, Stream};
use jiff::Timestamp;

use super::{Bus, BusError};

/// A message that is in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub sequence: u64,
    pub subject: String,
    pub headers: HeaderMap,
}

/// Which messages a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Sequences start again in a new stream of the same name.
    pub created_at: Timestamp,
    /// The oldest message that is still there.
    pub first_sequence: u64,
    /// The newest message that ever was.
    pub last_sequence: u64,
}

impl Bus {
    /// The messages of a stream whose subject matches, oldest first. Wildcards are the broker's.
    pub async fn find(&self, stream: &str, filter: &str) -> Result<Vec<Stored>, BusError> {
        self.find_with(stream, filter, |_| true).await
    }

    /// Those of them whose payload is looked for.
    pub async fn find_with(
        &self,
        stream: &str,
        filter: &str,
        is_looked_for: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Stored>, BusError> {
        let of = self.stream(stream).await?;
        let mut found = Vec::new();
        let mut from = 1;
        loop {
            let next = of.raw_message_builder().sequence(from);
            match next.next_by_subject(filter).send().await {
                Ok(message) => {
                    from = message.sequence + 1;
                    if is_looked_for(&message.payload) {
                        found.push(Stored {
                            sequence: message.sequence,
                            subject: message.subject.to_string(),
                            headers: message.headers,
                        });
                    }
                }
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    return Ok(found);
                }
                Err(error) => return Err(BusError::of(stream, error)),
            }
        }
    }

    /// Destroys a message; one that is gone is fine.
    pub async fn destroy(&self, stream: &str, sequence: u64) -> Result<(), BusError> {
        let of = self.stream(stream).await?;
        let Err(error) = of.delete_message(sequence).await else {
            return Ok(());
        };
        if let DeleteMessageErrorKind::JetStream(refused) = error.kind()
            && refused.error_code() == ErrorCode::SEQUENCE_NOT_FOUND
        {
            return Ok(());
        }
        match of.get_raw_message(sequence).await {
            Err(gone) if gone.kind() == RawMessageErrorKind::NoMessageFound => Ok(()),
            _ => Err(BusError::of(stream, error)),
        }
    }

    /// Which messages a stream holds.
    pub async fn extent(&self, stream: &str) -> Result<Extent, BusError> {
        let of = self.jetstream.get_stream(stream).await;
        let of = of.map_err(|error| BusError::of(stream, error))?;
        let info = of.cached_info();
        let created_at = Timestamp::from_nanosecond(info.created.unix_timestamp_nanos());
        Ok(Extent {
            created_at: created_at.map_err(|error| BusError::of(stream, error))?,
            first_sequence: info.state.first_sequence,
            last_sequence: info.state.last_sequence,
        })
    }

    pub(super) async fn stream(&self, name: &str) -> Result<Stream<()>, BusError> {
        let stream = self.jetstream.get_stream_no_info(name).await;
        stream.map_err(|error| BusError::of(name, error))
    }
}
