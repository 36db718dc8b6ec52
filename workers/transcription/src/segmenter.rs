//! Cuts one channel at its pauses into stretches of speech.
//!
//! Pure bookkeeping over frames that were judged already: no decoding, no detector, no clock.
//!
//! Invariant: the stretches of a channel are in order and do not overlap, none is longer than
//! [`MAX_FRAMES`], and every run of at least [`MIN_VOICED_FRAMES`] voiced frames lies within them.
//! The same frames give the same stretches.

use std::collections::VecDeque;

use crate::speech::{FRAME_SAMPLES, Frame, frames_in};

/// The longest stretch, 28 s: Whisper hears windows of 30 s and loses words where one ends.
pub const MAX_FRAMES: usize = frames_in(28_000);
/// A pause that ends a stretch, 0.5 s: longer than the gaps within a sentence, shorter than the
/// time it takes the other side to answer with a word.
pub const PAUSE_FRAMES: usize = frames_in(500);
/// Voiced frames in a row that start a stretch, 48 ms: clicks are shorter, no word is.
pub const ONSET_FRAMES: usize = 3;
/// Kept before and after speech, 160 ms: breathy first and last consonants score low, and engines
/// miss a word that starts with the file.
const MARGIN_FRAMES: usize = frames_in(160);
/// A stretch that must be cut is cut in its second half, so that no part is a scrap.
const CUT_FROM_FRAME: usize = MAX_FRAMES / 2;
/// The quietest point is looked for over about a syllable's gap.
const QUIET_FRAMES: usize = 5;
/// Less voice than this between two pauses, 96 ms, is a cough or a knock, and is dropped.
pub const MIN_VOICED_FRAMES: usize = 6;

/// Above it a frame is speech where there was none before.
const ONSET_SCORE: f32 = 0.5;
/// Above it a frame goes on being speech; words trail off.
const ONGOING_SCORE: f32 = 0.4;

/// A stretch of speech with its margins.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// First frame that is kept, counted from the start of the channel.
    pub start_frame: usize,
    /// The frame after the last that is kept.
    pub end_frame: usize,
    /// First voiced frame.
    pub speech_start_frame: usize,
    /// The frame after the last voiced one.
    pub speech_end_frame: usize,
    /// The samples from `start_frame` to `end_frame`.
    pub samples: Vec<f32>,
}

/// The state of one channel. Holds the open stretch, or the margin before the next one.
#[derive(Default)]
pub struct Segmenter {
    /// Frame number of the first frame that is held.
    first_frame: usize,
    frames: VecDeque<Held>,
    samples: VecDeque<f32>,
    /// Voiced frames in a row while nothing is open.
    onset_run: usize,
    open: bool,
    /// The open stretch follows on a cut.
    continued: bool,
}

struct Held {
    power: f32,
    voiced: bool,
}

impl Segmenter {
    /// Takes the next frame; gives the stretch that it ended, if any.
    pub fn push(&mut self, frame: Frame, samples: &[f32]) -> Option<Stretch> {
        debug_assert_eq!(samples.len(), FRAME_SAMPLES);
        let voiced = frame.score
            >= if self.open {
                ONGOING_SCORE
            } else {
                ONSET_SCORE
            };
        self.frames.push_back(Held {
            power: frame.power,
            voiced,
        });
        self.samples.extend(samples);
        if self.open {
            self.close_at_pause().or_else(|| self.cut_if_full())
        } else {
            self.wait_for_onset(voiced);
            None
        }
    }

    /// Gives the stretch that is open when the channel ends.
    pub fn finish(&mut self) -> Option<Stretch> {
        if self.open { self.close() } else { None }
    }

    fn wait_for_onset(&mut self, voiced: bool) {
        self.onset_run = if voiced { self.onset_run + 1 } else { 0 };
        if self.onset_run >= ONSET_FRAMES {
            self.open = true;
            self.continued = false;
            self.onset_run = 0;
            self.forget_voice_before_onset();
        } else {
            let surplus = self
                .frames
                .len()
                .saturating_sub(MARGIN_FRAMES + ONSET_FRAMES - 1);
            self.discard(surplus);
        }
    }

