//! A recording as chunks of speech, each the audio of one request to the engine.
//!
//! Streams: holds one open stretch for each channel, 28 s at most. Deterministic: the same file
//! gives the same chunks under the same numbers, so that a restart continues with those missing.

use std::collections::VecDeque;

use aftercall::audio::{AudioError, Decoder};

use crate::crosstalk::Crosstalk;
use crate::resample::{Resampler, SAMPLE_RATE_HZ, UnsupportedRate};
use crate::segmenter::{Segmenter, Stretch};
use crate::speech::{FRAME_MS, FRAME_SAMPLES, Frame, SpeechDetector};

/// A stretch of speech of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Channel of the recording, from 0.
    pub channel: u16,
    /// Number within its channel, from 0.
    pub index: u32,
    /// Where `samples` starts; times that the engine gives count from here.
    pub start_ms: i64,
    /// Where `samples` ends.
    pub end_ms: i64,
    /// Where speech starts, after the margin.
    pub speech_start_ms: i64,
    /// Where speech ends, before the margin.
    pub speech_end_ms: i64,
    /// 16 kHz, from -1 to 1.
    pub samples: Vec<f32>,
}

/// Why a recording cannot be cut. All but a failure to read are final.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    #[error("decoding the recording failed")]
    Audio(#[from] AudioError),
    #[error(transparent)]
    Rate(#[from] UnsupportedRate),
}

/// The chunks of a recording in the order in which they end. Blocks its thread to decode.
pub struct Chunks {
    decoder: Decoder,
    resampler: Resampler,
    channels: Vec<Channel>,
    crosstalk: Crosstalk,
    ready: VecDeque<Chunk>,
    /// Samples of each channel that were looked at, at 16 kHz.
    samples_done: u64,
    ended: bool,
}

#[derive(Default)]
struct Channel {
    detector: SpeechDetector,
    segmenter: Segmenter,
    chunks: u32,
}

impl Chunks {
    pub fn new(decoder: Decoder) -> Self {
        let channels = decoder.channels();
        Self {
            resampler: Resampler::new(channels),
            channels: (0..channels).map(|_| Channel::default()).collect(),
            crosstalk: Crosstalk::new(channels),
            ready: VecDeque::new(),
            samples_done: 0,
            ended: false,
            decoder,
        }
    }

    /// Length of the audio that was cut up to now, in milliseconds; after the last chunk, of all.
    pub fn decoded_ms(&self) -> i64 {
        let ms = self.samples_done * 1000 / u64::from(SAMPLE_RATE_HZ);
        i64::try_from(ms).expect("a recording is shorter than the age of the universe")
    }

    /// Channels that can be told apart up to now: 1 where several all carry the same sound.
    pub fn distinct_channels(&self) -> u16 {
        if self.crosstalk.all_the_same() {
            1
        } else {
            self.decoder.channels()
        }
    }

    /// Decodes and cuts the next block.
    fn advance(&mut self) -> Result<(), CutError> {
        match self.decoder.next_block()? {
            Some(block) => {
                self.resampler.push(&block)?;
                self.cut_whole_frames();
            }
            None => self.end(),
        }
        Ok(())
    }

    fn cut_whole_frames(&mut self) {
        let planes = self.resampler.output();
        let whole = planes.first().map_or(0, Vec::len) / FRAME_SAMPLES * FRAME_SAMPLES;
        let mut frames = vec![Frame::default(); planes.len()];
        for start in (0..whole).step_by(FRAME_SAMPLES) {
            let samples: Vec<&[f32]> = planes
                .iter()
                .map(|plane| &plane[start..start + FRAME_SAMPLES])
                .collect();
            for (number, channel) in self.channels.iter_mut().enumerate() {
                frames[number] = channel.detector.judge(samples[number]);
            }
            self.crosstalk.suppress(&mut frames, &samples);
            for (number, channel) in self.channels.iter_mut().enumerate() {
                let ended = channel.segmenter.push(frames[number], samples[number]);
                self.ready
                    .extend(ended.map(|stretch| channel.chunk(number, stretch)));
            }
        }
        for plane in planes {
            plane.drain(..whole);
        }
        self.samples_done += whole as u64;
    }

    /// Cuts what is left; the last frame is filled up with silence.
    fn end(&mut self) {
        self.resampler.finish();
        self.cut_whole_frames();
        let planes = self.resampler.output();
        let rest = planes.first().map_or(0, Vec::len);
        if rest > 0 {
            for plane in planes {
                plane.resize(FRAME_SAMPLES, 0.0);
            }
            self.cut_whole_frames();
            self.samples_done -= (FRAME_SAMPLES - rest) as u64;
        }
        for (number, channel) in self.channels.iter_mut().enumerate() {
            let open = channel.segmenter.finish();
            self.ready
                .extend(open.map(|stretch| channel.chunk(number, stretch)));
        }
        self.ended = true;
    }
}

impl Iterator for Chunks {
    type Item = Result<Chunk, CutError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

impl Channel {
    fn chunk(&mut self, number: usize, stretch: Stretch) -> Chunk {
        let index = self.chunks;
        self.chunks += 1;
        Chunk {
            channel: u16::try_from(number).expect("channels are counted in u16"),
            index,
            start_ms: frame_ms(stretch.start_frame),
            end_ms: frame_ms(stretch.end_frame),
            speech_start_ms: frame_ms(stretch.speech_start_frame),
            speech_end_ms: frame_ms(stretch.speech_end_frame),
            samples: stretch.samples,
        }
    }
}

fn frame_ms(frame: usize) -> i64 {
    i64::try_from(frame).expect("frames fit") * FRAME_MS
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Ten seconds at 8 kHz, each channel from a function of the frame's number.
    fn recording(channels: &[fn(u32) -> i16]) -> Chunks {
        let spec = hound::WavSpec {
            channels: u16::try_from(channels.len()).expect("few channels"),
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for frame in 0..80_000 {
            for channel in channels {
                writer.write_sample(channel(frame)).unwrap();
            }
        }
        writer.finalize().unwrap();
        Chunks::new(Decoder::open(Cursor::new(file.into_inner())).unwrap())
    }

    fn silence(_: u32) -> i16 {
        0
    }

    /// A buzz at 120 Hz with the overtones of a vowel, from the third to the fifth second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a small sum"
    )]
    fn vowel(frame: u32) -> i16 {
        if !(16_000..40_000).contains(&frame) {
            return 0;
        }
        let time = frame as f32 / 8_000.0;
        let formants = |hz: f32| (1.0 / (1.0 + ((hz - 700.0) / 200.0).powi(2))) + 0.2;
        let buzz: f32 = (1_u8..25)
            .map(|n| f32::from(n) * (120.0 + 6.0 * (4.0 * time).sin()))
            .map(|hz| formants(hz) * (std::f32::consts::TAU * hz * time).sin())
            .sum();
        let syllables = 0.6 + 0.4 * (std::f32::consts::TAU * 4.0 * time).sin();
        (buzz * syllables * 2_000.0) as i16
    }

    #[test]
    fn silence_gives_no_chunk_and_its_length() {
        let mut chunks = recording(&[silence, silence]);
        assert!(chunks.next().is_none());
        assert_eq!(chunks.decoded_ms(), 10_000);
        assert_eq!(chunks.distinct_channels(), 2);
    }

    #[test]
    fn the_same_file_gives_the_same_chunks_within_the_recording() {
        let cut = || -> Vec<Chunk> { recording(&[silence, vowel]).map(Result::unwrap).collect() };
        let chunks = cut();
        assert!(!chunks.is_empty());
        assert_eq!(chunks, cut());
        for (index, chunk) in (0..).zip(&chunks) {
            assert_eq!((chunk.channel, chunk.index), (1, index));
            assert!(chunk.start_ms <= chunk.speech_start_ms);
            assert!(chunk.speech_end_ms <= chunk.end_ms);
            assert!((1_700..5_300).contains(&chunk.start_ms) && chunk.end_ms < 5_300);
            let samples = usize::try_from((chunk.end_ms - chunk.start_ms) * 16).unwrap();
            assert_eq!(chunk.samples.len(), samples);
        }
    }

    #[test]
    fn one_microphone_on_two_channels_is_heard_once() {
        let mut chunks = recording(&[vowel, vowel]);
        let channels: Vec<u16> = chunks
            .by_ref()
            .map(|chunk| chunk.unwrap().channel)
            .collect();
        assert!(!channels.is_empty());
        assert!(channels.iter().all(|&channel| channel == 0), "{channels:?}");
        assert_eq!(chunks.distinct_channels(), 1);
    }
}
