//! `TranscribeRecording` on a real Postgres, nats-server, S3 and speech server; what a speech server
//! does wrong comes from a stub that follows OpenAI's protocol
//! (<https://platform.openai.com/docs/api-reference/audio/createTranscription>).

mod stub;

use std::fs::File;
use std::path::Path;

use aftercall::audio::Decoder;
use aftercall::config::{self, Env};
use aftercall::db::erasures::{self, Reason, Subject};
use aftercall::db::provision::Process;
use aftercall::db::recordings::Probed;
use aftercall::db::{Principal, WorkerRole, timeline, transcriptions, transcripts};
use aftercall::documents::transcript::{NO_SPEECH, Transcript};
use aftercall::documents::transcription_options::TranscriptionOptions;
use aftercall::embedded::harness::{Harness, Running, eventually};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{ErasedPart, TranscriptionRequested};
use aftercall::policy::Policy;
use aftercall::providers::object_store::ObjectStore;
use aftercall::session::{Phase, Status};
use stub::{Answer, Stub};

const HANDLER: &str = "transcribe-recording";
const CALL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../all/samples/clinic-call/call.opus"
);

struct Bench {
    harness: Harness,
    store: ObjectStore,
    seeded: Seeded,
    requested: TranscriptionRequested,
}

impl Bench {
    /// A session with one stored recording whose transcription is due.
    async fn start(wav: Vec<u8>, probed: Probed) -> Self {
        let harness = Harness::start().await;
        let settings =
            config::ObjectStore::read(&harness.env(Process::Transcription)).expect("settings");
        let store = ObjectStore::connect(&settings).await.expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        store
            .put("recordings/one", "audio/wav", wav.into())
            .await
            .expect("stored");
        let seeded = seed::session(&harness).await;
        let uploaded = seed::recording(&harness, seeded, "recordings/one", 1, [0; 32]).await;
        let requested = seed::stored(&harness, &uploaded, probed).await;
        Self {
            harness,
            store,
            seeded,
            requested,
        }
    }

    /// Runs the worker on the speech server of the test run, or on another.
    fn run(&self, base_url: Option<&str>) -> Running {
        let env = self.harness.env(Process::Transcription);
        let env = base_url.map_or(env.clone(), |url| {
            env.with([("TRANSCRIPTION_BASE_URL", url)])
        });
        let settings = speech(&env);
        let db = self.harness.db(Process::Transcription);
        let handler = aftercall_transcription::handler(db, self.store.clone(), &settings);
        let role = WorkerRole::Transcription;
        let worker = self
            .harness
            .worker("transcription", role, Process::Transcription);
        self.harness
            .run(worker.handler(handler.expect("a handler")))
    }

    async fn publish(&self) {
        seed::publish(&self.harness, &self.requested).await;
        self.harness.idle_of(HANDLER).await;
    }

    /// The state and run of the transcription.
    async fn run_state(&self) -> (String, i32) {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let asked = transcriptions::get(&mut tx, self.requested.recording_id, 1).await;
        let asked = asked.expect("a query").expect("a transcription");
        (asked.state, asked.run)
    }

    /// Asks for the next run, as the owner does.
    async fn ask_again(&self) -> TranscriptionRequested {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let session = timeline::lock(&mut tx, self.seeded.session_id).await;
        let session = session.expect("a lock").expect("a session");
        let recording = self.requested.recording_id;
        let run = transcriptions::retry(&mut tx, session.account_id, recording, 1).await;
        let requested = TranscriptionRequested {
            run: run.expect("a query").expect("it may run again"),
            ..self.requested.clone()
        };
        timeline::record(&mut tx, &session, &[requested.clone().into()])
            .await
            .expect("a fact");
        tx.commit().await.expect("commit");
        requested
    }

