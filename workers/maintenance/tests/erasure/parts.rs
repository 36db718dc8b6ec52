//! Parts of a session: the rest stays.

use aftercall::db::erasure_sessions::Step;
use aftercall::db::provision::Process;
use aftercall::db::transcriptions::Chunk;
use aftercall::db::{Principal, WorkerRole, recordings, timeline, transcriptions, transcripts};
use aftercall::embedded::seed;
use aftercall::events::ErasedPart;
use aftercall::session::Status;

use crate::bench::{Bench, is_gone};

#[tokio::test]
async fn audio_goes_and_what_was_made_of_it_stays() {
    let bench = Bench::start().await;
    let asked = bench.ask(&[ErasedPart::Recording]).await;
    let user = Principal::user(bench.seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, user).await;
    let rows = recordings::of_session(&mut tx, bench.seeded.session_id).await;
    for row in rows.expect("a query") {
        assert_eq!((row.state.as_str(), row.file_name), ("erased", None));
    }
    drop(tx);
    let running = bench.run();
    seed::publish(&bench.harness, &asked).await;
    bench.harness.idle_of("erase-session").await;
    bench.assert_no_objects().await;
    assert_eq!(bench.work(&asked).await.step, Step::Done);
    let left = bench.rows().await;
    for table in [("transcripts", 1), ("transcriptions", 1), ("analyses", 1)] {
        assert!(left.contains(&table), "{left:?}");
    }
    assert!(!left.iter().any(|(table, _)| *table == "dead_letters"));
    let gone = bench.destroyed(&asked).await;
    assert_eq!(gone["object store: recordings"], 2);
    assert_eq!(gone["object store: files of transcription jobs"], 1);
    assert_eq!(gone["stream DEAD: messages"], 1);
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn transcripts_go_before_the_answer_and_a_late_chunk_is_refused() {
    let bench = Bench::start().await;
    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = bench.harness.begin(Process::Transcription, role).await;
    let asked_for = transcriptions::of_session(&mut tx, bench.seeded.session_id).await;
    let of = asked_for.expect("a query").remove(0);
    drop(tx);
    let asked = bench.ask(&[ErasedPart::Transcript]).await;
    let left = bench.rows().await;
    assert!(
        !left.iter().any(|(table, _)| table.starts_with("transcri")),
        "{left:?}"
    );
    assert!(
        !left.iter().any(|(table, _)| *table == "analyses"),
        "an analysis that was asked for has nothing to read: {left:?}"
    );

    let chunk = Chunk {
        channel: 0,
        index: 0,
        start_ms: 0,
        end_ms: 1,
        speech_start_ms: 0,
        speech_end_ms: 1,
        text: "late".to_owned(),
        language: None,
        confidence: None,
        no_speech_probability: None,
        words: None,
    };
    let mut tx = bench.harness.begin(Process::Transcription, role).await;
    let (account, recording) = (of.account_id, of.recording_id);
    transcriptions::insert_chunk(&mut tx, account, recording, 1, &chunk)
        .await
        .expect_err("its transcription is gone");
    drop(tx);
    bench.begin(&asked).await;
    assert_eq!(bench.work(&asked).await.step, Step::Done);
    assert!(bench.store.head(&bench.key).await.is_ok(), "audio stays");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_recording_that_comes_after_has_the_next_transcript() {
    let bench = Bench::start().await;
    let before = bench.harness.session(bench.seeded).await.status;
    bench.ask(&[ErasedPart::Transcript]).await;
    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = bench.harness.begin(Process::Transcription, role).await;
    let session = timeline::lock(&mut tx, bench.seeded.session_id).await;
    let session = session.expect("a lock").expect("a session");
    assert_eq!(
        session.transcript_generation, 2,
        "numbers are not used again"
    );
    assert_eq!(
        transcripts::last_written(&mut tx, session.session_id)
            .await
            .expect("a query"),
        1
    );
    drop(tx);
    let after = bench.harness.session(bench.seeded).await.status;
    assert_eq!(before, after);
    assert!(after >= Status::Recorded);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn analyses_go_alone() {
    let bench = Bench::start().await;
    let asked = bench.ask(&[ErasedPart::Analysis]).await;
    bench.begin(&asked).await;
    let left = bench.rows().await;
    assert!(
        !left.iter().any(|(table, _)| *table == "analyses"),
        "{left:?}"
    );
    assert!(left.contains(&("transcripts", 1)), "{left:?}");
    assert!(!is_gone(&bench.store.head(&bench.key).await));
    assert_eq!(bench.destroyed(&asked).await["postgres: analyses"], 1);
    bench.harness.finish_as_it_is().await;
}
