//! What the workers record of their stages, recorded as they do, in their roles.

use aftercall::db::provision::Process;
use aftercall::db::recordings::Probed;
use aftercall::db::timeline::{self, LockedSession};
use aftercall::db::{Principal, Tx, WorkerRole, analyses, recordings};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{
    AnalysisCompleted, AnalysisFailed, AnalysisSkipped, Fact, RecordingFailed, RecordingStored,
    SkipCode, TranscriptionFailed, TranscriptionSkipped,
};
use aftercall::ids::RecordingId;
use serde_json::Value;

pub const PROBED: Probed = Probed {
    duration_ms: 60_000,
    channels: 2,
    sample_rate_hz: 16_000,
};
/// The sentence of every failure and skip here.
pub const REASON: &str = "The recording could not be read.";

/// An uploaded recording.
pub async fn uploaded(harness: &Harness, seeded: Seeded) -> RecordingId {
    let uploaded = seed::recording(harness, seeded, "recordings/none", 1, [0; 32]).await;
    uploaded.recording_id
}

/// A stored recording whose transcription nobody asked for.
pub async fn stored(harness: &Harness, seeded: Seeded) -> RecordingId {
    let recording_id = uploaded(harness, seeded).await;
    let (mut tx, session) = begin(harness, seeded, WorkerRole::Storage).await;
    recordings::mark_stored(&mut tx, session.account_id, recording_id, PROBED)
        .await
        .expect("stored");
    let fact = RecordingStored {
        session_id: seeded.session_id,
        recording_id,
        duration_ms: PROBED.duration_ms,
        channels: PROBED.channels,
        sample_rate_hz: PROBED.sample_rate_hz,
    };
    record(tx, &session, fact.into()).await;
    recording_id
}

pub async fn check_failed(harness: &Harness, seeded: Seeded, recording_id: RecordingId, run: i32) {
    let (tx, session) = begin(harness, seeded, WorkerRole::Storage).await;
    let fact = RecordingFailed {
        session_id: seeded.session_id,
        recording_id,
        run,
        redrive: 0,
        reason: REASON.to_owned(),
    };
    record(tx, &session, fact.into()).await;
}

pub async fn transcription_failed(
    harness: &Harness,
    seeded: Seeded,
    recording_id: RecordingId,
    (generation, run): (i32, i32),
) {
    let (tx, session) = begin(harness, seeded, WorkerRole::Transcription).await;
    let fact = TranscriptionFailed {
        session_id: seeded.session_id,
        recording_id,
        generation,
        run,
        redrive: 0,
        reason: REASON.to_owned(),
    };
    record(tx, &session, fact.into()).await;
}

pub async fn transcription_skipped(
    harness: &Harness,
    seeded: Seeded,
    recording_id: RecordingId,
    (generation, run): (i32, i32),
) {
    let (tx, session) = begin(harness, seeded, WorkerRole::Transcription).await;
    let fact = TranscriptionSkipped {
        session_id: seeded.session_id,
        recording_id,
        generation,
        run,
        redrive: 0,
        reason_code: SkipCode::ConsentMissing,
        reason: REASON.to_owned(),
    };
    record(tx, &session, fact.into()).await;
}

pub async fn analysis_skipped(harness: &Harness, seeded: Seeded, (generation, run): (i32, i32)) {
    let (tx, session) = begin(harness, seeded, WorkerRole::Analysis).await;
    let fact = AnalysisSkipped {
        session_id: seeded.session_id,
        generation,
        run,
        redrive: 0,
        reason_code: SkipCode::EngineNotAllowed,
        reason: REASON.to_owned(),
    };
    record(tx, &session, fact.into()).await;
}

pub async fn analysis_failed(harness: &Harness, seeded: Seeded, (generation, run): (i32, i32)) {
    let (tx, session) = begin(harness, seeded, WorkerRole::Analysis).await;
    let fact = AnalysisFailed {
        session_id: seeded.session_id,
        generation,
        run,
        redrive: 0,
        reason: REASON.to_owned(),
    };
    record(tx, &session, fact.into()).await;
}

pub async fn analysed(harness: &Harness, seeded: Seeded, generation: i32, document: &Value) {
    let (mut tx, session) = begin(harness, seeded, WorkerRole::Analysis).await;
    let (account, session_id) = (session.account_id, seeded.session_id);
    analyses::finish(&mut tx, account, session_id, generation, "test", document)
        .await
        .expect("an analysis");
    let fact = AnalysisCompleted {
        session_id,
        generation,
        transcript_generation: 1,
    };
    record(tx, &session, fact.into()).await;
}

async fn begin(harness: &Harness, seeded: Seeded, role: WorkerRole) -> (Tx, LockedSession) {
    let process = match role {
        WorkerRole::Storage => Process::Storage,
        WorkerRole::Transcription => Process::Transcription,
        WorkerRole::Analytics => Process::Analytics,
        WorkerRole::Analysis => Process::Analysis,
        WorkerRole::Maintenance => Process::Maintenance,
    };
    let mut tx = harness.begin(process, Principal::Worker(role)).await;
    let session = timeline::lock(&mut tx, seeded.session_id).await;
    (tx, session.expect("a lock").expect("a session"))
}

async fn record(mut tx: Tx, session: &LockedSession, fact: Fact) {
    timeline::record(&mut tx, session, &[fact])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
}
