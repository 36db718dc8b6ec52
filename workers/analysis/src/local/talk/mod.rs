//! Who spoke when and how much, from the times of turns; defined in `docs/metrics.md`.
//!
//! The figures do not depend on the order in which turns are listed. Times count per recording, so
//! everything is measured within one recording and added up. A speaker of the same name is taken to
//! be the same person in every recording.

mod interruptions;
mod intervals;

use std::collections::BTreeMap;

use aftercall::documents::analysis::{Interruption, Provenance, Reason, SpeakerTalk, Talk, field};
use aftercall::documents::transcript::{Transcript, Turn, UNKNOWN_SPEAKER};
use aftercall::ids::RecordingId;
use unicode_segmentation::UnicodeSegmentation;

use super::language;
use intervals::{Coverage, Interval};

pub const METHOD: &str = "turn_times";

/// Measures a transcript; notes in `provenance` how each figure that may be null came about.
pub fn measure(transcript: &Transcript, provenance: &mut Provenance) -> Talk {
    let duration_ms = transcript.duration_ms.max(0);
    let mut recordings: BTreeMap<RecordingId, Vec<Timed<'_>>> = BTreeMap::new();
    for turn in &transcript.turns {
        recordings
            .entry(turn.recording_id)
            .or_default()
            .push(Timed::of(turn, duration_ms));
    }
    let coverage = recordings
        .values()
        .map(|turns| Coverage::of(turns))
        .fold(Coverage::default(), Coverage::plus);
    let silence_ms = (duration_ms - coverage.speech_ms).max(0);
    let separated = separated(transcript);
    let interruptions = separated.map(|()| {
        let mut found: Vec<_> = recordings
            .values_mut()
            .flat_map(|turns| interruptions::find(turns))
            .collect();
        found.sort_by_key(|found| (found.turn_index, found.recording_id));
        found
    });
    let speakers = speakers(
        transcript,
        &coverage,
        interruptions.as_deref().map_err(|r| *r),
    );
    note_speakers(transcript, &speakers, separated, provenance);
    Talk {
        duration_ms,
        speech_ms: coverage.speech_ms,
        silence_ms,
        silence_ratio: provenance.record(
            field::SILENCE_RATIO,
            METHOD,
            ratio(silence_ms, duration_ms).ok_or(Reason::NoDuration),
        ),
        overlap_ms: provenance.record(
            field::OVERLAP,
            METHOD,
            separated.map(|()| coverage.overlap_ms),
        ),
        speakers,
        interruptions: provenance.record(field::INTERRUPTIONS, METHOD, interruptions),
    }
}

/// A turn with its times forced into the recording: not negative, not after the end, not reversed.
#[derive(Clone, Copy)]
struct Timed<'a> {
    turn: &'a Turn,
    interval: Interval,
}

impl<'a> Timed<'a> {
    fn of(turn: &'a Turn, duration_ms: i64) -> Self {
        let start = turn.start_ms.clamp(0, duration_ms);
        Self {
            turn,
            interval: Interval {
                start,
                end: turn.end_ms.clamp(start, duration_ms),
            },
        }
    }
}

/// Whether two or more speakers are told apart.
fn separated(transcript: &Transcript) -> Result<(), Reason> {
    let mut speakers = transcript.turns.iter().map(|turn| turn.speaker.as_str());
    let Some(first) = speakers.next() else {
        return Err(Reason::NoSpeech);
    };
    if transcript
        .turns
        .iter()
        .any(|turn| turn.speaker == UNKNOWN_SPEAKER)
    {
        Err(Reason::SpeakersNotSeparated)
    } else if speakers.all(|speaker| speaker == first) {
        Err(Reason::OneSpeaker)
    } else {
        Ok(())
    }
}

