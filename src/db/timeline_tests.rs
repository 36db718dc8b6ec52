//! The session's state against Postgres: any order of facts, each twice, gives the same.

use crate::db::provision::Process;
use crate::db::{Principal, recordings, sessions, timeline};
use crate::embedded::harness::Harness;
use crate::embedded::seed::{self, Seeded};
use crate::events::{
    AnalysisCompleted, AnalysisRequested, Fact, RecordingStored, RecordingTranscribed,
    RecordingUploaded, TranscriptCompleted, TranscriptionFailed, TranscriptionRequested,
};
use crate::ids::{RecordingId, SessionId};
use crate::session::{Phase, SessionState, Status};

/// A pipeline whose first transcription failed and was tried again.
fn story(session_id: SessionId, recording_id: RecordingId) -> Vec<Fact> {
    let requested = |run| {
        TranscriptionRequested {
            session_id,
            recording_id,
            generation: 1,
            run,
        }
        .into()
    };
    vec![
        RecordingUploaded {
            session_id,
            recording_id,
            run: 1,
            late: false,
        }
        .into(),
        RecordingStored {
            session_id,
            recording_id,
            duration_ms: 1_000,
            channels: 2,
            sample_rate_hz: 8_000,
        }
        .into(),
        requested(1),
        TranscriptionFailed {
            session_id,
            recording_id,
            generation: 1,
            run: 1,
            redrive: 0,
            reason: "The speech service did not answer.".to_owned(),
        }
        .into(),
        requested(2),
        RecordingTranscribed {
            session_id,
            recording_id,
            generation: 1,
        }
        .into(),
        TranscriptCompleted {
            session_id,
            generation: 1,
            given: false,
        }
        .into(),
        AnalysisRequested {
            session_id,
            generation: 1,
            run: 1,
            transcript_generation: 1,
        }
        .into(),
        AnalysisCompleted {
            session_id,
            generation: 1,
            transcript_generation: 1,
        }
        .into(),
    ]
}

async fn record(harness: &Harness, seeded: Seeded, facts: &[Fact]) -> SessionState {
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .expect("a lock")
        .expect("a session");
    let state = timeline::record(&mut tx, &session, facts)
        .await
        .expect("recorded");
    let stored = sessions::get(&mut tx, seeded.session_id)
        .await
        .expect("a query")
        .expect("a session");
    assert_eq!(
        (stored.status, stored.stages),
        (state.status, state.stages.clone())
    );
    tx.commit().await.expect("commit");
    state
}

#[tokio::test]
async fn every_rotation_and_reversal_each_fact_twice_gives_the_same() {
    let harness = Harness::start().await;
    for turn in 0..18 {
        let seeded = seed::session(&harness).await;
        let mut facts = story(seeded.session_id, RecordingId::generate());
        let places = facts.len();
        facts.rotate_left(turn % places);
        if turn >= places {
            facts.reverse();
        }
        for fact in facts.iter().chain(&facts) {
            record(&harness, seeded, std::slice::from_ref(fact)).await;
        }
        let state = record(&harness, seeded, &facts).await;
        assert_eq!(state.status, Status::Completed);
        assert_eq!(state.stages.transcription.state, Phase::Done);
        assert_eq!(state.stages.transcription.attempt, 2);
        assert_eq!(
            harness.timeline(seeded).await.len(),
            1 + facts.len(),
            "each fact once"
        );
    }
    harness.finish().await;
}

#[tokio::test]
async fn facts_recorded_at_the_same_time_take_places_without_gap() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let facts = story(seeded.session_id, RecordingId::generate());
    let all = facts
        .iter()
        .map(|fact| record(&harness, seeded, std::slice::from_ref(fact)));
    futures::future::join_all(all).await;
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let entries = timeline::after(&mut tx, seeded.session_id, 0, 100)
        .await
        .expect("a query");
    let places: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(places, (1..=10).collect::<Vec<i64>>());
    let resumed = timeline::after(&mut tx, seeded.session_id, 4, 3)
        .await
        .expect("a query");
    assert_eq!(
        resumed.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [5, 6, 7]
    );
    assert!(
        recordings::of_session(&mut tx, seeded.session_id)
            .await
            .expect("a query")
            .is_empty()
    );
    drop(tx);
    harness.finish().await;
}
