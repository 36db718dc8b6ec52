//! Who spoke when and how much, from the times of turns; defined in `docs/metrics.md`.
//!
//! The figures do not depend on the order in which turns are listed. Times count per recording, so
//! everything is measured within one recording and added up. A speaker of the same name is taken to
//! be the same person in every recording.

mod interruptions;
mod intervals;
mod speakers;

use std::collections::BTreeMap;

use aftercall::documents::analysis::{Provenance, Reason, Talk, field};
use aftercall::documents::transcript::{Transcript, Turn, UNKNOWN_SPEAKER};
use aftercall::ids::RecordingId;

use intervals::{Coverage, Interval};

pub const METHOD: &str = "turn_times";

/// Some 35 years: no recording is longer, and sums of times stay far from overflow.
const MAX_DURATION_MS: i64 = 1 << 40;

/// Measures a transcript; notes in `provenance` how each figure that may be null came about.
pub fn measure(transcript: &Transcript, provenance: &mut Provenance) -> Talk {
    let duration_ms = transcript.duration_ms.clamp(0, MAX_DURATION_MS);
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
    let speakers = speakers::measure(
        transcript,
        &coverage,
        interruptions.as_deref().map_err(|r| *r),
    );
    speakers::note(transcript, &speakers, separated, provenance);
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

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of recordings are far below 2^52"
)]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| super::rounded((part as f64 / whole as f64).clamp(0.0, 1.0)))
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
    fn the_longest_times_do_not_overflow() {
        let mut call = transcript(&[("a", 0, i64::MAX, "all"), ("b", 0, i64::MAX, "of it")]);
        let (talk, _) = measured(&call);
        assert_eq!(talk.overlap_ms, Some(talk.duration_ms));
        call.turns[1].recording_id = RecordingId::generate();
        assert_eq!(measured(&call).0.silence_ms, 0);
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
