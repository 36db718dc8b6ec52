//! Blocks of any sample rate as 16 kHz, the rate that the detector and the engines work at.
//!
//! Streaming: holds one FFT block for each channel. Neither shifts the recording in time nor
//! changes its length, so that times counted in samples are times of the recording.

use aftercall::audio::Block;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

/// The rate of all audio behind this module.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Input frames that are converted at once.
const BLOCK_FRAMES: usize = 1024;

/// Converts all channels of one recording in step.
pub struct Resampler {
    channels: usize,
    /// `None` before the first block.
    run: Option<Run>,
    output: Vec<Vec<f32>>,
}

/// A stretch of one sample rate; a chained stream may have several.
struct Run {
    sample_rate_hz: u32,
    /// `None` where the rate is right already.
    fft: Option<Fft<f32>>,
    input: Vec<Vec<f32>>,
    scratch: Vec<Vec<f32>>,
    /// Output frames still to drop: the delay of the filter.
    delay_frames: usize,
    /// The last block was digital silence, so that nothing rings on in the filter.
    silent: bool,
    frames_in: u64,
    frames_out: u64,
}

/// A rate that no filter can be made for.
#[derive(Debug, thiserror::Error)]
#[error("audio at {sample_rate_hz} Hz cannot be converted")]
pub struct UnsupportedRate {
    pub sample_rate_hz: u32,
    #[source]
    source: Box<rubato::ResamplerConstructionError>,
}

impl Resampler {
    pub fn new(channels: u16) -> Self {
        let channels = usize::from(channels);
        Self {
            channels,
            run: None,
            output: vec![Vec::new(); channels],
        }
    }

    /// Converts a block; samples that are no numbers become silence, and those beyond full scale
    /// are clipped.
    pub fn push(&mut self, block: &Block<'_>) -> Result<(), UnsupportedRate> {
        if self
            .run
            .as_ref()
            .is_none_or(|run| run.sample_rate_hz != block.sample_rate_hz)
        {
            self.finish();
            self.run = Some(Run::new(block.sample_rate_hz, self.channels)?);
        }
        let run = self.run.as_mut().expect("set above");
        run.frames_in += block.planes.first().map_or(0, |plane| plane.len() as u64);
        if run.fft.is_none() {
            append_clean(&mut self.output, block.planes);
        } else {
            append_clean(&mut run.input, block.planes);
            run.convert_full(&mut self.output);
        }
        Ok(())
    }

    /// Converts what is held back; call it after the last block.
    pub fn finish(&mut self) {
        if let Some(mut run) = self.run.take() {
            run.flush(&mut self.output);
        }
    }

    /// The converted samples, a plane for each channel; the caller drains them.
    pub fn output(&mut self) -> &mut [Vec<f32>] {
        &mut self.output
    }
}

impl Run {
    fn new(sample_rate_hz: u32, channels: usize) -> Result<Self, UnsupportedRate> {
        let fft = (sample_rate_hz != SAMPLE_RATE_HZ)
            .then(|| {
                let (from, to) = (sample_rate_hz as usize, SAMPLE_RATE_HZ as usize);
                Fft::new(from, to, BLOCK_FRAMES, channels, FixedSync::Both)
            })
            .transpose()
            .map_err(|source| UnsupportedRate {
                sample_rate_hz,
                source: Box::new(source),
            })?;
        let delay_frames = fft.as_ref().map_or(0, rubato::Resampler::output_delay);
        let scratch_frames = fft.as_ref().map_or(0, rubato::Resampler::output_frames_max);
        Ok(Self {
            sample_rate_hz,
            fft,
            input: vec![Vec::new(); channels],
            scratch: vec![vec![0.0; scratch_frames]; channels],
            delay_frames,
            silent: true,
            frames_in: 0,
            frames_out: 0,
        })
    }

    fn convert_full(&mut self, output: &mut [Vec<f32>]) {
        let Some(block) = self.fft.as_ref().map(rubato::Resampler::input_frames_next) else {
            return;
        };
        let mut consumed = 0;
        while self
            .input
            .first()
            .is_some_and(|plane| plane.len() - consumed >= block)
        {
            self.convert(output, consumed, None);
            consumed += block;
        }
        for plane in &mut self.input {
            plane.drain(..consumed);
        }
    }

