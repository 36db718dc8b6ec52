use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::events::*;
use crate::ids::{ErasureId, SessionId};

fn session_id() -> SessionId {
    SessionId::from(uuid::Uuid::from_u128(1))
}

fn recording(n: u128) -> RecordingId {
    RecordingId::from(uuid::Uuid::from_u128(100 + n))
}

fn created() -> Fact {
    SessionCreated {
        session_id: session_id(),
        has_room: false,
        auto_transcribe: true,
        auto_analyze: true,
        auto_complete: true,
    }
    .into()
}

fn uploaded(n: u128, run: i32, late: bool) -> Fact {
    RecordingUploaded {
        session_id: session_id(),
        recording_id: recording(n),
        run,
        late,
    }
    .into()
}

fn stored(n: u128) -> Fact {
    RecordingStored {
        session_id: session_id(),
        recording_id: recording(n),
        duration_ms: 1000,
        channels: 2,
        sample_rate_hz: 16000,
    }
    .into()
}

fn check_failed(n: u128, run: i32, redrive: i32) -> Fact {
    let reason = format!("Check {run}.{redrive} failed.");
    RecordingFailed {
        session_id: session_id(),
        recording_id: recording(n),
        run,
        redrive,
        reason,
    }
    .into()
}

fn requested(n: u128, generation: i32, run: i32) -> Fact {
    TranscriptionRequested {
        session_id: session_id(),
        recording_id: recording(n),
        generation,
        run,
    }
    .into()
}

fn started(n: u128) -> Fact {
    TranscriptionStarted {
        session_id: session_id(),
        recording_id: recording(n),
        generation: 1,
        run: 1,
        redrive: 0,
        jobs: vec![StartedJob {
            name: "a-job".to_owned(),
            kind: JobKind::Standard,
            start_ms: 0,
        }],
        fell_back: false,
    }
    .into()
}

fn progressed(n: u128, generation: i32, done_ms: i64) -> Fact {
    TranscriptProgressed {
        session_id: session_id(),
        recording_id: recording(n),
        generation,
        done_ms,
        total_ms: 1000,
    }
    .into()
}

fn transcribed(n: u128, generation: i32) -> Fact {
    RecordingTranscribed {
        session_id: session_id(),
        recording_id: recording(n),
        generation,
    }
    .into()
}

fn transcription_failed(n: u128, generation: i32, run: i32, redrive: i32) -> Fact {
    TranscriptionFailed {
        session_id: session_id(),
        recording_id: recording(n),
        generation,
        run,
        redrive,
        reason: format!("Transcription {generation}.{run}.{redrive} failed."),
    }
    .into()
}

fn transcription_skipped(n: u128, generation: i32, run: i32, redrive: i32) -> Fact {
    TranscriptionSkipped {
        session_id: session_id(),
        recording_id: recording(n),
        generation,
        run,
        redrive,
        reason_code: SkipCode::ConsentMissing,
        reason: format!("Transcription {generation}.{run}.{redrive} was skipped."),
    }
    .into()
}

fn transcript(generation: i32) -> Fact {
    TranscriptCompleted {
        session_id: session_id(),
        generation,
        given: false,
    }
    .into()
}

fn given_transcript() -> Fact {
    TranscriptCompleted {
        session_id: session_id(),
        generation: 1,
        given: true,
    }
    .into()
}

fn fetch(n: u128, run: i32) -> Fact {
    RecordingRequested {
        session_id: session_id(),
        recording_id: recording(n),
        run,
    }
    .into()
}

fn analysis_requested(generation: i32, run: i32) -> Fact {
    AnalysisRequested {
        session_id: session_id(),
        generation,
        run,
        transcript_generation: 1,
    }
    .into()
}

fn analyzed(generation: i32) -> Fact {
    AnalysisCompleted {
        session_id: session_id(),
        generation,
        transcript_generation: 1,
    }
    .into()
}

fn analysis_failed(generation: i32, run: i32, redrive: i32) -> Fact {
    let reason = format!("Analysis {generation}.{run}.{redrive} failed.");
    AnalysisFailed {
        session_id: session_id(),
        generation,
        run,
        redrive,
        reason,
    }
    .into()
}

fn analysis_skipped(generation: i32, run: i32, redrive: i32) -> Fact {
    AnalysisSkipped {
        session_id: session_id(),
        generation,
        run,
        redrive,
        reason_code: SkipCode::EngineNotAllowed,
        reason: format!("Analysis {generation}.{run}.{redrive} was skipped."),
    }
    .into()
}