    /// Voiced frames in the margin that started nothing are no speech.
    fn forget_voice_before_onset(&mut self) {
        let margin = self.frames.len() - ONSET_FRAMES;
        for frame in self.frames.iter_mut().take(margin) {
            frame.voiced = false;
        }
    }

    fn close_at_pause(&mut self) -> Option<Stretch> {
        let silent = self
            .frames
            .iter()
            .rev()
            .take_while(|frame| !frame.voiced)
            .count();
        if silent < PAUSE_FRAMES {
            None
        } else {
            self.close()
        }
    }

    /// Ends the open stretch a margin after its last voiced frame; what is left is silence.
    fn close(&mut self) -> Option<Stretch> {
        self.open = false;
        let end = self.frames.iter().rposition(|frame| frame.voiced)? + 1 + MARGIN_FRAMES;
        let stretch = self.take(end.min(self.frames.len()));
        self.discard(self.frames.len().saturating_sub(MARGIN_FRAMES));
        stretch
    }

    fn cut_if_full(&mut self) -> Option<Stretch> {
        if self.frames.len() < MAX_FRAMES {
            return None;
        }
        let stretch = self.take(self.quietest_frame());
        self.open = self.frames.iter().any(|frame| frame.voiced);
        self.continued = true;
        stretch
    }

    /// Where a full stretch is cut: the frame with the least sound around it.
    fn quietest_frame(&self) -> usize {
        let loudness = |at: usize| -> f32 {
            let around = at - QUIET_FRAMES / 2..=at + QUIET_FRAMES / 2;
            self.frames.range(around).map(|frame| frame.power).sum()
        };
        (CUT_FROM_FRAME..self.frames.len() - QUIET_FRAMES / 2)
            .min_by(|&a, &b| loudness(a).total_cmp(&loudness(b)))
            .unwrap_or(self.frames.len())
    }

    /// Removes the first `len` frames, as a stretch if they hold enough voice.
    fn take(&mut self, len: usize) -> Option<Stretch> {
        let frames: Vec<Held> = self.frames.drain(..len).collect();
        let samples: Vec<f32> = self.samples.drain(..len * FRAME_SAMPLES).collect();
        let start_frame = self.first_frame;
        self.first_frame += len;
        let voiced = frames.iter().filter(|frame| frame.voiced).count();
        if voiced < MIN_VOICED_FRAMES && !self.continued {
            return None;
        }
        let first = frames.iter().position(|frame| frame.voiced)?;
        let last = frames.iter().rposition(|frame| frame.voiced)?;
        Some(Stretch {
            start_frame,
            end_frame: start_frame + len,
            speech_start_frame: start_frame + first,
            speech_end_frame: start_frame + last + 1,
            samples,
        })
    }

