//! Audio that the service does not take as it is, as parts within its limits: WAV, 16 kHz, 16 bit.
//!
//! Streams: one part at a time stands on this machine's disk. Deterministic: the same file gives the
//! same parts, so that a restart makes those that were made before.

use std::fs::File;
use std::io::{self, BufWriter};
use std::time::Duration;

use aftercall::audio::{AudioError, Decoder};
use aftercall::events::JobKind;
use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempPath;
use tokio::sync::mpsc;

use super::request::Limits;
use crate::chunks::CutError;
use crate::resample::{Resampler, SAMPLE_RATE_HZ};
use crate::speech::{FRAME_MS, FRAME_SAMPLES, SpeechDetector, frames_in};
use crate::wav::to_i16;

/// A pause this long is a good place to cut, 304 ms.
const PAUSE_FRAMES: usize = frames_in(304);
/// Below, the detector hears no speech.
const SPEECH_SCORE: f32 = 0.5;
/// A pause is looked for in this much at the end of a part.
const LOOK_FOR_PAUSE_MS: i64 = 5 * 60 * 1000;
/// Of a WAV file, generously.
const HEADER_BYTES: i64 = 1024;
const BYTES_PER_SAMPLE: i64 = 2;

/// What parts are like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Channels of the parts; where the recording has more, all are mixed into one.
    pub channels: u16,
    pub max_ms: i64,
    /// Shorter ones are filled up with silence.
    pub min_ms: i64,
    /// Longer recordings are refused when that much was decoded.
    pub max_audio: Duration,
}

/// A part on disk, which goes with this.
#[derive(Debug)]
pub struct AudioPart {
    /// Where it begins in the recording.
    pub start_ms: i64,
    pub path: TempPath,
}

impl Shape {
    /// Parts as long as the service takes them.
    pub fn of(limits: &Limits, kind: JobKind, channels: u16, max_audio: Duration) -> Self {
        let bytes_per_ms = i64::from(SAMPLE_RATE_HZ / 1000) * BYTES_PER_SAMPLE;
        let in_bytes =
            (limits.max_bytes(kind) - HEADER_BYTES) / (bytes_per_ms * i64::from(channels));
        Self {
            channels,
            max_ms: limits.max_ms.min(in_bytes),
            min_ms: limits.min_ms,
            max_audio,
        }
    }
}

/// Starts to decode and cut on a thread of its own, one part ahead. Dropping the answer ends it.
pub async fn start(
    file: File,
    shape: Shape,
) -> Result<mpsc::Receiver<Result<AudioPart, CutError>>, CutError> {
    let decoder = tokio::task::spawn_blocking(move || Decoder::open(file))
        .await
        .map_err(|error| AudioError::Io(io::Error::other(error)))??;
    let (sender, parts) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut cutter = Cutter::new(shape, sender.clone());
        match cutter.run(decoder) {
            Ok(()) | Err(Stop::NobodyWaits) => {}
            Err(Stop::Failed(error)) => {
                // Nobody waits any more: the worker stops, or the message goes to another.
                let _ = sender.blocking_send(Err(error));
            }
        }
    });
    Ok(parts)
}

enum Stop {
    NobodyWaits,
    Failed(CutError),
}

struct Cutter {
    shape: Shape,
    sender: mpsc::Sender<Result<AudioPart, CutError>>,
    detectors: Vec<SpeechDetector>,
    open: Option<Writer>,
    /// Frames without speech at the end of what was written.
    quiet_frames: usize,
    frames_done: i64,
}

struct Writer {
    start_ms: i64,
    path: TempPath,
    wav: WavWriter<BufWriter<File>>,
    frames: i64,
}

impl Cutter {
    fn new(shape: Shape, sender: mpsc::Sender<Result<AudioPart, CutError>>) -> Self {
        let detectors = (0..shape.channels).map(|_| SpeechDetector::default());
        Self {
            detectors: detectors.collect(),
            shape,
            sender,
            open: None,
            quiet_frames: 0,
            frames_done: 0,
        }
    }

    fn run(&mut self, mut decoder: Decoder) -> Result<(), Stop> {
        let mut resampler = Resampler::new(decoder.channels());
        while let Some(block) = decoder.next_block()? {
            resampler.push(&block)?;
            self.take_whole_frames(resampler.output())?;
        }
        resampler.finish();
        let planes = resampler.output();
        self.take_whole_frames(planes)?;
        // The last frame is filled up with silence.
        if planes.first().is_some_and(|plane| !plane.is_empty()) {
            for plane in &mut *planes {
                plane.resize(FRAME_SAMPLES, 0.0);
            }
            self.take_whole_frames(planes)?;
        }
        self.end_part()
    }