fn redriven(stage: Stage, n: u128, redrive: i32) -> Fact {
    StageRedriven {
        session_id: session_id(),
        stage,
        recording_id: (stage != Stage::Analysis).then(|| recording(n)),
        generation: 1,
        run: 1,
        redrive,
    }
    .into()
}

fn erasure(n: u128, part: ErasedPart) -> Fact {
    ErasureRequested {
        session_id: session_id(),
        erasure_id: ErasureId::from(uuid::Uuid::from_u128(900 + n)),
        parts: vec![part],
    }
    .into()
}

/// Facts of one type. The match has no wildcard: a new fact does not compile until it is here.
fn facts_like(example: &Fact) -> BoxedStrategy<Fact> {
    let n = || 0..3_u128;
    let small = || 1..3_i32;
    let redrive = || 0..2_i32;
    match example {
        Fact::SessionCreated(_) => (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(has_room, auto_transcribe, auto_analyze, auto_complete)| {
                SessionCreated {
                    session_id: session_id(),
                    has_room,
                    auto_transcribe,
                    auto_analyze,
                    auto_complete,
                }
                .into()
            })
            .boxed(),
        Fact::SessionStarted(_) => Just(
            SessionStarted {
                session_id: session_id(),
            }
            .into(),
        )
        .boxed(),
        Fact::SessionEnded(_) => Just(
            SessionEnded {
                session_id: session_id(),
            }
            .into(),
        )
        .boxed(),
        Fact::SessionCompleted(_) => Just(
            SessionCompleted {
                session_id: session_id(),
            }
            .into(),
        )
        .boxed(),
        Fact::RecordingRequested(_) => (n(), small()).prop_map(|(n, run)| fetch(n, run)).boxed(),
        Fact::RecordingUploaded(_) => (n(), small(), any::<bool>())
            .prop_map(|(n, run, late)| uploaded(n, run, late))
            .boxed(),
        Fact::RecordingStored(_) => n().prop_map(stored).boxed(),
        Fact::RecordingFailed(_) => (n(), small(), redrive())
            .prop_map(|(n, r, d)| check_failed(n, r, d))
            .boxed(),
        Fact::TranscriptionRequested(_) => (n(), small(), small())
            .prop_map(|(n, g, r)| requested(n, g, r))
            .boxed(),
        Fact::TranscriptionStarted(_) => n().prop_map(started).boxed(),
        Fact::TranscriptProgressed(_) => (n(), small(), 0..1000_i64)
            .prop_map(|(n, g, ms)| progressed(n, g, ms))
            .boxed(),
        Fact::RecordingTranscribed(_) => {
            (n(), small()).prop_map(|(n, g)| transcribed(n, g)).boxed()
        }
        Fact::TranscriptionFailed(_) => (n(), small(), small(), redrive())
            .prop_map(|(n, g, r, d)| transcription_failed(n, g, r, d))
            .boxed(),
        Fact::TranscriptionSkipped(_) => (n(), small(), small(), redrive())
            .prop_map(|(n, g, r, d)| transcription_skipped(n, g, r, d))
            .boxed(),
        Fact::TranscriptCompleted(_) => (small(), any::<bool>())
            .prop_map(|(g, given)| {
                if given {
                    given_transcript()
                } else {
                    transcript(g)
                }
            })
            .boxed(),
        Fact::AnalysisRequested(_) => (small(), small())
            .prop_map(|(g, r)| analysis_requested(g, r))
            .boxed(),
        Fact::AnalysisCompleted(_) => small().prop_map(analyzed).boxed(),
        Fact::AnalysisFailed(_) => (small(), small(), redrive())
            .prop_map(|(g, r, d)| analysis_failed(g, r, d))
            .boxed(),
        Fact::AnalysisSkipped(_) => (small(), small(), redrive())
            .prop_map(|(g, r, d)| analysis_skipped(g, r, d))
            .boxed(),
        Fact::StageRedriven(_) => (
            select(vec![
                Stage::Recording,
                Stage::Transcription,
                Stage::Analysis,
            ]),
            n(),
            1..3_i32,
        )
            .prop_map(|(stage, n, d)| redriven(stage, n, d))
            .boxed(),
        Fact::ErasureRequested(_) => select(vec![
            ErasedPart::Recording,
            ErasedPart::Transcript,
            ErasedPart::Analysis,
        ])
        .prop_map(|part| erasure(1, part))
        .boxed(),
    }
}