fn speakers(
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
fn note_speakers(
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
    reason = "milliseconds of recordings are far below 2^52"
)]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| super::rounded((part as f64 / whole as f64).clamp(0.0, 1.0)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "words and milliseconds are far below 2^52"
)]
fn per_minute(words: u64, talk_ms: i64) -> Option<f64> {
    const MS_PER_MINUTE: f64 = 60_000.0;
    (talk_ms > 0).then(|| (words as f64 * MS_PER_MINUTE / talk_ms as f64 * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use aftercall::documents::analysis::{Provenance, Talk};
    use aftercall::documents::transcript::Transcript;
    use aftercall::ids::RecordingId;

    use super::measure;
    use crate::local::tests::transcript;

    fn measured(transcript: &Transcript) -> (Talk, Provenance) {
        let mut provenance = Provenance::default();
        (measure(transcript, &mut provenance), provenance)
    }

    #[test]
    fn talk_listen_overlap_and_silence_add_up() {
        let mut call = transcript(&[
            ("speaker_0", 0, 4_000, "one two three four"),
            ("speaker_1", 3_000, 6_000, "one two three"),
            ("speaker_0", 8_000, 9_000, "one"),
        ]);
        call.duration_ms = 10_000;
        let (talk, provenance) = measured(&call);
        assert_eq!(
            (talk.speech_ms, talk.silence_ms, talk.overlap_ms),
            (7_000, 3_000, Some(1_000))
        );
        assert_eq!(talk.silence_ratio, Some(0.3));
        let [first, second] = talk.speakers.as_slice() else {
            panic!("two speakers")
        };
        assert_eq!(
            (first.talk_ms, first.listen_ms, first.turns),
            (5_000, Some(2_000), 2)
        );
        assert_eq!(
            (second.talk_ms, second.listen_ms, second.turns),
            (3_000, Some(4_000), 1)
        );
        assert_eq!(
            (first.talk_ratio, second.talk_ratio),
            (Some(0.625), Some(0.375))
        );
        assert_eq!(
            (first.words_per_minute, second.words_per_minute),
            (Some(60.0), Some(60.0))
        );
        assert_eq!(
            (first.interruptions, second.interruptions),
            (Some(0), Some(1))
        );
        assert!(provenance.unavailable.is_empty(), "{provenance:?}");
    }

    #[test]
    fn recordings_are_measured_apart_and_added_up() {
        let mut call = transcript(&[
            ("speaker_0", 0, 4_000, "first recording"),
            ("speaker_1", 0, 4_000, "second recording"),
        ]);
        call.turns[1].recording_id = RecordingId::generate();
        call.duration_ms = 10_000;
        let (talk, _) = measured(&call);
        assert_eq!(
            (talk.speech_ms, talk.silence_ms, talk.overlap_ms),
            (8_000, 2_000, Some(0))
        );
        assert_eq!(talk.interruptions, Some(Vec::new()));
    }

    #[test]
    fn one_unknown_speaker_and_one_speaker_alone_have_no_figures_of_two() {
        for (speaker, code) in [
            ("unknown", "speakers_not_separated"),
            ("speaker_1", "one_speaker"),
        ] {
            let call = transcript(&[
                (speaker, 0, 1_000, "hello there"),
                (speaker, 2_000, 3_000, "you"),
            ]);
            let (talk, provenance) = measured(&call);
            assert_eq!((talk.overlap_ms, &talk.interruptions), (None, &None));
            let alone = &talk.speakers[0];
            assert_eq!(
                (alone.listen_ms, alone.talk_ratio, alone.interruptions),
                (None, None, None)
            );
            assert_eq!((alone.words, alone.words_per_minute), (Some(3), Some(90.0)));
            for field in [
                "talk.overlap_ms",
                "talk.interruptions",
                "talk.speakers.talk_ratio",
            ] {
                assert_eq!(provenance.unavailable[field].code, code);
            }
        }
    }

    #[test]
    fn nobody_speaking_is_silence_and_no_length_is_no_ratio() {
        let mut call = transcript(&[]);
        call.duration_ms = 5_000;
        let (talk, provenance) = measured(&call);
        assert_eq!(
            (talk.silence_ms, talk.silence_ratio, talk.speech_ms),
            (5_000, Some(1.0), 0)
        );
        assert_eq!(
            provenance.unavailable["talk.interruptions"].code,
            "no_speech"
        );
        call.duration_ms = -7;
        let (talk, provenance) = measured(&call);
        assert_eq!((talk.duration_ms, talk.silence_ratio), (0, None));
        assert_eq!(
            provenance.unavailable["talk.silence_ratio"].code,
            "no_duration"
        );
    }

    #[test]
    fn impossible_times_are_forced_into_the_recording() {
        let mut call = transcript(&[
            ("a", i64::MIN, i64::MAX, "all"),
            ("b", 900, 100, "reversed"),
            ("b", 2_000, 3_000, "after the end"),
        ]);
        call.duration_ms = 1_000;
        let (talk, provenance) = measured(&call);
        assert_eq!(
            (talk.speech_ms, talk.silence_ms, talk.overlap_ms),
            (1_000, 0, Some(0))
        );
        assert_eq!(talk.speakers[1].words_per_minute, None);
        assert_eq!(
            provenance.unavailable["talk.speakers.words_per_minute"].code,
            "no_talk_time"
        );
    }
}
