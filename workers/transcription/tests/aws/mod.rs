//! What the tests of Amazon Transcribe share.

pub mod calls;
mod faults;
pub mod front;
mod live;

use aftercall::config::{AwsTranscribe, Env, ObjectStore as StoreSettings};
use aftercall::db::erasures::{self, Reason, Subject};
use aftercall::db::provision::Process;
use aftercall::db::recordings::Probed;
use aftercall::db::{Principal, WorkerRole, timeline, transcriptions, transcripts};
use aftercall::documents::transcript::Transcript;
use aftercall::embedded::Moto;
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{ErasedPart, TranscriptionRequested, TranscriptionStarted};
use aftercall::providers::object_store::ObjectStore;
use aftercall_transcription::aws::request::Limits;
use aftercall_transcription::aws::{Starter, Transcribe};
use aftercall_transcription::{CollectTranscript, Engine, TranscribeRecording};
use front::Front;

pub const START: &str = "transcribe-recording";
pub const COLLECT: &str = "collect-transcript";

pub const SPEAKERS: &str = include_str!("../data/aws/standard-03-speaker-identification.json");
pub const CHANNELS: &str = include_str!("../data/aws/standard-02-channel-identification.json");
pub const REDACTED: &str = include_str!(
    "../data/aws/standard-05-automatic-content-redaction-with-undredacted-redacted.json"
);
pub const CALL: &str = include_str!("../data/aws/call-analytics-example.json");

/// A session with one stored recording whose transcription is due, and Amazon's servers.
pub struct Bench {
    pub harness: Harness,
    pub store: ObjectStore,
    pub front: Front,
    pub seeded: Seeded,
    pub requested: TranscriptionRequested,
    env: Env,
    limits: Limits,
    _moto: Moto,
}

impl Bench {
    /// A recording of so many channels; each standard job writes `output`.
    pub async fn start(channels: u16, output: &'static str) -> Self {
        Self::with_audio(silence(channels, 2), channels, 2_000, output).await
    }

    pub async fn with_audio(
        wav: Vec<u8>,
        channels: u16,
        duration_ms: i64,
        output: &'static str,
    ) -> Self {
        let harness = Harness::start().await;
        let moto = harness.moto().await;
        let env = harness.env(Process::Transcription).with([
            ("AWS_ENDPOINT_URL_S3", moto.url()),
            ("AWS_TRANSCRIBE_POLL_SECONDS", "1".to_owned()),
        ]);
        let settings = StoreSettings::read(&env).expect("settings");
        let store = ObjectStore::connect(&settings).await.expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        let size = i64::try_from(wav.len()).expect("a small file");
        store
            .put("recordings/one", "audio/wav", wav.into())
            .await
            .expect("stored");
        let front = Front::start(&moto.url(), store.clone(), output).await;
        let env = env.with([("AWS_ENDPOINT_URL_TRANSCRIBE", front.url())]);
        let seeded = seed::session(&harness).await;
        let uploaded = seed::recording(&harness, seeded, "recordings/one", size, [0; 32]).await;
        let requested = seed::stored(&harness, &uploaded, probed(channels, duration_ms)).await;
        Self {
            harness,
            store,
            front,
            seeded,
            requested,
            env,
            limits: Limits::SERVICE,
            _moto: moto,
        }
    }

