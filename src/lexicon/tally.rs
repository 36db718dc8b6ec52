//! From sentences to a label.

use crate::documents::analysis::SentimentLabel;

/// VADER's own threshold between neutral and not.
const NEUTRAL_BELOW: f64 = 0.05;
/// What each side must add up to before a text is mixed: one clearly worded sentence.
const MIXED_SIDE: f64 = 0.4;
/// The weaker side's share of the stronger before a text is mixed.
const MIXED_BALANCE: f64 = 0.5;

/// Adds up the sentences that say something either way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    positive: f64,
    negative: f64,
    sentences: u32,
}

impl Tally {
    /// Counts a sentence by its compound score.
    pub fn add(&mut self, compound: f64) {
        if compound > 0.0 {
            self.positive += compound;
        } else if compound < 0.0 {
            self.negative -= compound;
        } else {
            return;
        }
        self.sentences += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.positive += other.positive;
        self.negative += other.negative;
        self.sentences += other.sentences;
    }

    /// The mean of the sentences that were counted, from -1 to 1.
    pub fn mean(&self) -> f64 {
        let mean = (self.positive - self.negative) / f64::from(self.sentences.max(1));
        mean.clamp(-1.0, 1.0)
    }

    pub fn label(&self) -> SentimentLabel {
        let mean = self.mean();
        let (weak, strong) = (
            self.positive.min(self.negative),
            self.positive.max(self.negative),
        );
        if weak >= MIXED_SIDE && weak >= MIXED_BALANCE * strong {
            SentimentLabel::Mixed
        } else if mean >= NEUTRAL_BELOW {
            SentimentLabel::Positive
        } else if mean <= -NEUTRAL_BELOW {
            SentimentLabel::Negative
        } else {
            SentimentLabel::Neutral
        }
    }
}
