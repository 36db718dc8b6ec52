//! Transcription worker: turns stored recordings into transcripts.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`TranscribeRecording`] | `transcription.requested` | `recording.transcribed`, `transcription.skipped`, `transcript.progressed`, `transcript.completed`, `analysis.requested` | `transcriptions`, `transcription_chunks`, `transcripts`, `analyses` | S3, a speech-to-text server |
//!
//! Whether a recording may be heard at all is asked first and throughout ([`permission`]). It is decoded ([`cutting`]), brought to 16 kHz ([`resample`]), searched for speech
//! ([`speech`], [`crosstalk`]), cut at its pauses ([`segmenter`], [`chunks`]), heard chunk by chunk
//! ([`TranscribeRecording`]) and put together ([`turns`], [`conclude`]).
//!
//! Not here: what a transcript is (`aftercall::documents::transcript`).
//!
//! Invariant: nothing leaves this machine that the account's policy or the session's consent forbids; a
//! chunk that was answered is stored and not asked for again; a generation that is
//! written is never changed.

pub mod chunks;
pub mod conclude;
pub mod crosstalk;
pub mod cutting;
pub mod permission;
pub mod resample;
pub mod segmenter;
pub mod speech;
mod transcribe_recording;
pub mod turns;
pub mod wav;

pub use transcribe_recording::TranscribeRecording;

use aftercall::bus::Bus;
use aftercall::config::{self, ConfigError, Env};
use aftercall::db::{Db, WorkerRole};
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::providers::openai_audio::OpenAiAudio;
use aftercall::telemetry::PrometheusHandle;
use aftercall::worker::{Probe, Settings, Worker};
use tokio::net::TcpStream;

/// What this worker reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: config::Worker,
    pub nats: config::Nats,
    pub database: config::Database,
    pub object_store: config::ObjectStore,
    pub transcription: config::Transcription,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            object_store: config::ObjectStore::read(env)?,
            transcription: config::Transcription::read(env)?,
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
    let stored = Probe::new("object store", move || {
        let store = probed.clone();
        async move { Ok(store.ping().await?) }
    });
    // Only whether somebody is there: some servers are silent while they transcribe.
    let speech: reqwest::Url = config.transcription.base_url.parse()?;
    let host = speech.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = speech.port_or_known_default().unwrap_or(80);
    let heard = Probe::new("speech server", move || {
        let host = host.clone();
        async move {
            TcpStream::connect((host.as_str(), port)).await?;
            Ok(())
        }
    });
    Worker::new(Settings {
        name: "transcription",
        role: WorkerRole::Transcription,
        bus,
        db: db.clone(),
        probes: vec![stored, heard],
        concurrency: config.worker.concurrency,
    })
    .handler(handler(db, store, &config.transcription)?)
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
    Ok(TranscribeRecording::new(
        db,
        store,
        engine,
        format!("openai/{model}"),
        settings.max_audio,
    ))
}
