//! Hours of silence in a small file.

use std::time::{Duration, Instant};

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::documents::transcript::NO_SPEECH;

use crate::figures::{MIB, peak_bytes, report};
use crate::flac;
use crate::pipeline::Pipeline;
use crate::proxy::CountingProxy;

struct Figures {
    took: Duration,
    peak_bytes: u64,
}

#[tokio::test]
async fn silence_is_an_empty_transcript() {
    measure(20 * 60).await;
}

#[tokio::test]
#[ignore = "takes minutes: `make soak`"]
async fn ten_hours_of_silence_take_under_15_minutes_and_256_mib() {
    let figures = measure(10 * 60 * 60).await;
    assert!(figures.took < Duration::from_mins(15));
    assert!(figures.peak_bytes < 256 * MIB);
}

async fn measure(seconds: u32) -> Figures {
    let speech_url = Env::of_process().text("TRANSCRIPTION_BASE_URL");
    let proxy = CountingProxy::before(&speech_url.expect("run the tests with `make test`")).await;
    let others = [Process::Storage, Process::Analysis, Process::Maintenance];
    let pipeline = Pipeline::start(&others, &proxy.url()).await;
    let worker = pipeline.worker(Process::Transcription).await;
    let (file, duration_ms) = flac::silent(seconds);
    let path = pipeline.harness.dir().join("silence.flac");
    std::fs::write(&path, &file).expect("written");
    let session = pipeline.session().await;

    let began = Instant::now();
    let uploaded = pipeline
        .client
        .upload(session, &path, "silence", |_| {})
        .await;
    let recording = uploaded.expect("uploaded").recording_id;
    let outcome = pipeline
        .client
        .follow_to_the_end(session, Some(recording), |_, _| {})
        .await;
    let took = began.elapsed();
    outcome.expect("an end");
    let peak_bytes = peak_bytes(worker.pid());

    let transcript = pipeline.client.transcript(session).await;
    let transcript = transcript.expect("a transcript");
    assert_eq!(transcript.note.as_deref(), Some(NO_SPEECH));
    assert_eq!(transcript.turns, []);
    assert_eq!(transcript.duration_ms, duration_ms);
    assert!(proxy.sent().is_empty(), "silence was sent");

    report(
        format!(
            "{} min of silent FLAC, {} KiB",
            seconds / 60,
            file.len() / 1024
        ),
        format!(
            "{:.0} s from upload to analysis, transcription worker {} MiB",
            took.as_secs_f64(),
            peak_bytes / MIB,
        ),
    );
    worker.stop().await;
    pipeline.stop().await;
    Figures { took, peak_bytes }
}