/// One example of each fact there is.
fn examples() -> Vec<Fact> {
    let examples = vec![
        created(),
        SessionStarted {
            session_id: session_id(),
        }
        .into(),
        SessionEnded {
            session_id: session_id(),
        }
        .into(),
        SessionCompleted {
            session_id: session_id(),
        }
        .into(),
        fetch(0, 1),
        uploaded(0, 1, false),
        stored(0),
        check_failed(0, 1, 0),
        requested(0, 1, 1),
        started(0),
        progressed(0, 1, 0),
        transcribed(0, 1),
        transcription_failed(0, 1, 1, 0),
        transcription_skipped(0, 1, 1, 0),
        transcript(1),
        analysis_requested(1, 1),
        analyzed(1),
        analysis_failed(1, 1, 0),
        analysis_skipped(1, 1, 0),
        redriven(Stage::Analysis, 0, 1),
        erasure(1, ErasedPart::Transcript),
    ];
    let types: BTreeSet<_> = examples.iter().map(Fact::event_type).collect();
    assert_eq!(
        types,
        Fact::TYPES.iter().copied().collect(),
        "an example of every fact"
    );
    examples
}

fn any_fact() -> impl Strategy<Value = Fact> {
    proptest::strategy::Union::new(examples().iter().map(facts_like))
}

proptest! {
    #[test]
    fn order_and_repetition_change_nothing(
        facts in prop::collection::vec(any_fact(), 0..24),
        moves in prop::collection::vec(any::<Index>(), 24),
    ) {
        let expected = SessionState::of(&facts);
        let mut shuffled: Vec<_> = facts.iter().chain(&facts).cloned().collect();
        for (from, to) in (0..shuffled.len()).zip(&moves) {
            let to = to.index(shuffled.len());
            shuffled.swap(from, to);
        }
        prop_assert_eq!(SessionState::of(&shuffled), expected);
    }

    #[test]
    fn status_moves_forward_as_facts_of_one_run_arrive(cut in 0..8_usize) {
        let story = [
            created(), uploaded(0, 1, false), stored(0), requested(0, 1, 1), transcribed(0, 1),
            transcript(1), analysis_requested(1, 1), analyzed(1),
        ];
        let earlier = SessionState::of(&story[..cut]).status;
        let later = SessionState::of(&story[..=cut]).status;
        prop_assert!(earlier <= later, "{earlier} then {later}");
    }
}

proptest! {
    #[test]
    fn a_skip_never_moves_the_status_nor_fails_it(
        facts in prop::collection::vec(any_fact(), 0..24),
        skips in prop::collection::vec((0..3_u128, 1..4_i32, any::<bool>()), 1..4),
    ) {
        let asked = facts.iter().filter_map(|fact| match fact {
            Fact::TranscriptionRequested(e) => Some((e.generation, e.run)),
            Fact::AnalysisRequested(e) => Some((e.generation, e.run)),
            _ => None,
        });
        // Runs that were asked for: a skip tells of nothing else.
        let asked: Vec<_> = asked.collect();
        let skips = skips.into_iter().zip(asked.iter().cycle());
        let skips = skips.map(|((n, _, of_analysis), (generation, run))| if of_analysis {
            analysis_skipped(*generation, *run, 0)
        } else {
            transcription_skipped(n, *generation, *run, 0)
        });
        let before = SessionState::of(&facts).status;
        let after = SessionState::of(&facts.iter().cloned().chain(skips).collect::<Vec<_>>()).status;
        // It may end a failure of an earlier attempt, as any newer attempt does.
        prop_assert!(after == before || before == Status::Failed, "{before} then {after}");
        prop_assert!(after != Status::Failed || before == Status::Failed);
    }
}

#[test]
fn every_permutation_of_one_pipeline_gives_completed() {
    let facts = [
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
        transcribed(0, 1),
        transcript(1),
        analysis_requested(1, 1),
        analyzed(1),
    ];
    let mut order: Vec<usize> = (0..facts.len()).collect();
    let mut seen = 0;
    permute(&mut order, 0, &mut |order| {
        let facts = std::iter::once(created()).chain(order.iter().map(|i| facts[*i].clone()));
        let state = SessionState::of(&facts.collect::<Vec<_>>());
        assert_eq!(state.status, Status::Completed);
        assert_eq!(state.stages.analysis.state, Phase::Done);
        seen += 1;
    });
    assert_eq!(seen, 5040);
}

