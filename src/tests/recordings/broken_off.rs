//! Uploads that do not come to their end.

use std::time::Duration;

use aftercall::embedded::harness::eventually;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bench, WAV, is_gone};

/// A connection whose upload has begun and does not end.
struct Broken {
    connection: TcpStream,
}

impl Broken {
    /// Sends the first bytes of a larger file and waits until the ingress has begun the upload.
    async fn begin(bench: &Bench, headers: &str, sent: usize) -> Self {
        let before = bench.uploads().await.len();
        let mut connection = TcpStream::connect(bench.ingress.address)
            .await
            .expect("accepted");
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n{headers}content-length: {}\r\n\r\n",
            bench.path(),
            bench.token,
            sent + 1_000_000,
        );
        connection.write_all(head.as_bytes()).await.expect("sent");
        let mut bytes = WAV[..44].to_vec();
        bytes.resize(sent, 7);
        connection.write_all(&bytes).await.expect("sent");
        eventually("the upload has begun", || async {
            let uploads = bench.uploads().await;
            uploads.len() > before && uploads.last().is_some_and(|(_, _, id)| id.is_some())
        })
        .await;
        Self { connection }
    }

    async fn go_away(mut self) {
        // Whether the end is noticed by either side first does not matter.
        let _ = self.connection.shutdown().await;
    }
}

#[tokio::test]
async fn a_running_key_is_a_conflict_and_a_dead_one_is_taken_over() {
    let bench = Bench::start().await;
    let begun = Broken::begin(&bench, "idempotency-key: k\r\n", 100_000).await;
    assert_eq!(
        bench.upload_under("k", WAV).await.problem(409),
        "upload_running"
    );
    let mut admin = bench.harness.admin().await;
    let aged = "update uploads set active_at = active_at - interval '2 minutes'";
    sqlx::query(aged)
        .execute(&mut admin)
        .await
        .expect("Postgres answers");
    let taken = bench.upload_under("k", WAV).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
    begun.go_away().await;
    eventually("the dead one is cleaned up", || async {
        let (state, key, id) = bench.uploads().await.remove(0);
        state == "abandoned" && is_gone(&bench.store.parts(&key, &id.expect("opened")).await)
    })
    .await;
    assert_eq!(bench.recordings().await.len(), 1);
    bench.finish().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let bench = Bench::start().await;
    // Within the first part, at its end, and in the second.
    for sent in [5_000, 8 * 1024 * 1024, 9 * 1024 * 1024] {
        let broken = Broken::begin(&bench, "", sent).await;
        broken.go_away().await;
        bench.assert_nothing_left().await;
    }
    assert_eq!(bench.uploads().await.len(), 3);
    bench.finish().await;
}

#[tokio::test]
async fn an_upload_that_pauses_for_too_long_ends() {
    let bench = Bench::start_with(&[("UPLOAD_IDLE_SECONDS", "1")]).await;
    let mut broken = Broken::begin(&bench, "", 5_000).await;
    let mut answer = vec![0; 12];
    let read = broken.connection.read_exact(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("in time")
        .expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 408");
    bench.assert_nothing_left().await;
    bench.finish().await;
}

#[tokio::test]
async fn an_upload_that_drips_ends() {
    let settings = [
        ("UPLOAD_IDLE_SECONDS", "1"),
        ("MIN_UPLOAD_BYTES_PER_SECOND", "1000"),
    ];
    let bench = Bench::start_with(&settings).await;
    let mut dripping = Broken::begin(&bench, "", 5_000).await;
    let (mut reader, mut writer) = dripping.connection.split();
    // Never silent for as long as a second, and far too slow.
    let drip = async {
        let mut drops = tokio::time::interval(Duration::from_millis(100));
        loop {
            drops.tick().await;
            if writer.write_all(&[7; 10]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = vec![0; 12];
    let ended = async {
        tokio::select! {
            read = reader.read_exact(&mut answer) => read,
            () = drip => unreachable!("it drips for ever"),
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended)
        .await
        .expect("in time")
        .expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 408");
    bench.assert_nothing_left().await;
    bench.finish().await;
}

#[tokio::test]
async fn what_the_sweep_forgot_is_removed_by_the_upload_itself() {
    let bench = Bench::start().await;
    let broken = Broken::begin(&bench, "", 9 * 1024 * 1024).await;
    let (_, key, multipart_id) = bench.uploads().await.remove(0);
    let mut admin = bench.harness.admin().await;
    let forgotten = sqlx::query("delete from uploads").execute(&mut admin).await;
    forgotten.expect("Postgres answers");
    broken.go_away().await;
    let multipart_id = multipart_id.expect("opened");
    eventually("the multipart upload is gone", || async {
        is_gone(&bench.store.parts(&key, &multipart_id).await)
    })
    .await;
    bench.finish().await;
}

#[tokio::test]
async fn an_object_whose_recording_cannot_be_written_is_removed() {
    let bench = Bench::start().await;
    bench.harness.break_table("recordings", "insert", 1).await;
    assert_eq!(bench.upload_under("k", WAV).await.problem(500), "internal");
    bench.assert_nothing_left().await;
    let again = bench.upload_under("k", WAV).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text());
    assert_eq!(bench.recordings().await.len(), 1);
    bench.finish().await;
}
