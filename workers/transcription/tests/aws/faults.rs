//! What goes wrong between the start of a job and its transcript.

use aftercall::documents::call_findings::CallFindings;
use aftercall::embedded::harness::eventually;
use aftercall::embedded::seed;
use aftercall::policy::Policy;
use aftercall::session::Phase;

use super::calls::Calls;
use super::front::Fault;
use super::{Bench, CALL, COLLECT, REDACTED, SPEAKERS, START, texts};

const AWAY: Fault = Fault::Refused(503, "ServiceUnavailableException", "Come back later.");
/// What the service, and moto, say of a name that they do not know.
const UNKNOWN: Fault = Fault::Refused(
    400,
    "BadRequestException",
    "The requested job couldn't be found. Check the job name and try your request again.",
);

#[tokio::test]
async fn while_the_service_is_away_a_recording_waits() {
    let bench = Bench::start(1, SPEAKERS).await;
    // The SDK tries each request three times by itself.
    bench.front.will("StartTranscriptionJob", [AWAY; 3]);
    bench.front.will("GetTranscriptionJob", [AWAY; 3]);
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    assert_eq!(bench.started(), 1);
    assert!(bench.transcript().await.is_some());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_job_that_is_not_known_yet_is_asked_about_again() {
    let bench = Bench::start(1, SPEAKERS).await;
    bench.front.will("GetTranscriptionJob", [UNKNOWN]);
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    assert_eq!(bench.front.refused("GetTranscriptionJob"), 1);
    assert!(bench.transcript().await.is_some());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn an_output_that_is_late_is_waited_for() {
    let bench = Bench::start(1, SPEAKERS).await;
    bench
        .front
        .will("StartTranscriptionJob", [Fault::Unwritten]);
    let worker = bench.run().await;
    bench.publish().await;
    eventually("the job was done, and its output missed", || async {
        bench.harness.deliveries(COLLECT).await >= 5
    })
    .await;
    bench.front.write_all().await;
    bench.harness.idle_of(COLLECT).await;

    assert!(bench.transcript().await.is_some());
    assert!(bench.left().await.is_empty());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn an_output_that_is_none_fails_and_is_kept() {
    // Cut off in the middle.
    let bench = Bench::start(1, &SPEAKERS[..SPEAKERS.len() / 2]).await;
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let session = bench.harness.session(bench.seeded).await;
    let stage = session.stages.transcription;
    assert_eq!(
        stage.reason.as_deref(),
        Some("What Amazon Transcribe wrote could not be read.")
    );
    assert_eq!(bench.harness.dead().await, 1);
    assert_eq!(bench.left().await.len(), 1, "for a redrive");
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn two_collectors_make_one_transcript() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run_with(false).await;
    bench.publish().await;
    first.stop().await;
    // The same fact as another message: to the broker it is new.
    let started = bench.started_fact().await;
    seed::publish(&bench.harness, &started).await;
    let (one, other) = (bench.run().await, bench.run().await);
    bench.harness.idle_of(COLLECT).await;

    let transcript = bench.transcript().await.expect("a transcript");
    let (found, own) = texts(&transcript, SPEAKERS);
    assert_eq!((found, transcript.generation), (own, 1));
    assert_eq!(bench.harness.published("transcript.completed").await, 1);
    assert!(bench.left().await.is_empty());
    one.stop().await;
    other.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn nobody_waits_for_a_deleted_job_that_is_not_wanted() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run_with(false).await;
    bench.publish().await;
    first.stop().await;
    let nowhere = Policy {
        audio_engines: Some(Vec::new()),
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &nowhere).await;
    bench.front.will("GetTranscriptionJob", [UNKNOWN]);
    let second = bench.run().await;
    bench.harness.idle_of(COLLECT).await;

    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.stages.transcription.state, Phase::Skipped);
    assert!(bench.left().await.is_empty());
    second.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn of_an_erased_session_nothing_is_collected() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run_with(false).await;
    bench.publish().await;
    first.stop().await;
    bench.erase().await;
    let second = bench.run().await;
    seed::publish(&bench.harness, &bench.requested).await;
    bench.harness.idle_of(START).await;
    bench.harness.idle_of(COLLECT).await;

    assert_eq!(bench.started(), 1, "no other job");
    assert_eq!(bench.harness.published("recording.transcribed").await, 0);
    assert_eq!(bench.harness.dead().await, 0);
    // What the job writes is the erasure's.
    assert_eq!(bench.left().await.len(), 1);
    second.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn redacted_output_is_read_and_cleared_away_under_its_own_name() {
    let bench = Bench::start(1, REDACTED).await;
    let bench = bench
        .set("AWS_TRANSCRIBE_REDACT_PII", "true")
        .set("AWS_TRANSCRIBE_LANGUAGE", "en-US");
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let asked = &bench.front.taken("StartTranscriptionJob")[0];
    assert_eq!(asked["ContentRedaction"]["RedactionOutput"], "redacted");
    let transcript = bench.transcript().await.expect("a transcript");
    let (found, own) = texts(&transcript, REDACTED);
    assert_eq!(found, own);
    assert!(bench.left().await.is_empty());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn the_agent_stays_on_the_channel_that_the_job_was_told() {
    let bench = Bench::start(2, "").await;
    let calls = Calls::start(bench.store.clone(), CALL, None).await;
    let bench = bench
        .set("AWS_TRANSCRIBE_MODE", "call_analytics")
        .set("AWS_TRANSCRIBE_AGENT_CHANNEL", "1")
        .set("AWS_ENDPOINT_URL_TRANSCRIBE", &calls.url());
    let first = bench.run_with(false).await;
    bench.publish().await;
    first.stop().await;
    let bench = bench.set("AWS_TRANSCRIBE_AGENT_CHANNEL", "0");
    let second = bench.run().await;
    bench.harness.idle_of(COLLECT).await;

    let found = bench.findings().await.remove(0).findings.expect("findings");
    let found: Vec<CallFindings> = serde_json::from_value(found).expect("the shape");
    assert_eq!(found[0].roles["speaker_1"], "agent");
    second.stop().await;
    bench.harness.finish_of(COLLECT).await;
}