    /// Erases as the ingress does when consent is withdrawn.
    async fn erase(&self, parts: &[ErasedPart]) {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let id = self.seeded.session_id;
        let session = timeline::lock(&mut tx, id).await.expect("a lock");
        let session = session.expect("a session");
        let (account, reason) = (session.account_id, Reason::Consent);
        let erasure = erasures::open(&mut tx, account, Subject::Session(id), parts, reason).await;
        let erasure = erasure.expect("an erasure");
        erasures::request(&mut tx, &session, erasure, parts, None)
            .await
            .expect("erased");
        tx.commit().await.expect("commit");
    }

    /// How many answers of the engine are kept.
    async fn chunks(&self) -> usize {
        let role = Principal::Worker(WorkerRole::Transcription);
        let mut tx = self.harness.begin(Process::Transcription, role).await;
        let session = timeline::read(&mut tx, self.seeded.session_id).await;
        let account = session.expect("a query").expect("a session").account_id;
        let chunks = transcriptions::chunks(&mut tx, account, self.requested.recording_id, 1).await;
        chunks.expect("a query").len()
    }

    async fn transcript(&self) -> Option<Transcript> {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        transcripts::get(&mut tx, self.seeded.session_id, None)
            .await
            .expect("a query")
    }
}

fn speech(env: &Env) -> config::Transcription {
    config::Transcription::read(env).expect("a speech server: run the tests with `make test`")
}

/// The first seconds of the sample call as a two-channel WAV.
fn call(seconds: usize) -> (Vec<u8>, Probed) {
    let mut decoder =
        Decoder::open(File::open(Path::new(CALL)).expect("the sample")).expect("audio");
    let spec = hound::WavSpec {
        channels: decoder.channels(),
        sample_rate: decoder.sample_rate_hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let wanted = seconds * spec.sample_rate as usize;
    let mut planes: Vec<Vec<f32>> = vec![Vec::new(); spec.channels.into()];
    while planes[0].len() < wanted {
        let block = decoder
            .next_block()
            .expect("it decodes")
            .expect("it is long enough");
        for (plane, more) in planes.iter_mut().zip(block.planes) {
            plane.extend_from_slice(more);
        }
    }
    (
        wav(spec, wanted, |at, channel| planes[channel][at]),
        probed(seconds, spec),
    )
}

fn silence(seconds: usize) -> (Vec<u8>, Probed) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    (
        wav(spec, seconds * 16_000, |_, _| 0.0),
        probed(seconds, spec),
    )
}

fn wav(spec: hound::WavSpec, frames: usize, sample: impl Fn(usize, usize) -> f32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    for at in 0..frames {
        for channel in 0..usize::from(spec.channels) {
            #[expect(clippy::cast_possible_truncation, reason = "a sample of 16 bits")]
            let sample = (sample(at, channel).clamp(-1.0, 1.0) * 32_767.0) as i16;
            writer.write_sample(sample).expect("a sample");
        }
    }
    writer.finalize().expect("a file");
    bytes.into_inner()
}

fn probed(seconds: usize, spec: hound::WavSpec) -> Probed {
    Probed {
        duration_ms: i64::try_from(seconds * 1_000).expect("short"),
        channels: spec.channels.into(),
        sample_rate_hz: i32::try_from(spec.sample_rate).expect("a rate"),
    }
}