fn permute(items: &mut Vec<usize>, from: usize, visit: &mut impl FnMut(&[usize])) {
    if from == items.len() {
        return visit(items);
    }
    for i in from..items.len() {
        items.swap(from, i);
        permute(items, from + 1, visit);
        items.swap(from, i);
    }
}

#[test]
fn a_session_waits_for_every_recording() {
    let mut facts = vec![
        created(),
        uploaded(0, 1, false),
        uploaded(1, 1, false),
        stored(0),
        requested(0, 1, 1),
    ];
    facts.push(transcribed(0, 1));
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Recorded);
    assert_eq!(state.stages.recording.state, Phase::Running);
    facts.extend([
        stored(1),
        requested(1, 1, 1),
        transcribed(1, 1),
        transcript(1),
    ]);
    assert_eq!(SessionState::of(&facts).status, Status::Transcribed);
}

#[test]
fn a_late_recording_counts_for_the_stages_only() {
    let facts = [
        created(),
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
        transcribed(0, 1),
        transcript(1),
        analysis_requested(1, 1),
        analyzed(1),
        uploaded(1, 1, true),
        stored(1),
        requested(1, 2, 1),
    ];
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Completed);
    assert_eq!(state.stages.transcription.state, Phase::Running);
}

#[test]
fn failed_shows_until_retry_redrive_or_success() {
    let before = vec![
        created(),
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
    ];
    let mut facts = before.clone();
    facts.push(transcription_failed(0, 1, 1, 0));
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Failed);
    assert_eq!(
        state.stages.transcription.reason.as_deref(),
        Some("Transcription 1.1.0 failed.")
    );

    let retried: Vec<_> = facts.iter().cloned().chain([requested(0, 1, 2)]).collect();
    let state = SessionState::of(&retried);
    assert_eq!(
        (state.status, state.stages.transcription.attempt),
        (Status::Recorded, 2)
    );

    let redriven: Vec<_> = facts
        .iter()
        .cloned()
        .chain([redriven(Stage::Transcription, 0, 1)])
        .collect();
    assert_eq!(SessionState::of(&redriven).status, Status::Recorded);
    let failed_again: Vec<_> = redriven
        .into_iter()
        .chain([transcription_failed(0, 1, 1, 1)])
        .collect();
    assert_eq!(SessionState::of(&failed_again).status, Status::Failed);

    facts.extend([transcribed(0, 1), transcript(1)]);
    assert_eq!(SessionState::of(&facts).status, Status::Transcribed);
}

#[test]
fn a_failed_rerun_never_changes_the_status() {
    let facts = [
        created(),
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
        transcribed(0, 1),
        transcript(1),
        analysis_requested(1, 1),
        analyzed(1),
        requested(0, 2, 1),
        transcription_failed(0, 2, 1, 0),
        analysis_requested(2, 1),
        analysis_failed(2, 1, 0),
    ];
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Completed);
    assert_eq!(state.stages.transcription.state, Phase::Failed);
    assert_eq!(state.stages.analysis.state, Phase::Failed);
}

#[test]
fn a_live_session_does_not_complete_by_itself() {
    let mut facts = vec![
        created(),
        SessionStarted {
            session_id: session_id(),
        }
        .into(),
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
        transcribed(0, 1),
        transcript(1),
        analysis_requested(1, 1),
        analyzed(1),
    ];
    assert_eq!(SessionState::of(&facts).status, Status::Analyzed);
    facts.push(
        SessionEnded {
            session_id: session_id(),
        }
        .into(),
    );
    assert_eq!(SessionState::of(&facts).status, Status::Completed);
}

#[test]
fn automatic_stages_that_are_off_are_skipped_until_asked_for() {
    let quiet: Fact = SessionCreated {
        session_id: session_id(),
        has_room: false,
        auto_transcribe: false,
        auto_analyze: false,
        auto_complete: true,
    }
    .into();
    let mut facts = vec![quiet, uploaded(0, 1, false), stored(0)];
    let state = SessionState::of(&facts);
    assert_eq!(state.stages.transcription.state, Phase::Skipped);
    assert!(state.stages.transcription.reason.is_some());
    facts.extend([requested(0, 1, 1), progressed(0, 1, 250)]);
    let state = SessionState::of(&facts);
    assert_eq!(state.stages.transcription.state, Phase::Running);
    assert_eq!(state.stages.transcription.progress, Some(0.25));
}

