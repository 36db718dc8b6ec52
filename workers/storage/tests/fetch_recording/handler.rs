//! `FetchRecording`, and `StoreRecording` behind it, on a real Postgres, nats-server and S3.

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, recording_fetches, recordings, timeline};
use aftercall::embedded::harness::{Harness, Running, eventually};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::RecordingRequested;
use aftercall::ids::RecordingId;
use aftercall::policy::Policy;
use aftercall::providers::object_store::ObjectStore;
use aftercall::providers::web_file::WebFiles;
use aftercall::session::{Phase, Status};
use aftercall_storage::{FetchRecording, StoreRecording};

use crate::server::{CALL, Server};

const HANDLER: &str = "fetch-recording";
const ROLE: Principal = Principal::Worker(WorkerRole::Storage);

/// A session whose recording is to be fetched, the server that has it, and a running worker.
struct Bench {
    harness: Harness,
    server: Server,
    store: ObjectStore,
    seeded: Seeded,
    requested: RecordingRequested,
    worker: Running,
}

impl Bench {
    async fn start(path: &str) -> Self {
        Self::with_hosts("localhost", path).await
    }

    async fn with_hosts(allowed: &str, path: &str) -> Self {
        let (harness, server) = (Harness::start().await, Server::start().await);
        let settings = config::ObjectStore::read(&harness.env(Process::Storage)).unwrap();
        let store = ObjectStore::connect(&settings).await.unwrap();
        let seeded = seed::session(&harness).await;
        let requested = request(&harness, seeded, &server.url(path)).await;
        let web = WebFiles::build(&server.settings(allowed)).unwrap();
        let db = harness.db(Process::Storage);
        let max_audio = aftercall::audio::DEFAULT_MAX_LENGTH;
        let worker = harness
            .worker("storage", WorkerRole::Storage, Process::Storage)
            .handler(FetchRecording::new(db.clone(), store.clone(), web))
            .handler(StoreRecording::new(db, store.clone(), max_audio));
        let worker = harness.run(worker);
        Self {
            harness,
            server,
            store,
            seeded,
            requested,
            worker,
        }
    }

    async fn publish(&self) {
        seed::publish(&self.harness, &self.requested).await;
        self.harness.idle_of(HANDLER).await;
        self.harness.idle_of("store-recording").await;
    }

    async fn recordings(&self) -> Vec<recordings::Recording> {
        let mut tx = self.harness.begin(Process::Storage, ROLE).await;
        recordings::of_session(&mut tx, self.seeded.session_id)
            .await
            .unwrap()
    }

    async fn fetch(&self) -> recording_fetches::Fetch {
        let mut tx = self.harness.begin(Process::Storage, ROLE).await;
        let found = recording_fetches::get(&mut tx, self.requested.recording_id).await;
        found.unwrap().unwrap()
    }

    /// Everything under the bucket.
    async fn objects(&self) -> Vec<String> {
        self.store.list("").await.unwrap()
    }

    async fn reason(&self) -> Option<String> {
        let session = self.harness.session(self.seeded).await;
        assert_eq!(session.stages.recording.state, Phase::Failed);
        session.stages.recording.reason
    }

    /// The transcription that was asked for stays pending: its worker is not here.
    async fn stop(self) {
        self.worker.stop().await;
        self.harness.finish_as_it_is().await;
    }
}

/// As the analytics worker asks for it.
async fn request(harness: &Harness, seeded: Seeded, url: &str) -> RecordingRequested {
    let requested = RecordingRequested {
        session_id: seeded.session_id,
        recording_id: RecordingId::of_call(seeded.session_id),
        run: 1,
    };
    let mut admin = harness.admin().await;
    sqlx::query(
        "insert into recording_fetches (account_id, recording_id, session_id, url)
        select account_id, $1, id, $3 from sessions where id = $2",
    )
    .bind(requested.recording_id.0)
    .bind(seeded.session_id.0)
    .bind(url)
    .execute(&mut admin)
    .await
    .unwrap();
    let mut tx = harness.begin(Process::Storage, ROLE).await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .unwrap()
        .unwrap();
    timeline::record(&mut tx, &session, &[requested.clone().into()])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    requested
}

#[tokio::test]
async fn a_recording_is_fetched_stored_and_its_transcription_asked_for() {
    let bench = Bench::start("/call.wav").await;
    bench.publish().await;
    let recordings = bench.recordings().await;
    assert_eq!(recordings.len(), 1);
    let recording = &recordings[0];
    assert_eq!(
        (recording.id, recording.run),
        (bench.requested.recording_id, 1)
    );
    assert_eq!(recording.state, "stored");
    assert_eq!(recording.size_bytes, i64::try_from(CALL.len()).unwrap());
    assert_eq!(recording.content_type, "audio/wav");
    assert_eq!(bench.objects().await, [recording.object_key.as_str()]);
    let fetch = bench.fetch().await;
    assert_eq!((fetch.state.as_str(), fetch.url), ("fetched", None));
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Recorded);
    assert_eq!(session.stages.recording.state, Phase::Done);
    assert_eq!(bench.harness.published("transcription.requested").await, 1);
    bench.stop().await;
}

