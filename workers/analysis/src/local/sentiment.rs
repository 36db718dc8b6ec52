//! Sentiment by the VADER lexicon (Hutto and Gilbert, ICWSM 2014), which scores single sentences;
//! turns, speakers and the whole are means of their sentences.

use std::collections::BTreeMap;

use aftercall::documents::analysis::{
    Sentiment, SentimentLabel, SentimentScore, SpeakerSentiment, TurnSentiment,
};
use vader_parity::SentimentIntensityAnalyzer;

use super::text::Sentence;

pub const METHOD: &str = "vader-3.3.2";

/// VADER's own threshold between neutral and not.
const NEUTRAL_BELOW: f64 = 0.05;
/// What each side must add up to before a text is mixed: one clearly worded sentence.
const MIXED_SIDE: f64 = 0.4;
/// The weaker side's share of the stronger before a text is mixed.
const MIXED_BALANCE: f64 = 0.5;

/// Judges sentences: of the whole, by speaker and by turn.
pub fn judge(sentences: &[Sentence<'_>]) -> Sentiment {
    let lexicon = SentimentIntensityAnalyzer::new();
    let mut overall = Tally::default();
    let mut speakers: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut turns: Vec<TurnSentiment> = Vec::new();
    for of_turn in sentences.chunk_by(|a, b| std::ptr::eq(a.turn, b.turn)) {
        let turn = of_turn[0].turn;
        let mut tally = Tally::default();
        for sentence in of_turn {
            tally.add(lexicon.polarity_scores(sentence.text).compound);
        }
        overall.merge(&tally);
        speakers.entry(&turn.speaker).or_default().merge(&tally);
        turns.push(TurnSentiment {
            turn_index: turn.index,
            sentiment: tally.score(),
        });
    }
    let speakers = speakers
        .into_iter()
        .map(|(speaker, tally)| SpeakerSentiment {
            speaker: speaker.to_owned(),
            sentiment: tally.score(),
        })
        .collect();
    Sentiment {
        overall: overall.score(),
        speakers,
        turns,
    }
}

/// Adds up the sentences that say something either way.
#[derive(Clone, Copy, Default)]
struct Tally {
    positive: f64,
    negative: f64,
    sentences: u32,
}

impl Tally {
    fn add(&mut self, compound: f64) {
        if compound > 0.0 {
            self.positive += compound;
        } else if compound < 0.0 {
            self.negative -= compound;
        } else {
            return;
        }
        self.sentences += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.positive += other.positive;
        self.negative += other.negative;
        self.sentences += other.sentences;
    }

    fn score(&self) -> SentimentScore {
        let mean = (self.positive - self.negative) / f64::from(self.sentences.max(1));
        let (weak, strong) = (
            self.positive.min(self.negative),
            self.positive.max(self.negative),
        );
        let label = if weak >= MIXED_SIDE && weak >= MIXED_BALANCE * strong {
            SentimentLabel::Mixed
        } else if mean >= NEUTRAL_BELOW {
            SentimentLabel::Positive
        } else if mean <= -NEUTRAL_BELOW {
            SentimentLabel::Negative
        } else {
            SentimentLabel::Neutral
        };
        SentimentScore {
            label,
            score: super::rounded(mean.clamp(-1.0, 1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use aftercall::documents::analysis::SentimentLabel::{Mixed, Negative, Neutral, Positive};

    use super::judge;
    use crate::local::tests::transcript;
    use crate::local::text::sentences;

    #[test]
    fn turns_speakers_and_the_whole_are_judged() {
        let call = transcript(&[
            ("speaker_0", 0, 1_000, "This is wonderful. I love it!"),
            (
                "speaker_1",
                1_000,
                2_000,
                "That is terrible, I hate waiting.",
            ),
            ("speaker_0", 2_000, 3_000, "The door is at the back."),
            ("speaker_0", 3_000, 3_500, "…"),
        ]);
        let sentiment = judge(&sentences(&call.turns));
        let turns: Vec<_> = sentiment
            .turns
            .iter()
            .map(|t| (t.turn_index, t.sentiment.label))
            .collect();
        assert_eq!(turns, [(0, Positive), (1, Negative), (2, Neutral)]);
        assert!((sentiment.turns[2].sentiment.score).abs() < f64::EPSILON);
        let speakers: Vec<_> = sentiment
            .speakers
            .iter()
            .map(|s| (s.speaker.as_str(), s.sentiment.label))
            .collect();
        assert_eq!(speakers, [("speaker_0", Positive), ("speaker_1", Negative)]);
        assert_eq!(sentiment.overall.label, Mixed);
    }

    #[test]
    fn one_weak_word_against_many_strong_ones_is_not_mixed() {
        let call = transcript(&[(
            "speaker_0",
            0,
            1_000,
            "I love it. It is great. Wonderful work. No problem with the bad weather.",
        )]);
        assert_eq!(judge(&sentences(&call.turns)).overall.label, Positive);
    }
}
