//! What a recording really is, found by decoding all of it.

use std::time::Duration;

use super::decode::{Decoder, Step};
use super::{AudioError, Source};

/// The longest recording that is accepted unless a setting says otherwise.
pub const DEFAULT_MAX_LENGTH: Duration = Duration::from_secs(12 * 60 * 60);

/// Facts about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Decoded length in milliseconds, rounded.
    pub duration_ms: i64,
    pub channels: u16,
    /// The first, where a chained stream has several.
    pub sample_rate_hz: u32,
    /// The codec's short name, such as `opus` or `pcm_s16le`.
    pub codec: &'static str,
}

/// Decodes a whole recording; blocks the thread while it does.
///
/// [`AudioError::TooLong`] as soon as more than `max_length` has been decoded.
pub fn probe(source: impl Source, max_length: Duration) -> Result<Probe, AudioError> {
    let mut decoder = Decoder::open(source)?;
    let facts = (
        decoder.channels(),
        decoder.sample_rate_hz(),
        decoder.codec(),
    );
    let max_seconds = max_length.as_secs_f64();
    let mut seconds = 0.0;
    let mut run = Run {
        sample_rate_hz: facts.1,
        frames: 0,
    };
    while let Step::Decoded { frames } | Step::Gap { frames } = decoder.step()? {
        if decoder.sample_rate_hz() != run.sample_rate_hz {
            seconds += run.seconds();
            run = Run {
                sample_rate_hz: decoder.sample_rate_hz(),
                frames: 0,
            };
        }
        run.frames += frames;
        if seconds + run.seconds() > max_seconds {
            return Err(AudioError::TooLong {
                max_hours: max_seconds / 3600.0,
            });
        }
    }
    let (channels, sample_rate_hz, codec) = facts;
    let duration_ms = milliseconds(seconds + run.seconds());
    Ok(Probe {
        duration_ms,
        channels,
        sample_rate_hz,
        codec,
    })
}

/// Frames at one sample rate; counted whole, so that a length does not drift.
struct Run {
    sample_rate_hz: u32,
    frames: usize,
}

impl Run {
    #[expect(
        clippy::cast_precision_loss,
        reason = "frame counts stay far below 2^52"
    )]
    fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate_hz)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by the length limit"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