    /// With other settings.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.env = self.env.with([(name, value)]);
        self
    }

    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The worker with both of its handlers.
    pub async fn run(&self) -> Running {
        self.run_with(true).await
    }

    /// The worker, with or without the handler that collects.
    pub async fn run_with(&self, collects: bool) -> Running {
        run(&self.harness, &self.env, &self.store, self.limits, collects).await
    }

    /// Sends the request once more, under an id that the broker has not seen, as the reconciler may.
    pub async fn publish(&self) {
        seed::publish(&self.harness, &self.requested).await;
        self.harness.idle_of(START).await;
    }

    pub async fn publish_and_collect(&self) {
        self.publish().await;
        self.harness.idle_of(COLLECT).await;
    }

    /// What the timeline says was started.
    pub async fn started_fact(&self) -> TranscriptionStarted {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let session = timeline::lock(&mut tx, self.seeded.session_id).await;
        let session = session.expect("a lock").expect("a session");
        let fields = serde_json::json!({ "recording_id": self.requested.recording_id });
        let fact = timeline::find(&mut tx, &session, fields).await;
        fact.expect("a query").expect("a fact")
    }

    pub fn started(&self) -> usize {
        self.front.taken("StartTranscriptionJob").len()
    }

    /// Erases the session as its owner does.
    pub async fn erase(&self) {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let id = self.seeded.session_id;
        let session = timeline::lock(&mut tx, id).await.expect("a lock");
        let session = session.expect("a session");
        let (subject, parts) = (Subject::Session(id), &[ErasedPart::Session]);
        let account = session.account_id;
        let erasure = erasures::open(&mut tx, account, subject, parts, Reason::Request).await;
        let erasure = erasure.expect("an erasure");
        erasures::request(&mut tx, &session, erasure, parts, None)
            .await
            .expect("erased");
        tx.commit().await.expect("commit");
    }

    /// Asks for the next run, as the owner does.
    pub async fn ask_again(&mut self) {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let session = timeline::lock(&mut tx, self.seeded.session_id).await;
        let session = session.expect("a lock").expect("a session");
        let recording = self.requested.recording_id;
        let run = transcriptions::retry(&mut tx, session.account_id, recording, 1).await;
        self.requested.run = run.expect("a query").expect("it may run again");
        timeline::record(&mut tx, &session, &[self.requested.clone().into()])
            .await
            .expect("a fact");
        tx.commit().await.expect("commit");
    }

    pub async fn transcript(&self) -> Option<Transcript> {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        transcripts::get(&mut tx, self.seeded.session_id, None)
            .await
            .expect("a query")
    }

    pub async fn findings(&self) -> Vec<transcriptions::Findings> {
        let principal = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        transcriptions::findings(&mut tx, self.seeded.session_id, 1)
            .await
            .expect("a query")
    }

    /// Files of jobs that are left in the bucket.
    pub async fn left(&self) -> Vec<String> {
        let files = self.store.list(transcriptions::JOB_FILES).await;
        files.expect("a listing")
    }
}

/// The worker on Amazon Transcribe.
pub async fn run(
    harness: &Harness,
    env: &Env,
    store: &ObjectStore,
    limits: Limits,
    collects: bool,
) -> Running {
    let settings = AwsTranscribe::read(env).expect("settings");
    let service = Transcribe::connect(&settings).await;
    let db = harness.db(Process::Transcription);
    let starter = Starter::new(db.clone(), store.clone(), service.clone(), &settings);
    let engine = Engine::Aws(starter.with_limits(limits).into());
    let (role, process) = (WorkerRole::Transcription, Process::Transcription);
    let worker = harness
        .worker("transcription", role, process)
        .handler(TranscribeRecording::new(db.clone(), engine));
    let worker = if collects {
        worker.handler(CollectTranscript::new(
            db,
            store.clone(),
            service,
            &settings,
        ))
    } else {
        worker
    };
    harness.run(worker)
}

pub fn probed(channels: u16, duration_ms: i64) -> Probed {
    Probed {
        duration_ms,
        channels: channels.into(),
        sample_rate_hz: 16_000,
    }
}

/// A WAV file at 16 kHz.
pub fn silence(channels: u16, seconds: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    for _ in 0..seconds * 16_000 * u32::from(channels) {
        writer.write_sample(0_i16).expect("a sample");
    }
    writer.finalize().expect("a file");
    bytes.into_inner()
}

/// The text of all turns, and that of a sample's own transcript.
pub fn texts(transcript: &Transcript, sample: &str) -> (String, String) {
    let turns: Vec<_> = transcript
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    let sample: serde_json::Value = serde_json::from_str(sample).expect("JSON");
    let own = sample["results"]["transcripts"][0]["transcript"].as_str();
    (turns.join(" "), own.expect("a text").to_owned())
}
