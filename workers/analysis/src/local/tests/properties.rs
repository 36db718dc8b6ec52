//! What must hold for any transcript.

use aftercall::documents::transcript::{Transcript, Turn};
use aftercall::ids::RecordingId;
use proptest::prelude::*;
use uuid::Uuid;

use super::{checked, transcript, turn};
use crate::local::analyze;

fn any_text() -> impl Strategy<Value = String> {
    let said = prop::sample::select(vec![
        "Please send the report by Friday.",
        "I'll call you at 3 p.m.",
        "What time is it?",
        "Mm-hmm.",
        "’",
        "\u{0}\u{7}",
        "Dr.",
        "🙂🙂 terrible!!!",
        "i will be",
        "don't forget to",
        "End of the",
    ]);
    let piece = prop_oneof![said.prop_map(str::to_owned), any::<String>(), "\\PC{0,40}"];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.join(" "))
}

fn any_transcript() -> impl Strategy<Value = Transcript> {
    let speaker = prop::sample::select(vec!["speaker_0", "speaker_1", "speaker_2", "unknown", ""]);
    let time = prop_oneof![9 => -100_i64..20_000, 1 => any::<i64>()];
    let turn_of = (speaker, 0_u128..2, time.clone(), time.clone(), any_text());
    let language = prop::option::of(prop::sample::select(vec!["en", "de", "zh", "", "-"]));
    (prop::collection::vec(turn_of, 0..12), language, time).prop_map(
        |(turns, language, duration_ms)| {
            let turns =
                (0..)
                    .zip(turns)
                    .map(
                        |(index, (speaker, recording, start_ms, end_ms, text))| Turn {
                            recording_id: RecordingId(Uuid::from_u128(recording)),
                            ..turn(index, speaker, start_ms, end_ms, &text)
                        },
                    );
            let mut any = transcript(&[]);
            any.turns = turns.collect();
            any.language = language.map(str::to_owned);
            any.duration_ms = duration_ms;
            any
        },
    )
}

proptest! {
    #[test]
    fn any_transcript_gives_a_valid_document_twice_the_same(any in any_transcript()) {
        let analysis = analyze(&any);
        checked(&analysis);
        prop_assert_eq!(&analysis, &analyze(&any));
        let quotes = analysis.questions.iter().flatten().map(|q| &q.quote)
            .chain(analysis.action_items.iter().flatten().map(|item| &item.quote))
            .chain(analysis.summary.iter().flatten().flat_map(|s| &s.quotes));
        for quote in quotes {
            prop_assert!(any.turns[quote.turn_index as usize].text.contains(&quote.text));
        }
    }

    #[test]
    fn times_add_up(any in any_transcript()) {
        let talk = analyze(&any).talk;
        let one_recording = any.turns.iter().all(|t| t.recording_id == any.turns[0].recording_id);
        if one_recording {
            prop_assert_eq!(talk.speech_ms + talk.silence_ms, talk.duration_ms);
        }
        for speaker in &talk.speakers {
            prop_assert!((0..=talk.speech_ms).contains(&speaker.talk_ms));
            if let Some(listen_ms) = speaker.listen_ms {
                prop_assert_eq!(speaker.talk_ms + listen_ms, talk.speech_ms);
            }
        }
        let ratios: Vec<f64> = talk.speakers.iter().filter_map(|s| s.talk_ratio).collect();
        if !ratios.is_empty() {
            prop_assert!((ratios.iter().sum::<f64>() - 1.0).abs() < 0.001, "{:?}", ratios);
        }
        if let (Some(overlap_ms), 2) = (talk.overlap_ms, talk.speakers.len()) {
            let talked: i64 = talk.speakers.iter().map(|s| s.talk_ms).sum();
            prop_assert_eq!(talked - overlap_ms, talk.speech_ms);
        }
        if let Some(interruptions) = &talk.interruptions {
            let made: u32 = talk.speakers.iter().filter_map(|s| s.interruptions).sum();
            prop_assert_eq!(made as usize, interruptions.len());
        }
    }

    #[test]
    fn talk_does_not_depend_on_the_order_of_turns(any in any_transcript(), seed in any::<u64>()) {
        let mut shuffled = any.clone();
        let turns = &mut shuffled.turns;
        turns.sort_by_key(|turn| u64::from(turn.index).wrapping_mul(seed | 1).rotate_left(17));
        prop_assert_eq!(analyze(&any).talk, analyze(&shuffled).talk);
    }
}
