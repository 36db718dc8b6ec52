//! The programs as separate processes, two of each worker, as the README starts them by hand.

mod processes_support;
mod support;

use std::collections::BTreeSet;

use aftercall::client::{Client, Outcome, SessionDraft};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use processes_support::{SAMPLE, Speech};
use secrecy::SecretString;
use support::{Program, free_port};

/// Enough sessions that two workers with one message in hand each cannot leave one idle.
const SESSIONS: usize = 6;

#[tokio::test]
async fn two_of_each_worker_share_the_work_and_send_every_chunk_once() {
    let harness = Harness::start().await;
    let speech = Speech::start().await;
    let env = |process| {
        harness.env(process).with([
            ("TRANSCRIPTION_BASE_URL", speech.url()),
            ("WORKER_CONCURRENCY", "1".to_owned()),
        ])
    };
    let port = free_port();
    let ingress = env(Process::Ingress).with([("PORT", port.to_string())]);
    let _ingress = Program::start("ingress", &ingress, port).await;
    let mut workers = Vec::new();
    for process in [
        Process::Storage,
        Process::Transcription,
        Process::Analysis,
        Process::Analytics,
        Process::Maintenance,
    ] {
        for _ in 0..2 {
            let port = free_port();
            let env = env(process).with([("WORKER_PORT", port.to_string())]);
            workers.push(Program::start(Program::of(process), &env, port).await);
        }
    }

    let client = Client::of(&format!("http://127.0.0.1:{port}")).expect("an address");
    let password = SecretString::from("correct horse");
    let signed_in = client
        .register("two@example.org", "Two", &password)
        .await
        .expect("a user");
    let client = client.with_token(signed_in.access_token);
    let sessions = (0..SESSIONS).map(|number| one_session(&client, number));
    for outcome in futures::future::join_all(sessions).await {
        assert_eq!(outcome, Outcome::Done);
    }

    let sent = speech.sent();
    let distinct: BTreeSet<_> = sent.iter().collect();
    // Every session uploads the same call, so each chunk is sent once for each of them.
    assert_eq!(
        sent.len(),
        distinct.len() * SESSIONS,
        "every chunk was sent once"
    );
    for (at, worker) in workers.iter().enumerate().take(6) {
        assert!(handled(worker).await > 0, "worker {at} did nothing");
    }
    harness.idle().await;

    // Of maintenance one does the jobs; the other goes on when it dies.
    let mut maintenance = workers.split_off(8);
    maintenance.remove(0).kill().await;
    harness
        .bus
        .jetstream()
        .delete_stream(aftercall::bus::DEAD)
        .await
        .expect("deleted");
    eventually("the stream is made again", || async {
        harness
            .bus
            .jetstream()
            .get_stream(aftercall::bus::DEAD)
            .await
            .is_ok()
    })
    .await;
    for worker in workers.into_iter().chain(maintenance) {
        worker.stop().await;
    }
    harness.finish_as_it_is().await;
}

async fn one_session(client: &Client, number: usize) -> Outcome {
    let session = client
        .create_session(&SessionDraft::default())
        .await
        .expect("a session");
    let key = format!("upload {number}");
    let uploaded = client
        .upload(session.id, SAMPLE.as_ref(), &key, |_| {})
        .await
        .expect("uploaded");
    client
        .follow_to_the_end(session.id, Some(uploaded.recording_id), |_, _| {})
        .await
        .expect("an end")
}

/// Messages that a worker handled, by its own metrics.
async fn handled(worker: &Program) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", worker.url()))
        .await
        .expect("metrics");
    let text = metrics.text().await.expect("text");
    text.lines()
        .filter(|line| line.starts_with("aftercall_handled_messages_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
