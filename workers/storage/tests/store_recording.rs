//! The storage worker against a real Postgres, nats-server and S3.

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, recordings, sessions, transcriptions};
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::RecordingUploaded;
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::session::{Phase, Status};
use aftercall::worker::{Settings, Worker};
use aftercall_storage::{StoreRecording, reachable};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

const CALL: &[u8] = include_bytes!("../../all/samples/two-cities/two-cities.wav");
const KEY: &str = "recordings/test";

/// A test's servers with a session, a bucket and a running worker.
struct Bench {
    harness: Harness,
    store: ObjectStore,
    seeded: Seeded,
    shutdown: Shutdown,
    running: JoinSet<anyhow::Result<()>>,
}

impl Bench {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let settings = config::ObjectStore::read(&harness.env(Process::Storage)).expect("settings");
        let store = ObjectStore::connect(&settings).await.expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        let seeded = seed::session(&harness).await;
        let db = harness.db(Process::Storage);
        let max_audio = aftercall::audio::DEFAULT_MAX_LENGTH;
        let worker = Worker::new(Settings {
            name: "storage",
            role: WorkerRole::Storage,
            bus: harness.bus.clone(),
            db: db.clone(),
            probes: vec![reachable(&store)],
            concurrency: 2,
        })
        .handler(StoreRecording::new(db, store.clone(), max_audio));
        let (shutdown, mut running) = (Shutdown::new(), JoinSet::new());
        running.spawn(worker.run(shutdown.clone()));
        Self {
            harness,
            store,
            seeded,
            shutdown,
            running,
        }
    }

    async fn put(&self, bytes: &'static [u8]) {
        self.store
            .put(KEY, "audio/wav", Bytes::from_static(bytes))
            .await
            .expect("stored");
    }

    /// A recording whose row says that `bytes` were sent.
    async fn uploaded(&self, bytes: &[u8]) -> RecordingUploaded {
        let size = i64::try_from(bytes.len()).expect("small");
        let sha256 = Sha256::digest(bytes).into();
        seed::recording(&self.harness, self.seeded, KEY, size, sha256).await
    }

    async fn recording(&self, uploaded: &RecordingUploaded) -> recordings::Recording {
        let role = Principal::Worker(WorkerRole::Storage);
        let mut tx = self.harness.begin(Process::Storage, role).await;
        let found = recordings::get(&mut tx, uploaded.recording_id).await;
        found.expect("a query").expect("a recording")
    }

    async fn session(&self) -> sessions::Session {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let found = sessions::get(&mut tx, self.seeded.session_id).await;
        found.expect("a query").expect("a session")
    }

    /// The generations that were asked for.
    async fn asked(&self) -> Vec<i32> {
        let role = Principal::Worker(WorkerRole::Storage);
        let mut tx = self.harness.begin(Process::Storage, role).await;
        let asked = transcriptions::of_session(&mut tx, self.seeded.session_id).await;
        asked
            .expect("a query")
            .iter()
            .map(|asked| asked.generation)
            .collect()
    }

    /// How often the broker handed messages to the handler, and messages of a type on the stream.
    async fn deliveries(&self) -> u64 {
        let consumer = self
            .harness
            .bus
            .jetstream()
            .get_consumer_from_stream::<async_nats::jetstream::consumer::Config, _, _>(
                "store-recording",
                "EVENTS",
            )
            .await
            .expect("declared");
        consumer.cached_info().delivered.consumer_sequence
    }

    /// Waits until the handler has acknowledged everything; nobody consumes what it published.
    async fn handled(&self) {
        eventually("the handler is done", || async {
            let consumer = self
                .harness
                .bus
                .jetstream()
                .get_consumer_from_stream::<async_nats::jetstream::consumer::Config, _, _>(
                    "store-recording",
                    "EVENTS",
                )
                .await
                .expect("declared");
            let info = consumer.cached_info();
            info.num_pending == 0 && info.num_ack_pending == 0
        })
        .await;
    }

    async fn published(&self, event_type: &str) -> usize {
        let stream = self
            .harness
            .bus
            .jetstream()
            .get_stream("EVENTS")
            .await
            .expect("there");
        let last = stream.cached_info().state.last_sequence;
        let prefix = format!("events.{event_type}.");
        let mut count = 0;
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.expect("kept");
            count += usize::from(message.subject.starts_with(&prefix));
        }
        count
    }

    async fn stop(mut self) {
        self.shutdown.stop();
        let ended = self.running.join_next().await.expect("one worker");
        ended.expect("no panic").expect("a clean end");
        // The transcription that was asked for stays pending: its worker is not here.
        self.harness.finish_as_it_is().await;
    }
}

