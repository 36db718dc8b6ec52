//! A long recording through the whole pipeline, during which the transcription worker is killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aftercall::client::Outcome;
use aftercall::config::Env;
use aftercall::db::provision::Process;

use crate::figures::{MIB, peak_bytes, report};
use crate::long_call;
use crate::pipeline::{Pipeline, until};
use crate::proxy::CountingProxy;

/// The worker is killed as soon as this many chunks are stored.
const CHUNKS_BEFORE_KILL: usize = 3;

struct Figures {
    took: Duration,
    peak_bytes: u64,
}

#[tokio::test]
async fn a_killed_worker_goes_on_with_the_missing_chunks() {
    measure(2).await;
}

#[tokio::test]
#[ignore = "takes minutes: `make soak`"]
async fn an_hour_takes_under_15_minutes_and_256_mib() {
    let figures = measure(60).await;
    assert!(figures.took < Duration::from_mins(15));
    assert!(figures.peak_bytes < 256 * MIB);
}

async fn measure(minutes: u32) -> Figures {
    let call = long_call::of_minutes(minutes).await;
    let speech_url = Env::of_process().text("TRANSCRIPTION_BASE_URL");
    let proxy = CountingProxy::before(&speech_url.expect("run the tests with `make test`")).await;
    let others = [Process::Storage, Process::Analysis, Process::Maintenance];
    let pipeline = Pipeline::start(&others, &proxy.url()).await;
    let worker = pipeline.worker(Process::Transcription).await;
    let session = pipeline.session().await;

    let began = Instant::now();
    let uploaded = pipeline.client.upload(session, &call, "long", |_| {}).await;
    let recording = uploaded.expect("uploaded").recording_id;
    until(async || pipeline.stored_chunks().await >= CHUNKS_BEFORE_KILL).await;
    let killed_peak = peak_bytes(worker.pid());
    worker.kill().await;
    let stored = pipeline.stored_chunks().await;
    let sent_before = proxy.sent().len();
    let worker = pipeline.worker(Process::Transcription).await;
    let outcome = pipeline
        .client
        .follow_to_the_end(session, Some(recording), |_, _| {})
        .await;
    let took = began.elapsed();
    assert_eq!(outcome.expect("an end"), Outcome::Done);
    let peak_bytes = peak_bytes(worker.pid()).max(killed_peak);

    // What was missing had to be sent: if no more than that was, no stored chunk was sent again.
    let chunks = pipeline.stored_chunks().await;
    let sent = proxy.sent();
    let after: BTreeSet<_> = sent[sent_before..].iter().collect();
    assert_eq!(
        after.len(),
        sent.len() - sent_before,
        "sent twice after the kill"
    );
    assert_eq!(
        after.len(),
        chunks - stored,
        "exactly the missing chunks are sent"
    );
    let distinct: BTreeSet<_> = sent.iter().collect();
    assert_eq!(distinct.len(), chunks, "each chunk is another passage");

    let transcript = pipeline.client.transcript(session).await;
    let transcript = transcript.expect("a transcript");
    assert_eq!(transcript.duration_ms, i64::from(minutes) * 60_000);
    let channels: BTreeSet<_> = transcript.turns.iter().map(|turn| turn.channel).collect();
    assert_eq!(channels, BTreeSet::from([0, 1]));

    let factor = took.as_secs_f64() / (60.0 * f64::from(minutes));
    report(
        format!("{minutes} min, two channels, worker killed after {stored} of {chunks} chunks"),
        format!(
            "{:.0} s from upload to analysis, realtime factor {factor:.3}, {} chunks sent after the \
             restart, transcription worker {} MiB",
            took.as_secs_f64(),
            after.len(),
            peak_bytes / MIB,
        ),
    );
    worker.stop().await;
    pipeline.stop().await;
    Figures { took, peak_bytes }
}