#[tokio::test]
async fn delivered_twice_it_is_fetched_once() {
    let bench = Bench::start("/call.wav").await;
    bench.publish().await;
    bench.publish().await;
    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert_eq!(bench.server.requests(), 1);
    assert_eq!(bench.recordings().await.len(), 1);
    assert_eq!(bench.harness.published("recording.uploaded").await, 1);
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    let bench = Bench::start("/flaky.wav").await;
    bench.publish().await;
    assert_eq!(bench.server.requests(), 2);
    assert_eq!(bench.recordings().await[0].state, "stored");
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn what_can_never_work_fails_with_a_reason() {
    let cases = [
        ("/gone", "There is no recording at its address any more."),
        (
            "/expired",
            "The recording's address asks for a permission that we do not have; it may have expired.",
        ),
        (
            "/elsewhere",
            "The recording's address only points to another one, which is not followed.",
        ),
        (
            "/text",
            "The file at the recording's address is no recording that can be played.",
        ),
        (
            "/empty",
            "The file at the recording's address is no recording that can be played.",
        ),
        ("/endless", "The recording is larger than 2 MB."),
    ];
    for (path, reason) in cases {
        let bench = Bench::start(path).await;
        bench.publish().await;
        assert_eq!(bench.reason().await.as_deref(), Some(reason), "{path}");
        assert_eq!(
            bench.harness.session(bench.seeded).await.status,
            Status::Failed
        );
        assert_eq!(bench.fetch().await.state, "failed");
        assert!(bench.recordings().await.is_empty());
        assert!(bench.objects().await.is_empty(), "{path}");
        assert_eq!(bench.harness.dead().await, 1);
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_private_address_is_refused_and_never_asked() {
    let bench = Bench::with_hosts("", "/call.wav").await;
    bench.publish().await;
    let reason = "The recording's address is inside a private network, where nothing is fetched.";
    assert_eq!(bench.reason().await.as_deref(), Some(reason));
    assert_eq!(bench.server.connections(), 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_try_that_broke_off_leaves_nothing_in_the_way_of_the_next() {
    let bench = Bench::start("/call.wav").await;
    // The first try fails at its very end, when everything is in the object store.
    bench.harness.break_table("recordings", "insert", 1).await;
    bench.publish().await;
    assert_eq!(bench.server.requests(), 2);
    let recordings = bench.recordings().await;
    assert_eq!(recordings[0].state, "stored");
    assert_eq!(bench.objects().await, [recordings[0].object_key.as_str()]);
    bench.stop().await;
}

#[tokio::test]
async fn nothing_is_fetched_without_the_consent_that_it_needs() {
    let bench = Bench::start("/call.wav").await;
    let policy = Policy {
        consent_required: true,
        ..Policy::default()
    };
    seed::policy(&bench.harness, bench.seeded, &policy).await;
    bench.publish().await;
    let reason = "The consent that a recording needs has not been noted.";
    assert_eq!(bench.reason().await.as_deref(), Some(reason));
    assert_eq!(bench.server.connections(), 0);

    // Noted and asked for again, it is the next run of the same recording.
    seed::consent(&bench.harness, bench.seeded, true, true).await;
    let user = Principal::user(bench.seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, user).await;
    let session = timeline::lock(&mut tx, bench.seeded.session_id)
        .await
        .unwrap()
        .unwrap();
    let again = recording_fetches::retry(&mut tx, &session).await.unwrap();
    assert_eq!(again.len(), 1);
    timeline::record(&mut tx, &session, &[again[0].clone().into()])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    seed::publish(&bench.harness, &again[0]).await;
    bench.harness.idle_of(HANDLER).await;
    bench.harness.idle_of("store-recording").await;
    let recordings = bench.recordings().await;
    assert_eq!(
        (recordings[0].state.as_str(), recordings[0].run),
        ("stored", 2)
    );
    let session = bench.harness.session(bench.seeded).await;
    assert_eq!(session.status, Status::Recorded);
    bench.stop().await;
}

#[tokio::test]
async fn erased_recordings_are_not_fetched_any_more() {
    let bench = Bench::start("/call.wav").await;
    let mut admin = bench.harness.admin().await;
    sqlx::query(
        "with erasure as (
            insert into erasures (account_id, id, subject_kind, subject_id, parts, reason)
            select account_id, gen_random_uuid(), 'session', id, '{recording}', 'request' from sessions
            returning account_id, id, subject_id
        )
        insert into erasure_sessions (account_id, erasure_id, session_id, parts)
        select account_id, id, subject_id, '{recording}' from erasure",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    bench.publish().await;
    assert_eq!(bench.server.connections(), 0);
    eventually("nothing is left of the address", || async {
        let mut admin = bench.harness.admin().await;
        let left = sqlx::query_scalar::<_, i64>("select count(*) from recording_fetches");
        left.fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
    assert_eq!(bench.harness.dead().await, 0);
    bench.stop().await;
}
