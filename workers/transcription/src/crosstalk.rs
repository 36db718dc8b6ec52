//! Keeps one voice from being heard on two channels.
//!
//! A line leaks: each side hears a quiet echo of the other, which an engine would write down as
//! the wrong speaker's words. And many "stereo" recordings are one microphone twice.

use std::collections::VecDeque;

use crate::speech::Frame;

/// A channel is taken for an echo where another was louder by this factor (25 dB). Lines that are
/// not broken damp their echo by 30 dB and more; people on one call differ by less than 20.
const ECHO_POWER_RATIO: f32 = 316.0;
/// How long after the other's voice its echo comes, 256 ms.
const ECHO_FRAMES: usize = 16;
/// Two channels whose difference is this much weaker than they are (30 dB) carry the same sound.
const SAME_POWER_RATIO: f32 = 1e-3;
/// Below (-60 dBFS) a frame says nothing about the channels.
const SOUND_POWER: f32 = 1e-6;

/// What was heard on the channels of one recording up to now.
pub struct Crosstalk {
    recent: Vec<VecDeque<f32>>,
    heard_sound: bool,
    heard_difference: bool,
}

impl Crosstalk {
    pub fn new(channels: u16) -> Self {
        let recent = vec![VecDeque::with_capacity(ECHO_FRAMES); usize::from(channels)];
        Self {
            recent,
            heard_sound: false,
            heard_difference: false,
        }
    }

    /// All channels carried the same sound up to now; never true of a single channel.
    pub fn all_the_same(&self) -> bool {
        self.recent.len() > 1 && self.heard_sound && !self.heard_difference
    }

    /// Takes the same frame of all channels, and sets the score of echoes and copies to 0.
    pub fn suppress(&mut self, frames: &mut [Frame], samples: &[&[f32]]) {
        if frames.len() < 2 {
            return;
        }
        for (recent, frame) in self.recent.iter_mut().zip(frames.iter()) {
            if recent.len() == ECHO_FRAMES {
                recent.pop_front();
            }
            recent.push_back(frame.power);
        }
        let loudness: Vec<f32> = self
            .recent
            .iter()
            .map(|recent| recent.iter().copied().fold(0.0, f32::max))
            .collect();
        let loudest = loudness.iter().copied().fold(0.0, f32::max);
        for channel in 0..frames.len() {
            let echo = loudness[channel] * ECHO_POWER_RATIO < loudest;
            if echo || self.is_copy(channel, frames, samples) {
                frames[channel].score = 0.0;
            }
        }
    }

    /// Whether the frame is on a channel before this one too.
    fn is_copy(&mut self, channel: usize, frames: &[Frame], samples: &[&[f32]]) -> bool {
        let mut copy = false;
        for before in 0..channel {
            let power = frames[channel].power.max(frames[before].power);
            if power < SOUND_POWER {
                continue;
            }
            self.heard_sound = true;
            if difference_power(samples[channel], samples[before]) < power * SAME_POWER_RATIO {
                copy = true;
            } else {
                self.heard_difference = true;
            }
        }
        copy
    }
}

#[expect(clippy::cast_precision_loss, reason = "a frame is 256 samples")]
fn difference_power(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / a.len().max(1) as f32
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "samples of tests are few and exact"
)]
mod tests {
    use super::*;

    fn wave(level: f32, period: f32) -> Vec<f32> {
        (0..256)
            .map(|i| level * (i as f32 / period).sin())
            .collect()
    }

    fn scores(crosstalk: &mut Crosstalk, channels: &[Vec<f32>]) -> Vec<f32> {
        let samples: Vec<&[f32]> = channels.iter().map(Vec::as_slice).collect();
        let silence = vec![0.0; 256];
        let mut frames: Vec<Frame> = samples
            .iter()
            .map(|samples| Frame {
                score: 0.9,
                power: difference_power(samples, &silence),
            })
            .collect();
        crosstalk.suppress(&mut frames, &samples);
        frames.iter().map(|frame| frame.score).collect()
    }

    #[test]
    fn two_voices_both_count() {
        let mut crosstalk = Crosstalk::new(2);
        assert_eq!(
            scores(&mut crosstalk, &[wave(0.5, 7.0), wave(0.1, 5.0)]),
            [0.9, 0.9]
        );
        assert!(!crosstalk.all_the_same());
    }

    #[test]
    fn an_echo_does_not_count_while_and_shortly_after_the_voice() {
        let mut crosstalk = Crosstalk::new(2);
        let (voice, echo) = (wave(0.5, 7.0), wave(0.01, 7.0));
        assert_eq!(scores(&mut crosstalk, &[voice, echo.clone()]), [0.9, 0.0]);
        for _ in 0..ECHO_FRAMES - 1 {
            assert_eq!(
                scores(&mut crosstalk, &[echo.clone(), wave(0.01, 5.0)])[1],
                0.0
            );
        }
        assert_eq!(scores(&mut crosstalk, &[echo, wave(0.01, 5.0)]), [0.9, 0.9]);
    }

    #[test]
    fn one_microphone_twice_counts_once() {
        let mut crosstalk = Crosstalk::new(2);
        assert!(!crosstalk.all_the_same(), "nothing was heard yet");
        assert_eq!(
            scores(&mut crosstalk, &[wave(0.5, 7.0), wave(0.5, 7.0)]),
            [0.9, 0.0]
        );
        assert!(crosstalk.all_the_same());
        scores(&mut crosstalk, &[wave(0.5, 7.0), wave(0.0, 7.0)]);
        assert!(!crosstalk.all_the_same());
    }

    #[test]
    fn a_single_channel_is_left_alone() {
        let mut crosstalk = Crosstalk::new(1);
        assert_eq!(scores(&mut crosstalk, &[wave(0.001, 7.0)]), [0.9]);
        assert!(!crosstalk.all_the_same());
    }
}
