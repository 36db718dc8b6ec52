//! The sweep of what transcription jobs left, against a real Postgres and S3.

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::recordings::Probed;
use aftercall::db::{Principal, WorkerRole, timeline, transcriptions};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{TranscriptionFailed, TranscriptionRequested};
use aftercall::ids::{AccountId, SessionId};
use aftercall::providers::object_store::ObjectStore;
use aftercall_maintenance::job_files::sweep;

async fn account(harness: &Harness, seeded: Seeded) -> AccountId {
    let principal = Principal::user(seeded.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let session = timeline::read(&mut tx, seeded.session_id).await;
    session.expect("a query").expect("a session").account_id
}

/// As the runtime does when retries are used up.
async fn give_up(harness: &Harness, requested: &TranscriptionRequested) {
    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = harness.begin(Process::Transcription, role).await;
    let session = timeline::lock(&mut tx, requested.session_id).await;
    let session = session.expect("a lock").expect("a session");
    let failed = TranscriptionFailed {
        session_id: requested.session_id,
        recording_id: requested.recording_id,
        generation: requested.generation,
        run: requested.run,
        redrive: 0,
        reason: "It could not be read.".to_owned(),
    };
    timeline::record(&mut tx, &session, &[failed.into()])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn files_go_when_no_transcription_of_their_session_is_going_on() {
    let harness = Harness::start().await;
    let settings = config::ObjectStore::read(&harness.env(Process::Maintenance));
    let store = ObjectStore::connect(&settings.expect("settings")).await;
    let store = store.expect("a client");
    let busy = seed::session(&harness).await;
    let uploaded = seed::recording(&harness, busy, "recordings/none", 1, [0; 32]).await;
    let probed = Probed {
        duration_ms: 1_000,
        channels: 1,
        sample_rate_hz: 8_000,
    };
    seed::stored(&harness, &uploaded, probed).await;
    let done = seed::session(&harness).await;
    seed::transcript(&harness, done, &["Hello."]).await;

    let of_busy = transcriptions::job_prefix(account(&harness, busy).await, busy.session_id);
    let of_done = transcriptions::job_prefix(account(&harness, done).await, done.session_id);
    let failed = seed::session(&harness).await;
    let uploaded = seed::recording(&harness, failed, "recordings/none", 1, [0; 32]).await;
    let requested = seed::stored(&harness, &uploaded, probed).await;
    let of_failed = transcriptions::job_prefix(account(&harness, failed).await, failed.session_id);
    give_up(&harness, &requested).await;
    let of_erased = transcriptions::job_prefix(AccountId::generate(), SessionId::generate());
    let (kept, others) = (
        [
            format!("{of_busy}job.json"),
            // It may be redriven.
            format!("{of_failed}job.json"),
            "recordings/a/b/c".to_owned(),
        ],
        [
            format!("{of_done}redacted-job.json"),
            format!("{of_erased}job.wav"),
        ],
    );
    for key in kept.iter().chain(&others) {
        let put = store.put(key, "application/json", "{}".into());
        put.await.expect("stored");
    }
    let db = harness.db(Process::Maintenance);
    assert_eq!(sweep(&db, &store).await.expect("swept"), 2);
    assert_eq!(sweep(&db, &store).await.expect("swept"), 0);
    for key in &kept {
        store.head(key).await.expect("it is there");
    }
    for key in &others {
        store.head(key).await.expect_err("it is gone");
    }
    harness.finish_as_it_is().await;
}
