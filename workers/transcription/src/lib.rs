//! Transcription worker: turns stored recordings into transcripts.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`TranscribeRecording`] | `transcription.requested` | `transcription.started`, `recording.transcribed`, `transcription.skipped`, `transcript.progressed`, `transcript.completed`, `analysis.requested` | `transcriptions`, `transcription_chunks`, `transcripts`, `analyses` | S3, a speech-to-text server or Amazon Transcribe |
//! | [`CollectTranscript`] | `transcription.started` | `recording.transcribed`, `transcription.skipped`, `transcript.completed`, `analysis.requested` | `transcriptions`, `transcripts`, `analyses` | S3, Amazon Transcribe |
//!
//! Whether a recording may be heard at all is asked first and throughout ([`permission`]). For a
//! speech-to-text server ([`speech_server`]) it is decoded ([`cutting`]), brought to 16 kHz
//! ([`resample`]), searched for speech ([`speech`], [`crosstalk`]), cut at its pauses ([`segmenter`],
//! [`chunks`]), heard chunk by chunk and put together ([`turns`]). Amazon Transcribe ([`aws`]) reads it
//! from the bucket and is asked for the result later. What follows is the same ([`conclude`]).
//!
//! Not here: what a transcript is (`aftercall::documents::transcript`).
//!
//! Invariant: nothing leaves this machine that the account's policy or the session's consent forbids;
//! what was answered is stored and not asked for again; a generation that is written is never changed.

pub mod aws;
pub mod chunks;
mod collect_transcript;
pub mod conclude;
pub mod crosstalk;
pub mod cutting;
pub mod permission;
pub mod resample;
pub mod segmenter;
pub mod speech;
pub mod speech_server;
mod transcribe_recording;
pub mod turns;
pub mod wav;

pub use collect_transcript::CollectTranscript;
pub use transcribe_recording::{Engine, TranscribeRecording};

use std::fs::File;
use std::sync::Arc;

use aftercall::bus::Bus;
use aftercall::config::{self, ConfigError, Env, SpeechProvider};
use aftercall::db::recordings::Recording;
use aftercall::db::{Db, Principal, WorkerRole};
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::providers::openai_audio::OpenAiAudio;
use aftercall::telemetry::PrometheusHandle;
use aftercall::worker::{Failure, Probe, Settings, Worker};
use aws::{Starter, Transcribe};
use speech_server::SpeechServer;
use tokio::net::TcpStream;

pub(crate) const ROLE: Principal = Principal::Worker(WorkerRole::Transcription);

/// What this worker reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: config::Worker,
    pub nats: config::Nats,
    pub database: config::Database,
    pub object_store: config::ObjectStore,
    /// `None` where Amazon Transcribe hears recordings.
    pub server: Option<config::Transcription>,
    pub aws: config::AwsTranscribe,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let server = match SpeechProvider::read(env)? {
            SpeechProvider::OpenAi => Some(config::Transcription::read(env)?),
            SpeechProvider::Aws => None,
        };
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            object_store: config::ObjectStore::read(env)?,
            server,
            aws: config::AwsTranscribe::read(env)?,
        })
    }
}

/// Runs the worker until the stop.
pub async fn start(
    config: Config,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let db = Db::connect_lazy(&config.database.url, config.database.max_connections)?;
    let bus = Bus::connect(&config.nats, "transcription").await?;
    let store = ObjectStore::connect(&config.object_store).await?;
    let probed = store.clone();
    let mut probes = vec![Probe::new("object store", move || {
        let store = probed.clone();
        async move { Ok(store.ping().await?) }
    })];
    let service = Transcribe::connect(&config.aws).await;
    let hears = match &config.server {
        Some(server) => {
            probes.push(listens(server)?);
            handler(db.clone(), store.clone(), server)?
        }
        None => aws_handler(db.clone(), store.clone(), service.clone(), &config.aws),
    };
    // Also after a change to another engine: what was started is still to be collected.
    let collects = CollectTranscript::new(db.clone(), store, service, &config.aws);
    Worker::new(Settings {
        name: "transcription",
        role: WorkerRole::Transcription,
        bus,
        db,
        probes,
        concurrency: config.worker.concurrency,
    })
    .handler(hears)
    .handler(collects)
    .serve(config.worker.address, metrics, shutdown)
    .await
}

/// The handler on the speech-to-text server of the settings.
pub fn handler(
    db: Db,
    store: ObjectStore,
    settings: &config::Transcription,
) -> anyhow::Result<TranscribeRecording> {
    let http = aftercall::providers::http_client()?;
    let model = settings.model.clone();
    let engine = OpenAiAudio::new(
        http,
        &settings.base_url,
        settings.api_key.clone(),
        model.clone(),
        settings.language.clone(),
    );
    let name = format!("openai/{model}");
    let server = SpeechServer::new(db.clone(), store, engine, name, settings.max_audio);
    Ok(TranscribeRecording::new(
        db,
        Engine::Server(Arc::new(server)),
    ))
}

/// The handler on Amazon Transcribe.
pub fn aws_handler(
    db: Db,
    store: ObjectStore,
    service: Transcribe,
    settings: &config::AwsTranscribe,
) -> TranscribeRecording {
    let starter = Starter::new(db.clone(), store, service, settings);
    TranscribeRecording::new(db, Engine::Aws(Arc::new(starter)))
}

/// Only whether somebody is there: some servers are silent while they transcribe.
fn listens(settings: &config::Transcription) -> anyhow::Result<Probe> {
    let speech: reqwest::Url = settings.base_url.parse()?;
    let host = speech.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = speech.port_or_known_default().unwrap_or(80);
    Ok(Probe::new("speech server", move || {
        let host = host.clone();
        async move {
            TcpStream::connect((host.as_str(), port)).await?;
            Ok(())
        }
    }))
}

/// A copy on this machine's disk: some containers keep their index at the end, and decoding reads back
/// and forth.
pub(crate) async fn download(store: &ObjectStore, recording: &Recording) -> Result<File, Failure> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile).await??;
    let mut target = tokio::fs::File::from_std(file);
    store.download(&recording.object_key, &mut target).await?;
    Ok(target.into_std().await)
}
