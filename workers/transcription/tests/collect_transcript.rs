//! `TranscribeRecording` and `CollectTranscript` on moto's S3 and Transcribe, over sockets; what moto never
//! says comes from the front before it, and Call Analytics from a stand-in that speaks through the SDK.

mod aws;

use aftercall::documents::call_findings::CallFindings;
use aftercall::documents::transcript::NOT_TWO_CHANNELS;
use aftercall::embedded::harness::eventually;
use aftercall::embedded::seed;
use aftercall::policy::Policy;
use aftercall::session::{Phase, Status};
use aftercall_transcription::aws::request::Limits;
use aws::calls::Calls;
use aws::front::Fault;
use aws::{Bench, CALL, CHANNELS, COLLECT, SPEAKERS, START, silence, texts};
use aws_sdk_transcribe::types::{LanguageCode, ParticipantRole};

const TOO_FAST: Fault = Fault::Refused(
    400,
    "LimitExceededException",
    "You have sent too many requests.",
);

#[tokio::test]
async fn a_recording_is_given_away_and_its_transcript_collected() {
    let bench = Bench::start(1, SPEAKERS).await;
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let transcript = bench.transcript().await.expect("a transcript");
    let (found, own) = texts(&transcript, SPEAKERS);
    assert_eq!(found, own);
    let speakers: std::collections::BTreeSet<_> = transcript
        .turns
        .iter()
        .map(|turn| turn.speaker.as_str())
        .collect();
    assert!(
        speakers
            .into_iter()
            .eq(["speaker_0", "speaker_1", "speaker_2"])
    );
    assert_eq!(transcript.engine, "aws/transcribe");
    assert_eq!(transcript.language.as_deref(), Some("en-US"));
    assert!(transcript.turns.iter().all(|turn| turn.words.is_some()));
    let asked = &bench.front.taken("StartTranscriptionJob")[..];
    let [asked] = asked else {
        panic!("one job, not {}", asked.len())
    };
    let media = asked["Media"]["MediaFileUri"].as_str().expect("an address");
    assert_eq!(
        media,
        format!("s3://{}/recordings/one", bench.store.bucket())
    );
    assert_eq!(asked["Settings"]["ShowSpeakerLabels"], true);
    assert_eq!(asked["IdentifyLanguage"], true);
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    for fact in [
        "transcription.started",
        "recording.transcribed",
        "transcript.completed",
        "analysis.requested",
    ] {
        assert_eq!(bench.harness.published(fact).await, 1, "{fact}");
    }
    assert!(bench.left().await.is_empty(), "the output is gone");
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn delivered_again_it_is_the_same_job_and_the_same_transcript() {
    let bench = Bench::start(2, CHANNELS).await;
    let worker = bench.run().await;
    bench.publish_and_collect().await;
    let first = bench.transcript().await;
    let (found, own) = texts(first.as_ref().expect("a transcript"), CHANNELS);
    assert_eq!(found, own);
    bench.publish_and_collect().await;

    assert_eq!(bench.harness.deliveries(START).await, 2);
    assert_eq!(bench.started(), 1);
    assert_eq!(bench.transcript().await, first);
    assert_eq!(bench.harness.published("transcript.completed").await, 1);
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn what_was_started_and_not_noted_is_a_conflict_and_goes_on() {
    let bench = Bench::start(1, SPEAKERS).await;
    // The job is started, and writing that down fails.
    bench
        .harness
        .break_table("session_events", "insert", 1)
        .await;
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    assert_eq!(bench.harness.deliveries(START).await, 2);
    assert_eq!(bench.started(), 1);
    assert_eq!(bench.front.refused("StartTranscriptionJob"), 1);
    assert!(bench.transcript().await.is_some());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_worker_that_dies_in_between_leaves_one_job_and_one_transcript() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run_with(false).await;
    bench.publish().await;
    assert_eq!(bench.harness.published("transcription.started").await, 1);
    // Dropped without a stop: it dies.
    drop(first);

    // Asked for again meanwhile, as the reconciler does where it was silent for long.
    seed::publish(&bench.harness, &bench.requested).await;
    let second = bench.run().await;
    bench.harness.idle_of(START).await;
    bench.harness.idle_of(COLLECT).await;
    assert_eq!(bench.started(), 1);
    assert_eq!(bench.harness.published("transcript.completed").await, 1);
    assert!(bench.transcript().await.is_some());
    second.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_worker_that_dies_while_it_waits_leaves_one_job_and_one_transcript() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run().await;
    seed::publish(&bench.harness, &bench.requested).await;
    eventually("the job is asked about", || async {
        !bench.front.taken("GetTranscriptionJob").is_empty()
    })
    .await;
    drop(first);

    let second = bench.run().await;
    bench.harness.idle_of(START).await;
    bench.harness.idle_of(COLLECT).await;
    assert_eq!(bench.started(), 1);
    assert_eq!(bench.harness.published("transcript.completed").await, 1);
    second.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn too_fast_is_tried_again() {
    let bench = Bench::start(1, SPEAKERS).await;
    // The SDK tries each request three times by itself.
    bench.front.will("StartTranscriptionJob", [TOO_FAST; 3]);
    bench.front.will("GetTranscriptionJob", [TOO_FAST; 3]);
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    assert_eq!(bench.front.refused("StartTranscriptionJob"), 3);
    assert_eq!(bench.front.refused("GetTranscriptionJob"), 3);
    assert_eq!(bench.started(), 1);
    assert!(bench.transcript().await.is_some());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_failed_job_tells_why_and_the_next_run_is_another_job() {
    let mut bench = Bench::start(1, SPEAKERS).await;
    let reason = "Unsupported media format.";
    bench
        .front
        .will("GetTranscriptionJob", [Fault::Failed(reason)]);
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Failed);
    assert_eq!(
        session.stages.transcription.reason.as_deref(),
        Some("Amazon Transcribe could not transcribe the recording: Unsupported media format.")
    );
    assert_eq!(bench.harness.dead().await, 1);
    assert!(bench.left().await.is_empty());

    bench.ask_again().await;
    bench.publish_and_collect().await;
    assert_eq!(bench.started(), 2);
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_refused_job_fails_at_once_and_tells_why() {
    let bench = Bench::start(1, SPEAKERS).await;
    let message = "The requested vocabulary couldn't be found.";
    let refused = Fault::Refused(400, "BadRequestException", message);
    bench.front.will("StartTranscriptionJob", [refused]);
    let worker = bench.run().await;
    bench.publish().await;

    assert_eq!(bench.front.refused("StartTranscriptionJob"), 1);
    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(stage.state, Phase::Failed);
    let told = stage.reason.expect("a reason");
    assert!(
        told.ends_with(": The requested vocabulary couldn't be found."),
        "{told}"
    );
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_the_policy_forbids_is_not_given_away() {
    let bench = Bench::start(1, SPEAKERS).await;
    let elsewhere = Policy {
        audio_engines: Some(vec!["openai".to_owned(), "aws/call-analytics".to_owned()]),
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &elsewhere).await;
    let worker = bench.run().await;
    bench.publish().await;

    assert_eq!(bench.started(), 0);
    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(stage.state, Phase::Skipped);
    worker.stop().await;
    bench.harness.finish_of(START).await;
}

#[tokio::test]
async fn what_is_forbidden_meanwhile_is_not_kept() {
    let bench = Bench::start(1, SPEAKERS).await;
    let first = bench.run_with(false).await;
    bench.publish().await;
    first.stop().await;
    let nowhere = Policy {
        audio_engines: Some(Vec::new()),
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &nowhere).await;
    bench.front.will(
        "GetTranscriptionJob",
        // It is over in any case: nobody waits for the steps of a job that is not wanted.
        [Fault::Failed("over")],
    );
    let second = bench.run().await;
    bench.harness.idle_of(COLLECT).await;

    assert!(bench.transcript().await.is_none());
    assert!(bench.left().await.is_empty(), "what it wrote is gone");
    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(stage.state, Phase::Skipped);
    second.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn over_the_limits_it_is_cut_and_put_together() {
    let limits = Limits {
        max_ms: 5_000,
        ..Limits::SERVICE
    };
    let bench = Bench::with_audio(silence(2, 12), 2, 12_000, CHANNELS).await;
    let bench = bench.limited(limits);
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let jobs = bench.front.taken("StartTranscriptionJob");
    assert_eq!(jobs.len(), 3, "12 seconds in parts of at most 5");
    for (number, job) in jobs.iter().enumerate() {
        let media = job["Media"]["MediaFileUri"].as_str().expect("an address");
        assert!(media.ends_with(&format!("-{number}.wav")), "{media}");
        assert_eq!(job["MediaFormat"], "wav");
    }
    let transcript = bench.transcript().await.expect("a transcript");
    let (found, own) = texts(&transcript, CHANNELS);
    assert_eq!(found, format!("{own} {own} {own}"));
    let starts: Vec<_> = transcript
        .turns
        .iter()
        .filter(|turn| turn.text.starts_with("She was gone"))
        .map(|turn| turn.start_ms)
        .collect();
    // Silence is cut where a part may first end: 304 ms into the last quarter.
    assert_eq!(starts, [490, 490 + 4_048, 490 + 2 * 4_048]);
    assert!(bench.left().await.is_empty(), "audio and output are gone");
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_call_is_analysed_and_the_findings_kept() {
    let bench = Bench::start(2, "").await;
    let calls = Calls::start(bench.store.clone(), CALL, None).await;
    let bench = bench
        .set("AWS_TRANSCRIBE_MODE", "call_analytics")
        .set("AWS_TRANSCRIBE_LANGUAGE", "en-US")
        .set("AWS_TRANSCRIBE_VOCABULARY", "clinic")
        .set("AWS_TRANSCRIBE_REDACT_PII", "true")
        .set(
            "AWS_TRANSCRIBE_ROLE_ARN",
            "arn:aws:iam::123456789012:role/transcribe",
        )
        .set("AWS_ENDPOINT_URL_TRANSCRIBE", &calls.url());
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let started = calls.started();
    let [asked] = &started[..] else {
        panic!("one job, not {}", started.len())
    };
    let roles: Vec<_> = asked
        .channel_definitions()
        .iter()
        .map(|it| (it.channel_id, it.participant_role.clone()))
        .collect();
    assert_eq!(
        roles,
        [
            (0, Some(ParticipantRole::Agent)),
            (1, Some(ParticipantRole::Customer))
        ]
    );
    let settings = asked.settings().expect("settings");
    assert_eq!(settings.vocabulary_name(), Some("clinic"));
    assert_eq!(settings.language_options(), [LanguageCode::EnUs]);
    assert!(settings.content_redaction().is_some());
    assert!(asked.data_access_role_arn().is_some());

    let transcript = bench.transcript().await.expect("a transcript");
    assert_eq!((transcript.turns.len(), transcript.note), (37, None));
    assert_eq!(transcript.engine, "aws/call-analytics");
    let found = bench.findings().await.remove(0).findings.expect("findings");
    let found: Vec<CallFindings> = serde_json::from_value(found).expect("the shape");
    assert_eq!(found[0].sentiment.get("speaker_0"), Some(&2.4));
    assert_eq!(found[0].turns.len(), 37);
    assert!(bench.left().await.is_empty());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}

#[tokio::test]
async fn a_call_that_fails_tells_why() {
    let bench = Bench::start(2, "").await;
    let reason = "The audio has no speech in s3://bucket/key.";
    let calls = Calls::start(bench.store.clone(), CALL, Some(reason)).await;
    let bench = bench
        .set("AWS_TRANSCRIBE_MODE", "call_analytics")
        .set("AWS_ENDPOINT_URL_TRANSCRIBE", &calls.url());
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(
        stage.reason.as_deref(),
        Some("Amazon Transcribe could not transcribe the recording: The audio has no speech in.")
    );
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn one_channel_is_no_call_and_says_so() {
    let bench = Bench::start(1, SPEAKERS).await;
    let bench = bench.set("AWS_TRANSCRIBE_MODE", "call_analytics");
    let worker = bench.run().await;
    bench.publish_and_collect().await;

    assert_eq!(bench.started(), 1, "a standard job");
    let transcript = bench.transcript().await.expect("a transcript");
    assert_eq!(transcript.note.as_deref(), Some(NOT_TWO_CHANNELS));
    assert_eq!(transcript.engine, "aws/transcribe");
    let found = bench.findings().await.remove(0);
    assert_eq!(found.note.as_deref(), Some(NOT_TWO_CHANNELS));
    assert!(found.findings.is_none());
    worker.stop().await;
    bench.harness.finish_of(COLLECT).await;
}