#[tokio::test]
async fn a_recording_is_transcribed() {
    let (wav, probed) = call(12);
    let bench = Bench::start(wav, probed).await;
    let worker = bench.run(None);
    bench.publish().await;

    let transcript = bench.transcript().await.expect("a transcript");
    assert!(
        transcript.turns.len() >= 2,
        "{} turns",
        transcript.turns.len()
    );
    assert_eq!(transcript.turns[0].speaker, "speaker_0");
    assert!(
        transcript
            .turns
            .iter()
            .any(|turn| turn.speaker == "speaker_1")
    );
    assert!(transcript.turns.is_sorted_by_key(|turn| turn.start_ms));
    assert_eq!((transcript.generation, transcript.duration_ms), (1, 12_000));
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    assert_eq!(session.stages.transcription.state, Phase::Done);
    for (fact, count) in [
        ("recording.transcribed", 1),
        ("transcript.completed", 1),
        ("analysis.requested", 1),
    ] {
        assert_eq!(bench.harness.published(fact).await, count, "{fact}");
    }
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn delivered_twice_it_is_heard_and_written_once() {
    let (wav, probed) = call(6);
    let bench = Bench::start(wav, probed).await;
    let stub = Stub::start([Answer::Text("Hello there.")]).await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;
    let (first, heard) = (bench.transcript().await, stub.requests());
    bench.publish().await;

    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert_eq!(bench.transcript().await, first);
    assert_eq!(stub.requests(), heard, "nothing was sent again");
    assert_eq!(bench.harness.published("transcript.completed").await, 1);
    assert_eq!(bench.harness.published("analysis.requested").await, 1);
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn after_a_failed_attempt_only_the_missing_chunks_are_sent() {
    let (wav, probed) = call(12);
    let bench = Bench::start(wav, probed).await;
    let stub = Stub::start([
        Answer::Text("Hello."),
        Answer::Status(500),
        Answer::Text("Goodbye."),
    ])
    .await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;

    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    let sent = stub.sent();
    let distinct: std::collections::BTreeSet<_> = sent.iter().collect();
    assert_eq!(
        sent.len(),
        distinct.len() + 1,
        "only the chunk that failed was sent twice"
    );
    assert_eq!(
        bench.harness.session(bench.seeded).await.status,
        Status::Transcribed
    );
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn a_refused_recording_fails_with_a_reason() {
    let (wav, probed) = call(6);
    let bench = Bench::start(wav, probed).await;
    let stub = Stub::start([Answer::Status(400)]).await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;

    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Failed);
    let reason = session.stages.transcription.reason;
    assert_eq!(
        reason.as_deref(),
        Some("The speech service refused the recording.")
    );
    assert_eq!(bench.harness.deliveries(HANDLER).await, 1);
    assert_eq!(bench.harness.published("transcription.failed").await, 1);
    assert_eq!(bench.harness.dead().await, 1);
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn silence_is_not_sent_and_gives_an_empty_transcript() {
    let (wav, probed) = silence(30);
    let bench = Bench::start(wav, probed).await;
    let stub = Stub::start([]).await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;

    let transcript = bench.transcript().await.expect("a transcript");
    assert!(transcript.turns.is_empty());
    assert_eq!(transcript.note.as_deref(), Some(NO_SPEECH));
    assert_eq!(stub.requests(), 0);
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn what_the_policy_forbids_is_skipped_and_nothing_is_sent() {
    let (wav, probed) = call(6);
    let bench = Bench::start(wav, probed).await;
    let forbids = Policy {
        audio_engines: Some(vec!["another".to_owned()]),
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &forbids).await;
    let stub = Stub::start([Answer::Text("Hello.")]).await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;
    // Delivered again after the policy was changed, the run stays skipped: nobody asked for another.
    seed::policy(&bench.harness, bench.seeded, &Policy::default()).await;
    bench.publish().await;

    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert_eq!(stub.requests(), 0);
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Recorded);
    assert_eq!(session.stages.transcription.state, Phase::Skipped);
    assert_eq!(
        session.stages.transcription.reason.as_deref(),
        Some("The policy of this account does not let the speech service hear its recordings.")
    );
    assert_eq!(session.stages.analysis.state, Phase::Pending);
    assert_eq!(bench.run_state().await, ("skipped".to_owned(), 1));
    assert_eq!(bench.harness.published("transcription.skipped").await, 1);

    let again = bench.ask_again().await;
    seed::publish(&bench.harness, &again).await;
    bench.harness.idle_of(HANDLER).await;
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    assert_eq!(session.stages.transcription.attempt, 2);
    assert!(stub.requests() > 0);
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn without_the_consent_that_is_needed_nothing_is_sent() {
    let (wav, probed) = call(6);
    let bench = Bench::start(wav, probed).await;
    let needed = Policy {
        consent_required: true,
        audio_engines: Some(vec!["openai".to_owned()]),
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &needed).await;
    let stub = Stub::start([Answer::Text("Hello.")]).await;
    let worker = bench.run(Some(&stub.url()));
    bench.publish().await;
    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(stage.state, Phase::Skipped);
    let missing = "The consent that automatic transcription needs has not been noted.";
    assert_eq!(stage.reason.as_deref(), Some(missing));
    assert_eq!(stub.requests(), 0);

    seed::consent(&bench.harness, bench.seeded, true, true).await;
    let again = bench.ask_again().await;
    seed::publish(&bench.harness, &again).await;
    bench.harness.idle_of(HANDLER).await;
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Transcribed);
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn consent_that_is_withdrawn_stops_the_next_chunk() {
    let (wav, probed) = call(12);
    let bench = Bench::start(wav, probed).await;
    seed::consent(&bench.harness, bench.seeded, true, true).await;
    let stub = Stub::held([Answer::Text("Hello.")]).await;
    let worker = bench.run(Some(&stub.url()));
    seed::publish(&bench.harness, &bench.requested).await;
    eventually("the first chunk is sent", || async { stub.requests() == 1 }).await;
    seed::consent(&bench.harness, bench.seeded, true, false).await;
    stub.release();
    bench.harness.idle_of(HANDLER).await;

    assert_eq!(stub.requests(), 1, "no other chunk was sent");
    assert_eq!(bench.chunks().await, 0, "the answer was not kept");
    assert!(bench.transcript().await.is_none());
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.stages.transcription.state, Phase::Skipped);
    assert_eq!(
        session.stages.transcription.reason.as_deref(),
        Some("The person in this session does not agree to automatic transcription.")
    );
    assert_eq!(bench.run_state().await, ("skipped".to_owned(), 1));
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn withdrawn_consent_that_erased_the_run_still_ends_the_stage() {
    let (wav, probed) = call(12);
    let bench = Bench::start(wav, probed).await;
    let stub = Stub::held([Answer::Text("Hello.")]).await;
    let worker = bench.run(Some(&stub.url()));
    seed::publish(&bench.harness, &bench.requested).await;
    eventually("the first chunk is sent", || async { stub.requests() == 1 }).await;
    seed::consent(&bench.harness, bench.seeded, true, false).await;
    bench
        .erase(&[ErasedPart::Transcript, ErasedPart::Analysis])
        .await;
    stub.release();
    bench.harness.idle_of(HANDLER).await;

    assert_eq!((stub.requests(), bench.chunks().await), (1, 0));
    let stage = bench
        .harness
        .session(bench.seeded)
        .await
        .stages
        .transcription;
    assert_eq!(stage.state, Phase::Skipped);
    // What is delivered again does not bring back what was erased.
    seed::consent(&bench.harness, bench.seeded, true, true).await;
    bench.publish().await;
    assert_eq!((stub.requests(), bench.chunks().await), (1, 0));
    worker.stop().await;
    bench.harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn asked_to_leave_personal_data_out_it_says_that_it_cannot() {
    let stub = Stub::start([Answer::Text("My number is 555 0100.")]).await;
    let (wav, probed) = silence(2);
    let bench = Bench::start(wav, probed).await;
    let requested = TranscriptionRequested {
        generation: 2,
        ..bench.requested.clone()
    };
    let principal = Principal::user(bench.seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, principal).await;
    let session = timeline::lock(&mut tx, bench.seeded.session_id).await;
    let session = session.expect("a lock").expect("a session");
    let options = TranscriptionOptions {
        redact_pii: Some(true),
        ..TranscriptionOptions::default()
    };
    transcriptions::request_with(&mut tx, &session, requested.recording_id, 2, &options)
        .await
        .expect("requested");
    timeline::record(&mut tx, &session, &[requested.clone().into()])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
    let worker = bench.run(Some(&stub.url()));
    seed::publish(&bench.harness, &requested).await;
    bench.harness.idle_of(HANDLER).await;

    assert!(stub.sent().is_empty(), "nothing left");
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(
        session.stages.transcription.reason.as_deref(),
        Some("This speech engine cannot leave personal data out of the transcript.")
    );
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}