#[test]
fn a_skipped_stage_says_why_and_runs_when_asked_again() {
    let mut facts = vec![
        created(),
        uploaded(0, 1, false),
        uploaded(1, 1, false),
        stored(0),
        stored(1),
        requested(0, 1, 1),
        requested(1, 1, 1),
        transcription_skipped(0, 1, 1, 0),
    ];
    let stage = |facts: &[Fact]| SessionState::of(facts).stages.transcription;
    assert_eq!(stage(&facts).state, Phase::Running, "the other may run");
    facts.push(transcription_skipped(1, 1, 1, 0));
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Recorded);
    assert_eq!(state.stages.transcription.state, Phase::Skipped);
    assert_eq!(
        state.stages.transcription.reason.as_deref(),
        Some("Transcription 1.1.0 was skipped.")
    );
    assert_eq!(state.stages.analysis.state, Phase::Pending);

    facts.extend([requested(0, 1, 2), requested(1, 1, 2)]);
    let again = stage(&facts);
    assert_eq!((again.state, again.attempt), (Phase::Running, 2));
    facts.extend([transcribed(0, 1), transcribed(1, 1), transcript(1)]);
    assert_eq!(stage(&facts).state, Phase::Done);

    facts.extend([analysis_requested(1, 1), analysis_skipped(1, 1, 0)]);
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Transcribed);
    assert_eq!(state.stages.analysis.state, Phase::Skipped);
    facts.extend([analysis_requested(1, 2), analyzed(1)]);
    assert_eq!(SessionState::of(&facts).status, Status::Completed);
}

#[test]
fn a_failed_run_that_is_sent_again_may_be_skipped() {
    let facts = [
        created(),
        uploaded(0, 1, false),
        stored(0),
        requested(0, 1, 1),
        transcription_failed(0, 1, 1, 0),
        redriven(Stage::Transcription, 0, 1),
        transcription_skipped(0, 1, 1, 1),
    ];
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Recorded);
    assert_eq!(state.stages.transcription.state, Phase::Skipped);
}

#[test]
fn a_recording_that_is_to_be_fetched_is_waited_for() {
    let ended = SessionEnded {
        session_id: session_id(),
    };
    let mut facts = vec![created(), ended.into(), fetch(1, 1)];
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Ended);
    assert_eq!(state.stages.recording.state, Phase::Running);
    // Another recording is no reason to forget it.
    facts.extend([
        uploaded(2, 1, false),
        stored(2),
        requested(2, 1, 1),
        transcribed(2, 1),
        transcript(1),
    ]);
    assert_eq!(SessionState::of(&facts).status, Status::Recorded);

    let mut failed = facts.clone();
    failed.push(check_failed(1, 1, 0));
    let state = SessionState::of(&failed);
    assert_eq!(state.status, Status::Failed);
    assert_eq!(
        state.stages.recording.reason.as_deref(),
        Some("Check 1.0 failed.")
    );
    failed.push(fetch(1, 2));
    assert_eq!(SessionState::of(&failed).status, Status::Recorded);
    // The check goes on with the number of the fetch.
    failed.extend([uploaded(1, 2, true), stored(1)]);
    let state = SessionState::of(&failed);
    assert_eq!(state.status, Status::Transcribed);
    assert_eq!(
        (state.stages.recording.state, state.stages.recording.attempt),
        (Phase::Done, 2)
    );
}

#[test]
fn a_transcript_that_was_given_needs_no_recording() {
    let ended = SessionEnded {
        session_id: session_id(),
    };
    let mut facts = vec![
        created(),
        ended.into(),
        given_transcript(),
        analysis_requested(1, 1),
    ];
    let state = SessionState::of(&facts);
    assert_eq!(state.status, Status::Transcribed);
    assert_eq!(state.stages.transcription.state, Phase::Done);
    assert_eq!(state.stages.recording.state, Phase::Pending);
    facts.push(analyzed(1));
    assert_eq!(SessionState::of(&facts).status, Status::Completed);
    // Its recording is beside it, and shows in its stage only.
    for more in [fetch(1, 1), check_failed(1, 1, 0)] {
        facts.push(more);
        assert_eq!(SessionState::of(&facts).status, Status::Completed);
    }
    let state = SessionState::of(&facts);
    assert_eq!(state.stages.recording.state, Phase::Failed);
    facts.retain(|fact| *fact != analyzed(1));
    assert_eq!(SessionState::of(&facts).status, Status::Transcribed);
}