#[tokio::test]
async fn a_recording_is_checked_probed_and_stored() {
    let bench = Bench::start().await;
    bench.put(CALL).await;
    let uploaded = bench.uploaded(CALL).await;
    seed::publish(&bench.harness, &uploaded).await;
    bench.handled().await;
    let recording = bench.recording(&uploaded).await;
    assert_eq!(recording.state, "stored");
    assert_eq!(
        (recording.channels, recording.sample_rate_hz),
        (Some(1), Some(16_000))
    );
    let duration_ms = recording.duration_ms.expect("probed");
    assert!((43_000..46_000).contains(&duration_ms), "{duration_ms}");
    let session = bench.session().await;
    assert_eq!(session.stages.recording.state, Phase::Done);
    assert_eq!(
        (session.status, bench.asked().await),
        (Status::Recorded, vec![1])
    );
    assert_eq!(bench.published("recording.stored").await, 1);
    assert_eq!(bench.published("transcription.requested").await, 1);
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn delivered_twice_it_is_stored_once() {
    let bench = Bench::start().await;
    bench.put(CALL).await;
    let uploaded = bench.uploaded(CALL).await;
    seed::publish(&bench.harness, &uploaded).await;
    bench.handled().await;
    let first = bench.recording(&uploaded).await;
    // The second delivery does not even read the object.
    bench.store.delete(KEY).await.expect("deleted");
    seed::publish(&bench.harness, &uploaded).await;
    bench.handled().await;
    assert_eq!(bench.deliveries().await, 2);
    let second = bench.recording(&uploaded).await;
    assert_eq!(
        (second.duration_ms, second.state),
        (first.duration_ms, first.state)
    );
    assert_eq!(bench.asked().await, [1]);
    assert_eq!(bench.published("recording.stored").await, 1);
    assert_eq!(bench.published("transcription.requested").await, 1);
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn an_object_that_is_not_there_yet_is_tried_again() {
    let bench = Bench::start().await;
    let uploaded = bench.uploaded(CALL).await;
    seed::publish(&bench.harness, &uploaded).await;
    eventually("the first attempt fails", || async {
        let mut admin = bench.harness.admin().await;
        let retries = sqlx::query_scalar::<_, i32>("select retries from delivery_failures")
            .fetch_optional(&mut admin)
            .await;
        retries
            .expect("Postgres answers")
            .is_some_and(|retries| retries >= 1)
    })
    .await;
    bench.put(CALL).await;
    bench.handled().await;
    assert!(
        bench.deliveries().await >= 2,
        "delivered again by the broker"
    );
    assert_eq!(bench.recording(&uploaded).await.state, "stored");
    assert_eq!(bench.asked().await, [1]);
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_no_audio_or_not_what_was_sent_is_refused() {
    // A header of a WAV file and nothing behind it; and other bytes than the row says.
    let empty = &CALL[..44];
    let sent_otherwise = &CALL[..CALL.len() - 1];
    let cases = [
        (empty, empty, "The file holds no audio that can be played."),
        (
            CALL,
            sent_otherwise,
            "The recording did not arrive as it was sent. Please upload it again.",
        ),
    ];
    for (stored, sent, reason) in cases {
        let bench = Bench::start().await;
        bench.put(stored).await;
        let uploaded = bench.uploaded(sent).await;
        seed::publish(&bench.harness, &uploaded).await;
        bench.handled().await;
        eventually("a dead letter", || async {
            bench.harness.dead().await == 1
        })
        .await;
        assert_eq!(bench.recording(&uploaded).await.state, "failed");
        let session = bench.session().await;
        assert_eq!(session.status, Status::Failed);
        let stage = &session.stages.recording;
        assert_eq!(
            (stage.state, stage.reason.as_deref()),
            (Phase::Failed, Some(reason))
        );
        assert_eq!(bench.published("recording.failed").await, 1);
        assert_eq!(bench.deliveries().await, 1, "refused at once");
        assert_eq!(bench.asked().await, [0; 0]);
        bench.stop().await;
    }
}
