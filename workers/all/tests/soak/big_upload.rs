//! A large upload, whose bytes are made while they are sent.

use std::time::Instant;

use aftercall::db::provision::Process;
use aftercall::session::Phase;
use axum::body::Bytes;
use futures::stream;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use secrecy::ExposeSecret;

use crate::figures::{MIB, peak_bytes, report};
use crate::pipeline::{Pipeline, until};

const HEADER_BYTES: u32 = 44;
const SAMPLE_RATE_HZ: u32 = 48_000;
const CHANNELS: u16 = 2;
const BLOCK_BYTES: usize = 64 * 1024;

#[tokio::test]
async fn an_upload_is_not_kept_in_memory() {
    measure(64 * 1024 * 1024).await;
}

#[tokio::test]
#[ignore = "takes minutes: `make soak`"]
async fn two_gib_grow_the_ingress_by_less_than_64_mib() {
    let growth = measure(2 * 1024 * 1024 * 1024).await;
    assert!(growth < 64 * MIB);
}

/// Uploads a WAV file of this size and says by how much the ingress grew.
async fn measure(bytes: u32) -> u64 {
    // Nothing speaks to the speech server: no transcription worker runs.
    let workers = [Process::Storage, Process::Maintenance];
    let pipeline = Pipeline::start(&workers, "http://127.0.0.1:9").await;
    let session = pipeline.session().await;
    let before = peak_bytes(pipeline.ingress.pid());

    let began = Instant::now();
    let url = pipeline.ingress.url();
    let answer = aftercall::providers::http_client()
        .expect("a client")
        .post(format!("{url}/api/v1/sessions/{session}/upload-recording"))
        .bearer_auth(pipeline.token.expose_secret())
        .header(CONTENT_TYPE, "audio/wav")
        .header(CONTENT_LENGTH, bytes)
        .body(reqwest::Body::wrap_stream(stream::iter(
            wav(bytes).map(Ok::<_, std::io::Error>),
        )))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let took = began.elapsed();
    let growth = peak_bytes(pipeline.ingress.pid()) - before;
    until(async || {
        let session = pipeline.client.session(session).await.expect("a session");
        let state = session.stages.recording.state;
        assert_ne!(state, Phase::Failed);
        state == Phase::Done
    })
    .await;
    let stored: i64 = sqlx::query_scalar("select size_bytes from recordings")
        .fetch_one(&mut pipeline.harness.admin().await)
        .await
        .expect("one recording");
    assert_eq!(stored, i64::from(bytes));

    report(
        format!("upload of {} MiB", u64::from(bytes) / MIB),
        format!(
            "{:.0} s until 202, {:.0} s until checked and stored, ingress grew by {} MiB from {} MiB",
            took.as_secs_f64(),
            began.elapsed().as_secs_f64(),
            growth / MIB,
            before / MIB,
        ),
    );
    pipeline.stop().await;
    growth
}

/// A valid WAV file of this size in blocks, all of the same noise.
fn wav(bytes: u32) -> impl Iterator<Item = Bytes> + Send + 'static {
    let block = Bytes::from(noise());
    let data_bytes = bytes - HEADER_BYTES;
    let blocks = data_bytes as usize / BLOCK_BYTES;
    let rest = block.slice(..data_bytes as usize % BLOCK_BYTES);
    std::iter::once(Bytes::from(header(data_bytes)))
        .chain(std::iter::repeat_n(block, blocks))
        .chain(std::iter::once(rest))
}

fn header(data_bytes: u32) -> Vec<u8> {
    let frame_bytes = CHANNELS * 2;
    let mut header = b"RIFF".to_vec();
    header.extend((data_bytes + HEADER_BYTES - 8).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(CHANNELS.to_le_bytes());
    header.extend(SAMPLE_RATE_HZ.to_le_bytes());
    header.extend((SAMPLE_RATE_HZ * u32::from(frame_bytes)).to_le_bytes());
    header.extend(frame_bytes.to_le_bytes());
    header.extend(16_u16.to_le_bytes());
    header.extend(b"data");
    header.extend(data_bytes.to_le_bytes());
    header
}

/// White noise from a linear congruential generator (Numerical Recipes).
fn noise() -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(1), next)
        .map(|state| state.to_be_bytes()[0])
        .take(BLOCK_BYTES)
        .collect()
}
