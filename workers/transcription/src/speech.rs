//! Where a channel carries speech, frame by frame.
//!
//! Not the cutting into chunks (`chunks`). The detector is `earshot`, a small neural network in
//! pure Rust.

use crate::resample::SAMPLE_RATE_HZ;

/// The detector's frame.
pub const FRAME_SAMPLES: usize = 256;
/// Length of a frame in milliseconds, exactly.
pub const FRAME_MS: i64 = 16;
const _: () = assert!(
    FRAME_SAMPLES * 1000 == 16 * SAMPLE_RATE_HZ as usize,
    "a frame lasts 16 ms"
);

/// Whole frames in so many milliseconds.
pub const fn frames_in(ms: usize) -> usize {
    ms * SAMPLE_RATE_HZ as usize / 1000 / FRAME_SAMPLES
}

/// A frame quieter than this (-90 dBFS) is digital silence or dither; the detector is not asked.
const SILENCE_POWER: f32 = 1e-9;

/// What one frame of a channel holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// How sure the detector is that this is speech, from 0 to 1.
    pub score: f32,
    /// Mean square of the samples; 1 is full scale.
    pub power: f32,
}

/// The detector of one channel; it remembers the frames before.
pub struct SpeechDetector {
    earshot: Box<earshot::Detector>,
}

impl Default for SpeechDetector {
    fn default() -> Self {
        Self {
            earshot: earshot::Detector::default_boxed(),
        }
    }
}

impl SpeechDetector {
    /// Judges the next frame, of [`FRAME_SAMPLES`] samples from -1 to 1.
    pub fn judge(&mut self, samples: &[f32]) -> Frame {
        let power = mean_square(samples);
        let score = if power < SILENCE_POWER {
            0.0
        } else {
            self.earshot.predict_f32(samples)
        };
        Frame { score, power }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a frame is 256 samples")]
fn mean_square(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32
}
