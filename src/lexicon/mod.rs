//! How English text feels, by the VADER lexicon (Hutto and Gilbert, ICWSM 2014).
//!
//! The lexicon scores single sentences; a text is the sum of its sentences. Both the analysis of a
//! transcript and the counting of calls judge by what is here, so that they agree. Not here: what is
//! judged, and what becomes of it.
//!
//! Invariant: pure code, whose time grows linearly with the text; no content makes it panic.

mod sentences;
mod tally;

pub use sentences::{reads, sentences};
pub use tally::Tally;

use std::fmt;
use std::sync::Arc;

use vader_parity::SentimentIntensityAnalyzer;

/// Name of the method, for documents.
pub const METHOD: &str = "vader-3.3.2";

/// The lexicon. Loading it costs milliseconds, so there is one a process; clones share it.
#[derive(Clone)]
pub struct Lexicon(Arc<SentimentIntensityAnalyzer>);

impl Lexicon {
    pub fn load() -> Self {
        Self(Arc::new(SentimentIntensityAnalyzer::new()))
    }

    /// Adds up the sentences of a text.
    pub fn judge(&self, text: &str) -> Tally {
        let mut tally = Tally::default();
        for (_, sentence) in sentences(text) {
            tally.add(self.compound(sentence));
        }
        tally
    }

    /// From -1, negative, to 1, positive; 0 for a sentence that says nothing either way.
    pub fn compound(&self, sentence: &str) -> f64 {
        self.0.polarity_scores(sentence).compound
    }
}

impl fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lexicon")
    }
}
