//! The local engine: a lexicon and rules, no model and no network.
//!
//! One file per finding; `text` cuts turns into sentences and words for all of them, `language`
//! says which of them may read the transcript. Every rule and figure is defined in
//! `docs/metrics.md`, which changes with the code. Not here: judgements that need understanding
//! (topics, outcome, risk), which are null with a reason.
//!
//! # Invariants
//! [`analyze`] is pure: the same transcript gives the same document, byte for byte. Text is data:
//! no content makes it panic. Its time and memory grow linearly with the transcript, save for the
//! sentence graph, whose size is capped (see [`summary`]).

pub mod action_items;
mod due;
mod language;
pub mod phrases;
pub mod questions;
pub mod sentiment;
mod stop_words;
pub mod summary;
pub mod talk;
pub mod text;

use std::collections::BTreeMap;

use aftercall::documents::analysis::{Analysis, Engine, Provenance, Reason, VERSION, field};
use aftercall::documents::transcript::Transcript;

use text::Sentence;

/// Name of the engine in documents and settings.
pub const NAME: &str = "local";
/// Counts the changes of rules and figures: another version may judge the same transcript
/// differently.
pub const ENGINE_VERSION: &str = "1";
/// What the engine is, for the people who read its results.
pub const LABEL: &str = "word list and fixed rules, run locally; no language model";

/// Judges a transcript.
pub fn analyze(transcript: &Transcript) -> Analysis {
    let mut provenance = Provenance::default();
    let talk = talk::measure(transcript, &mut provenance);
    let readable = language::readable(transcript);
    let sentences = if readable.is_ok() {
        text::sentences(&transcript.turns)
    } else {
        Vec::new()
    };
    let judge = Judge {
        readable,
        sentences: &sentences,
    };

    let summary = judge.with(summary::summarize);
    let sentiment = judge.with(|sentences| Ok(sentiment::judge(sentences)));
    let key_phrases = judge.with(|sentences| Ok(phrases::extract(sentences)));
    let action_items = judge.with(|sentences| Ok(action_items::find(sentences)));
    let questions = judge.with(|sentences| Ok(questions::find(sentences)));
    for needs_model in [field::TOPICS, field::OUTCOME, field::RISK_FLAGS] {
        provenance.missing(needs_model, Reason::NeedsModel);
    }

    Analysis {
        version: VERSION,
        session_id: transcript.session_id,
        transcript_generation: transcript.generation,
        language: transcript.language.clone(),
        summary: provenance.record(field::SUMMARY, summary::METHOD, summary),
        sentiment: provenance.record(field::SENTIMENT, sentiment::METHOD, sentiment),
        topics: None,
        key_phrases: provenance.record(field::KEY_PHRASES, phrases::METHOD, key_phrases),
        action_items: provenance.record(field::ACTION_ITEMS, action_items::METHOD, action_items),
        questions: provenance.record(field::QUESTIONS, questions::METHOD, questions),
        outcome: None,
        risk_flags: None,
        talk,
        custom_fields: BTreeMap::new(),
        provenance,
        engine: Engine {
            name: NAME.to_owned(),
            version: ENGINE_VERSION.to_owned(),
            model: None,
            prompt_version: None,
            label: LABEL.to_owned(),
        },
        cost: None,
    }
}

/// Lets a finding read the sentences only where the transcript can be read.
struct Judge<'a> {
    readable: Result<(), Reason>,
    sentences: &'a [Sentence<'a>],
}

impl Judge<'_> {
    fn with<T>(
        &self,
        finding: impl FnOnce(&[Sentence<'_>]) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        self.readable.and_then(|()| finding(self.sentences))
    }
}

/// Four decimals: enough to compare, and the same on every machine.
fn rounded(value: f64) -> f64 {
    // Adding zero turns -0 into 0.
    (value * 10_000.0).round() / 10_000.0 + 0.0
}

#[cfg(test)]
pub(crate) mod tests;
