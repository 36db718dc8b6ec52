//! Decoding recordings as a stream of samples, and probing them.
//!
//! Not about speech: what is said, and where, is the transcription worker's business. Works on
//! files, knows neither S3 nor events.
//!
//! Invariant: memory is bounded by one packet of the container, whatever the length of the
//! recording and whatever its header claims. Lengths are counted from decoded samples, never
//! taken from a header. Damage shortens a recording; only a file in which nothing decodes fails.

mod decode;
mod probe;
mod source;
#[cfg(test)]
mod tests;

pub use decode::{Block, Decoder};
pub use probe::{DEFAULT_MAX_LENGTH, Probe, probe};
pub use source::Source;

/// Recordings with more channels than this are refused: no telephone system or meeting recorder
/// gives each of more people a channel, and every channel costs a detector and an open chunk.
pub const MAX_CHANNELS: u16 = 8;

/// Why a recording cannot be decoded. All but `Io` are final: the same bytes fail again.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    #[error("the file is not audio of a supported kind")]
    NotAudio,
    #[error("the file holds no audio track")]
    NoAudioTrack,
    #[error("the audio cannot be decoded: {0}")]
    Unsupported(&'static str),
    #[error("the recording has {channels} channels, more than {MAX_CHANNELS}")]
    TooManyChannels { channels: usize },
    #[error("the file holds no audio that decodes")]
    Empty,
    #[error("the recording is longer than {max_hours:.1} hours")]
    TooLong { max_hours: f64 },
    #[error("reading the recording failed")]
    Io(#[source] std::io::Error),
}