    fn discard(&mut self, frames: usize) {
        self.frames.drain(..frames);
        self.samples.drain(..frames * FRAME_SAMPLES);
        self.first_frame += frames;
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "samples of tests are few and exact"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(frames: &[Frame]) -> Vec<Stretch> {
        let mut segmenter = Segmenter::default();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (number, &frame) in frames.iter().enumerate() {
            stretches.extend(segmenter.push(frame, &[number as f32; FRAME_SAMPLES]));
        }
        stretches.extend(segmenter.finish());
        stretches
    }

    fn voice(frames: usize) -> Vec<Frame> {
        vec![
            Frame {
                score: 0.9,
                power: 0.01
            };
            frames
        ]
    }

    fn silence(frames: usize) -> Vec<Frame> {
        vec![
            Frame {
                score: 0.1,
                power: 1e-8
            };
            frames
        ]
    }

    fn ranges(frames: &[Vec<Frame>]) -> Vec<(usize, usize)> {
        run(&frames.concat())
            .iter()
            .map(|it| (it.start_frame, it.end_frame))
            .collect()
    }

    #[test]
    fn a_stretch_has_margins_and_knows_where_speech_is() {
        let stretches = run(&[silence(100), voice(50), silence(100)].concat());
        let [only] = &stretches[..] else {
            panic!("one stretch, not {}", stretches.len())
        };
        assert_eq!((only.start_frame, only.end_frame), (90, 160));
        assert_eq!((only.speech_start_frame, only.speech_end_frame), (100, 150));
        assert_eq!(only.samples.len(), 70 * FRAME_SAMPLES);
        assert_eq!(only.samples[0], 90.0);
    }

    #[test]
    fn short_gaps_stay_within_and_pauses_cut() {
        let gap = [voice(40), silence(PAUSE_FRAMES - 1), voice(40)];
        assert_eq!(ranges(&gap), [(0, 110)]);
        let pause = [voice(40), silence(PAUSE_FRAMES), voice(40)];
        assert_eq!(ranges(&pause), [(0, 50), (61, 111)]);
    }

    #[test]
    fn knocks_silence_and_nothing_give_nothing() {
        assert!(ranges(&[]).is_empty());
        assert!(ranges(&[silence(5_000)]).is_empty());
        let knocks = [
            silence(50),
            voice(2),
            silence(50),
            voice(MIN_VOICED_FRAMES - 1),
        ];
        assert!(ranges(&knocks).is_empty());
    }

    #[test]
    fn speech_up_to_the_first_and_last_frame_is_kept() {
        assert_eq!(ranges(&[voice(100)]), [(0, 100)]);
    }

    #[test]
    fn a_long_stretch_is_cut_where_it_is_quietest() {
        let mut frames = voice(MAX_FRAMES + 500);
        for frame in &mut frames[1_200..1_205] {
            frame.power = 1e-6;
        }
        assert_eq!(ranges(&[frames]), [(0, 1_202), (1_202, MAX_FRAMES + 500)]);
    }

    #[test]
    fn the_end_of_a_word_after_a_cut_is_kept() {
        let mut frames = voice(MAX_FRAMES + 1);
        frames[MAX_FRAMES - 4..MAX_FRAMES].fill(Frame {
            score: 0.9,
            power: 1e-6,
        });
        let stretches = ranges(&[frames, silence(100)]);
        assert_eq!(stretches.len(), 2);
        assert_eq!(stretches[0].1, stretches[1].0);
    }

    prop_compose! {
        fn any_run()(len in 1_usize..400, score in 0.0_f32..1.0, power in 0.0_f32..0.1) -> Vec<Frame> {
            vec![Frame { score, power }; len]
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_is_lost_doubled_or_too_long(runs in prop::collection::vec(any_run(), 0..30)) {
            let frames = runs.concat();
            let stretches = run(&frames);
            let mut covered = vec![false; frames.len()];
            let mut end = 0;
            for stretch in &stretches {
                prop_assert!(stretch.start_frame >= end);
                prop_assert!(stretch.start_frame <= stretch.speech_start_frame);
                prop_assert!(stretch.speech_start_frame < stretch.speech_end_frame);
                prop_assert!(stretch.speech_end_frame <= stretch.end_frame);
                let len = stretch.end_frame - stretch.start_frame;
                prop_assert!(len <= MAX_FRAMES);
                prop_assert_eq!(stretch.samples.len(), len * FRAME_SAMPLES);
                for (offset, samples) in stretch.samples.chunks(FRAME_SAMPLES).enumerate() {
                    prop_assert_eq!(samples[0], (stretch.start_frame + offset) as f32);
                }
                end = stretch.end_frame;
                covered[stretch.start_frame..end].fill(true);
            }
            prop_assert!(end <= frames.len());
            let mut start = 0;
            for run in frames.chunk_by(|a, b| (a.score >= ONSET_SCORE) == (b.score >= ONSET_SCORE)) {
                if run[0].score >= ONSET_SCORE && run.len() >= MIN_VOICED_FRAMES {
                    prop_assert!(covered[start..start + run.len()].iter().all(|&it| it));
                }
                start += run.len();
            }
            prop_assert_eq!(run(&frames), stretches);
        }
    }
}
