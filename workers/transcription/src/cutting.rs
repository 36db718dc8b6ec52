//! Decoding and cutting on a thread of its own, a few chunks ahead of the engine.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aftercall::audio::{AudioError, Decoder};
use aftercall::worker::Failure;
use tokio::sync::mpsc;

use crate::chunks::{Chunk, Chunks, CutError};

/// Chunks that wait for the engine; each holds up to 28 s of samples (1.8 MB).
const AHEAD: usize = 2;

/// The chunks of a recording, as they are cut.
pub struct Cutting {
    chunks: mpsc::Receiver<Result<Chunk, CutError>>,
    distinct_channels: Arc<AtomicU16>,
}

impl Cutting {
    /// The next chunk; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Chunk, CutError>> {
        self.chunks.recv().await
    }

    /// The channels that can be told apart; final after the last chunk.
    pub fn distinct_channels(&self) -> u16 {
        self.distinct_channels.load(Ordering::Acquire)
    }
}

/// Starts to decode and cut a recording. Dropping the answer ends it.
///
/// Audio longer than `max_audio` is refused when that much was decoded.
pub async fn start(file: File, max_audio: Duration) -> Result<Cutting, CutError> {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let distinct_channels = Arc::new(AtomicU16::new(1));
    let found = Arc::clone(&distinct_channels);
    let decoder = tokio::task::spawn_blocking(move || Decoder::open(file))
        .await
        .map_err(|error| AudioError::Io(std::io::Error::other(error)))??;
    std::thread::spawn(move || {
        or_panicked(&sender, || {
            cut(Chunks::new(decoder), max_audio, &sender, &found);
        });
    });
    Ok(Cutting {
        chunks,
        distinct_channels,
    })
}

/// Does `work`. Its panic is sent as an error: a channel that merely closed would pass for the end of
/// the recording.
fn or_panicked(sender: &mpsc::Sender<Result<Chunk, CutError>>, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        let error = std::io::Error::other("cutting panicked");
        if sender
            .blocking_send(Err(AudioError::Io(error).into()))
            .is_err()
        {
            tracing::warn!("cutting panicked when nobody waited any more");
        }
    }
}

fn cut(
    mut chunks: Chunks,
    max_audio: Duration,
    sender: &mpsc::Sender<Result<Chunk, CutError>>,
    distinct_channels: &AtomicU16,
) {
    while let Some(chunk) = chunks.next() {
        let too_long = u128::from(chunks.decoded_ms().unsigned_abs()) > max_audio.as_millis();
        let chunk = if too_long {
            Err(too_long_for(max_audio).into())
        } else {
            chunk
        };
        let last = chunk.is_err();
        // Nobody waits any more: the worker stops, or the message goes to another.
        if sender.blocking_send(chunk).is_err() || last {
            return;
        }
    }
    distinct_channels.store(chunks.distinct_channels(), Ordering::Release);
}

fn too_long_for(max_audio: Duration) -> AudioError {
    AudioError::TooLong {
        max_hours: max_audio.as_secs_f64() / 3600.0,
    }
}

/// Only a disk that cannot be read may work later.
pub(crate) fn cannot_cut(error: CutError) -> Failure {
    match error {
        CutError::Audio(AudioError::Io(_)) => Failure::Retry(error.into()),
        error => Failure::reject_because("The recording could not be decoded.", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_not_the_end() {
        let (sender, mut chunks) = mpsc::channel(AHEAD);
        or_panicked(&sender, || panic!("no such sample"));
        drop(sender);
        let first = chunks.blocking_recv();
        assert!(matches!(
            first,
            Some(Err(CutError::Audio(AudioError::Io(_))))
        ));
    }
}
