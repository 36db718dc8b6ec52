//! The figures of each speaker.

use std::collections::BTreeMap;

use aftercall::documents::analysis::{Interruption, Provenance, Reason, SpeakerTalk, field};
use aftercall::documents::transcript::Transcript;
use unicode_segmentation::UnicodeSegmentation;

use super::intervals::Coverage;
use super::{METHOD, ratio};
use crate::local::language;

/// Measures each speaker; figures of two are given where `interruptions` are.
pub fn measure(
    transcript: &Transcript,
    coverage: &Coverage<'_>,
    interruptions: Result<&[Interruption], Reason>,
) -> Vec<SpeakerTalk> {
    let separates_words = language::separates_words(transcript);
    let mut counts: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for turn in &transcript.turns {
        let (turns, words) = counts.entry(&turn.speaker).or_default();
        *turns = turns.saturating_add(1);
        if separates_words {
            *words += turn.text.unicode_words().map(|_| 1_u64).sum::<u64>();
        }
    }
    let mut made: BTreeMap<&str, u32> = BTreeMap::new();
    for interruption in interruptions.into_iter().flatten() {
        *made.entry(&interruption.speaker).or_default() += 1;
    }
    let all_talk_ms: i64 = coverage.talk_ms.values().sum();
    counts
        .into_iter()
        .map(|(speaker, (turns, words))| {
            let talk_ms = coverage.talk_ms.get(speaker).copied().unwrap_or_default();
            let words = separates_words.then_some(words);
            let told_apart = interruptions.is_ok();
            SpeakerTalk {
                speaker: speaker.to_owned(),
                turns,
                words,
                talk_ms,
                listen_ms: told_apart.then_some(coverage.speech_ms - talk_ms),
                talk_ratio: told_apart.then(|| ratio(talk_ms, all_talk_ms)).flatten(),
                words_per_minute: words.and_then(|words| per_minute(words, talk_ms)),
                interruptions: told_apart.then(|| made.get(speaker).copied().unwrap_or_default()),
            }
        })
        .collect()
}

/// Notes the figures of speakers, of which one reason holds for all.
pub fn note(
    transcript: &Transcript,
    speakers: &[SpeakerTalk],
    separated: Result<(), Reason>,
    provenance: &mut Provenance,
) {
    if speakers.is_empty() {
        return;
    }
    let words = if language::separates_words(transcript) {
        Ok(())
    } else {
        Err(Reason::WordsNotSeparated)
    };
    let all = |holds: fn(&SpeakerTalk) -> bool| {
        if speakers.iter().all(holds) {
            Ok(())
        } else {
            Err(Reason::NoTalkTime)
        }
    };
    for (field, judged) in [
        (field::SPEAKER_WORDS, words),
        (field::SPEAKER_LISTEN, separated),
        (
            field::SPEAKER_TALK_RATIO,
            separated.and(all(|s| s.talk_ratio.is_some())),
        ),
        (
            field::SPEAKER_RATE,
            words.and(all(|s| s.words_per_minute.is_some())),
        ),
        (field::SPEAKER_INTERRUPTIONS, separated),
    ] {
        provenance.record(field, METHOD, judged);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "words and milliseconds are far below 2^52"
)]
fn per_minute(words: u64, talk_ms: i64) -> Option<f64> {
    const MS_PER_MINUTE: f64 = 60_000.0;
    (talk_ms > 0).then(|| (words as f64 * MS_PER_MINUTE / talk_ms as f64 * 10.0).round() / 10.0)
}