    fn take_whole_frames(&mut self, planes: &mut [Vec<f32>]) -> Result<(), Stop> {
        let whole = planes.first().map_or(0, Vec::len) / FRAME_SAMPLES * FRAME_SAMPLES;
        for start in (0..whole).step_by(FRAME_SAMPLES) {
            let frame: Vec<&[f32]> = planes
                .iter()
                .map(|plane| &plane[start..start + FRAME_SAMPLES])
                .collect();
            if frame.len() == usize::from(self.shape.channels) {
                self.take(&frame)?;
            } else {
                self.take(&[&mixed(&frame)])?;
            }
        }
        for plane in planes {
            plane.drain(..whole);
        }
        Ok(())
    }

    fn take(&mut self, frame: &[&[f32]]) -> Result<(), Stop> {
        let start_ms = self.frames_done * FRAME_MS;
        if u128::from(start_ms.unsigned_abs()) >= self.shape.max_audio.as_millis() {
            let max_hours = self.shape.max_audio.as_secs_f64() / 3600.0;
            return Err(CutError::from(AudioError::TooLong { max_hours }).into());
        }
        if self.must_end(frame) {
            self.end_part()?;
        }
        let part = match &mut self.open {
            Some(part) => part,
            none => none.insert(Writer::open(start_ms, self.shape.channels)?),
        };
        part.write(frame)?;
        self.frames_done += 1;
        Ok(())
    }

    /// Whether the next frame begins another part: in a pause, or where there is no more room.
    fn must_end(&mut self, frame: &[&[f32]]) -> bool {
        let Some(part) = &self.open else {
            return false;
        };
        let length_ms = part.frames * FRAME_MS;
        let look_for_pause_ms = LOOK_FOR_PAUSE_MS.min(self.shape.max_ms / 4);
        if length_ms + FRAME_MS > self.shape.max_ms {
            self.quiet_frames = 0;
            return true;
        }
        if length_ms < self.shape.max_ms - look_for_pause_ms {
            return false;
        }
        // Every detector hears every frame: each remembers those before.
        let mut speech = false;
        for (detector, samples) in self.detectors.iter_mut().zip(frame) {
            speech |= detector.judge(samples).score >= SPEECH_SCORE;
        }
        self.quiet_frames = if speech { 0 } else { self.quiet_frames + 1 };
        let pauses = self.quiet_frames >= PAUSE_FRAMES;
        if pauses {
            self.quiet_frames = 0;
        }
        pauses
    }

    fn end_part(&mut self) -> Result<(), Stop> {
        let Some(mut part) = self.open.take() else {
            return Ok(());
        };
        let silence = [0.0; FRAME_SAMPLES];
        let silence = vec![&silence[..]; self.shape.channels.into()];
        while part.frames * FRAME_MS < self.shape.min_ms {
            part.write(&silence)?;
        }
        let part = part.close()?;
        self.sender
            .blocking_send(Ok(part))
            .map_err(|_| Stop::NobodyWaits)
    }
}

impl Writer {
    fn open(start_ms: i64, channels: u16) -> Result<Self, Stop> {
        let file = tempfile::NamedTempFile::new().map_err(AudioError::Io)?;
        let (file, path) = file.into_parts();
        let spec = WavSpec {
            channels,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let wav = WavWriter::new(BufWriter::new(file), spec).map_err(disk)?;
        Ok(Self {
            start_ms,
            path,
            wav,
            frames: 0,
        })
    }

    /// One frame of each channel.
    fn write(&mut self, frame: &[&[f32]]) -> Result<(), Stop> {
        for at in 0..FRAME_SAMPLES {
            for samples in frame {
                self.wav.write_sample(to_i16(samples[at])).map_err(disk)?;
            }
        }
        self.frames += 1;
        Ok(())
    }

    fn close(self) -> Result<AudioPart, Stop> {
        self.wav.finalize().map_err(disk)?;
        Ok(AudioPart {
            start_ms: self.start_ms,
            path: self.path,
        })
    }
}

impl<E: Into<CutError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn mixed(frame: &[&[f32]]) -> Vec<f32> {
    let channels = u16::try_from(frame.len()).expect("decoding accepts few channels");
    let at = |at: usize| frame.iter().map(|plane| plane[at]).sum::<f32>() / f32::from(channels);
    (0..FRAME_SAMPLES).map(at).collect()
}

fn disk(error: hound::Error) -> Stop {
    let error = match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    };
    AudioError::Io(error).into()
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