    /// Pushes silence behind the recording until all of it has come out.
    fn flush(&mut self, output: &mut [Vec<f32>]) {
        if self.fft.is_none() {
            return;
        }
        let wanted =
            (self.frames_in * u64::from(SAMPLE_RATE_HZ)).div_ceil(u64::from(self.sample_rate_hz));
        let mut partial = self.input.first().map_or(0, Vec::len);
        while self.frames_out < wanted {
            self.convert(output, 0, Some(partial));
            partial = 0;
        }
        let surplus = usize::try_from(self.frames_out - wanted).expect("at most one block");
        for plane in output {
            plane.truncate(plane.len() - surplus);
        }
    }

    fn convert(&mut self, output: &mut [Vec<f32>], offset: usize, partial: Option<usize>) {
        let Some(fft) = self.fft.as_mut() else { return };
        let channels = self.input.len();
        let (frames_in, frames_out) = (self.input[0].len(), self.scratch[0].len());
        let block = offset..partial.map_or(offset + fft.input_frames_next(), |len| offset + len);
        let silent = self
            .input
            .iter()
            .all(|plane| plane[block.clone()].iter().all(|&it| it == 0.0));
        let produced = if silent && self.silent {
            // Hours of it occur: a channel that nobody joined.
            self.scratch.iter_mut().for_each(|plane| plane.fill(0.0));
            fft.output_frames_next()
        } else {
            let input = SequentialSliceOfVecs::new(&self.input[..], channels, frames_in)
                .expect("planes are of one length");
            let mut scratch =
                SequentialSliceOfVecs::new_mut(&mut self.scratch[..], channels, frames_out)
                    .expect("planes are of one length");
            let mut indexing = Indexing::new().input_offset(offset);
            indexing.partial_len = partial;
            let (_, produced) = fft
                .process_into_buffer(&input, &mut scratch, Some(&indexing))
                .expect("the buffers have the sizes the resampler asked for");
            produced
        };
        self.silent = silent;
        let dropped = self.delay_frames.min(produced);
        self.delay_frames -= dropped;
        self.frames_out += (produced - dropped) as u64;
        for (plane, converted) in output.iter_mut().zip(&self.scratch) {
            plane.extend_from_slice(&converted[dropped..produced]);
        }
    }
}

fn append_clean(planes: &mut [Vec<f32>], more: &[Vec<f32>]) {
    for (plane, more) in planes.iter_mut().zip(more) {
        plane.extend(more.iter().map(|&sample| {
            if sample.is_nan() {
                0.0
            } else {
                sample.clamp(-1.0, 1.0)
            }
        }));
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "samples of tests are few and exact"
)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    fn tone(rate: u32, seconds: f32, hz: f32) -> Vec<f32> {
        let frames = (rate as f32 * seconds) as usize;
        (0..frames)
            .map(|i| 0.5 * (TAU * hz * i as f32 / rate as f32).sin())
            .collect()
    }

    fn convert(rate: u32, plane: &[f32], block: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(1);
        for part in plane.chunks(block) {
            let planes = [part.to_vec()];
            resampler
                .push(&Block {
                    sample_rate_hz: rate,
                    planes: &planes,
                })
                .unwrap();
        }
        resampler.finish();
        resampler.output()[0].clone()
    }

    #[test]
    fn tones_keep_length_time_and_level() {
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
            let converted = convert(rate, &tone(rate, 1.0, 440.0), 777);
            let expected = tone(SAMPLE_RATE_HZ, 1.0, 440.0);
            assert_eq!(converted.len(), expected.len(), "{rate}");
            let worst = converted[800..15_200]
                .iter()
                .zip(&expected[800..15_200])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            // The delay of the filter is taken off in whole samples: half a sample may remain, which
            // at 440 Hz is a difference of 0.09 of the level.
            assert!(worst < 0.09, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn the_size_of_blocks_does_not_matter() {
        let plane = tone(44_100, 0.5, 300.0);
        assert_eq!(convert(44_100, &plane, 1), convert(44_100, &plane, 100_000));
    }

    #[test]
    fn a_change_of_rate_keeps_both_lengths() {
        let mut resampler = Resampler::new(1);
        for rate in [8_000, 48_000] {
            let planes = [tone(rate, 0.25, 440.0)];
            resampler
                .push(&Block {
                    sample_rate_hz: rate,
                    planes: &planes,
                })
                .unwrap();
        }
        resampler.finish();
        assert_eq!(resampler.output()[0].len(), 8_000);
    }

    #[test]
    fn no_samples_and_samples_that_are_no_numbers() {
        assert!(convert(8_000, &[], 1).is_empty());
        assert_eq!(
            convert(16_000, &[f32::NAN, f32::INFINITY, -7.0], 3),
            [0.0, 1.0, -1.0]
        );
    }
}
