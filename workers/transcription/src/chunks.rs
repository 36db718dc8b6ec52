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
