//! Whether a file is what was sent, and what audio is in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use aftercall::audio::{self, AudioError, MAX_CHANNELS};
use aftercall::db::recordings::Probed;
use aftercall::worker::Failure;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

const BUFFER_BYTES: usize = 64 * 1024;
const DAMAGED: &str = "The recording did not arrive as it was sent. Please upload it again.";

/// Compares a file with the checksum of its upload and decodes all of it; blocks the thread.
pub fn check(
    file: File,
    sha256: &[u8],
    max_audio: Duration,
    stopping: CancellationToken,
) -> Result<Probed, Failure> {
    let mut file = Stoppable { file, stopping };
    if digest(&mut file)? != *sha256 {
        return Err(Failure::reject(DAMAGED));
    }
    file.rewind()?;
    let probe = audio::probe(file, max_audio).map_err(refusal)?;
    Ok(Probed {
        duration_ms: probe.duration_ms,
        channels: i32::from(probe.channels),
        sample_rate_hz: i32::try_from(probe.sample_rate_hz)?,
    })
}

fn digest(file: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// The bytes are not those that were sent.
pub fn damaged() -> Failure {
    Failure::reject(DAMAGED)
}

/// A file that cannot be read any more once the process stops: a thread that decodes hours of audio
/// cannot be dropped as a future can.
struct Stoppable {
    file: File,
    stopping: CancellationToken,
}

impl Read for Stoppable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopping.is_cancelled() {
            return Err(io::Error::other("the process stops"));
        }
        self.file.read(buffer)
    }
}

impl Seek for Stoppable {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// What the person who uploaded it reads. Only reading may go better another time.
fn refusal(error: AudioError) -> Failure {
    let reason = match &error {
        AudioError::Io(_) => return Failure::Retry(error.into()),
        AudioError::NotAudio | AudioError::Unsupported(_) => {
            "The file is of a kind that cannot be played.".to_owned()
        }
        AudioError::NoAudioTrack => "The file holds no sound.".to_owned(),
        AudioError::Empty => "The file holds no audio that can be played.".to_owned(),
        AudioError::TooManyChannels { channels } => {
            format!("The recording has {channels} channels; at most {MAX_CHANNELS} are possible.")
        }
        AudioError::TooLong { max_hours } => {
            format!("The recording is longer than {max_hours:.0} hours.")
        }
    };
    Failure::reject_because(reason, error)
}
