//! Sentiment by the lexicon, which scores single sentences; turns, speakers and the whole are means of
//! their sentences.

use std::collections::BTreeMap;

use aftercall::documents::analysis::{Sentiment, SentimentScore, SpeakerSentiment, TurnSentiment};
use aftercall::lexicon::{Lexicon, Tally};

pub use aftercall::lexicon::METHOD;

use super::text::Sentence;

/// Judges sentences: of the whole, by speaker and by turn.
pub fn judge(sentences: &[Sentence<'_>]) -> Sentiment {
    let lexicon = Lexicon::load();
    let mut overall = Tally::default();
    let mut speakers: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut turns: Vec<TurnSentiment> = Vec::new();
    for of_turn in sentences.chunk_by(|a, b| std::ptr::eq(a.turn, b.turn)) {
        let turn = of_turn[0].turn;
        let mut tally = Tally::default();
        for sentence in of_turn {
            tally.add(lexicon.compound(sentence.text));
        }
        overall.merge(&tally);
        speakers.entry(&turn.speaker).or_default().merge(&tally);
        turns.push(TurnSentiment {
            turn_index: turn.index,
            sentiment: score(&tally),
        });
    }
    let speakers = speakers
        .into_iter()
        .map(|(speaker, tally)| SpeakerSentiment {
            speaker: speaker.to_owned(),
            sentiment: score(&tally),
        })
        .collect();
    Sentiment {
        overall: score(&overall),
        speakers,
        turns,
    }
}

fn score(tally: &Tally) -> SentimentScore {
    SentimentScore {
        label: tally.label(),
        score: super::rounded(tally.mean()),
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
