//! After an erasure nothing of a session is left: not in Postgres, not in the object store's folder,
//! not in the broker's files. And what comes late stays dead.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod erasure_support;

use aftercall::config::{self, Env};
use aftercall::db::Db;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::embedded::seed;
use aftercall::embedded::{S3Options, S3Server};
use aftercall::events::{
    AnalysisRequested, RecordingUploaded, SessionStarted, Stage, StageRedriven,
    TranscriptionRequested,
};
use aftercall::ids::{RecordingId, SessionId};
use aftercall::providers::object_store::ObjectStore;
use aftercall::telemetry::{self, PrometheusHandle};
use aftercall_all::pipeline::Pipeline;
use aftercall_maintenance::Eraser;
use aftercall_maintenance::erasure::SETTLE;
use erasure_support::{Api, CANARY, Speech, in_files, in_tables, spoken};
use futures::future::pending;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Ingress and workers on servers whose files the test can read.
struct Bench {
    harness: Harness,
    s3: S3Server,
    env: Env,
    pipeline: Pipeline,
    api: Api,
}

impl Bench {
    async fn start(speech: &Speech) -> Self {
        let harness = Harness::start().await;
        let secret = SecretString::from("for this test");
        let options = S3Options {
            access_key_id: "test".to_owned(),
            secret_access_key: secret.clone(),
            port: None,
        };
        let s3 = S3Server::start(&harness.dir().join("s3"), options)
            .await
            .unwrap();
        let changed = [
            ("AWS_ENDPOINT_URL_S3", s3.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.expose_secret().to_owned()),
            ("TRANSCRIPTION_BASE_URL", speech.url()),
        ];
        let env = |process| harness.env(process).with(changed.clone());
        let settings = config::ObjectStore::read(&env(Process::Ingress)).unwrap();
        let store = ObjectStore::connect(&settings).await.unwrap();
        store.ensure_bucket().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let pipeline = Pipeline::start(env, listener, &metrics()).unwrap();
        let (env, api) = (env(Process::Maintenance), Api::register(url).await);
        Self {
            harness,
            s3,
            env,
            pipeline,
            api,
        }
    }

    /// Everything that holds a canary, by table or file.
    async fn canaries(&self) -> Vec<String> {
        let mut admin = self.harness.admin().await;
        let mut found = in_tables(&mut admin).await;
        for server in ["nats", "s3"] {
            found.extend(in_files(&self.harness.dir().join(server)));
        }
        found
    }

    /// A run of the job when nothing is on its way any more.
    async fn settle(&self) {
        let db = Db::connect_lazy(&self.env.secret("DATABASE_URL").unwrap(), 5).unwrap();
        let settings = config::ObjectStore::read(&self.env).unwrap();
        let store = ObjectStore::connect(&settings).await.unwrap();
        let eraser = Eraser::new(db, self.harness.bus.clone(), store);
        let later = SignedDuration::try_from(SETTLE).unwrap() + SignedDuration::from_secs(1);
        eraser.go_on(Timestamp::now() + later).await.unwrap();
    }

    async fn finish(self) {
        self.pipeline.stop(pending::<()>()).await;
        drop(self.s3);
        self.harness.finish_as_it_is().await;
    }
}

fn metrics() -> PrometheusHandle {
    telemetry::install_metrics().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_erased_session_and_what_comes_late_stays_dead() {
    let speech = Speech::start().await;
    let bench = Bench::start(&speech).await;
    let customer = bench.api.create_customer().await;
    let body = json!({
        "customer_id": customer,
        "title": format!("{CANARY} title"),
        "notes": format!("{CANARY} notes"),
        "metadata": {"note": format!("{CANARY} metadata")},
    });
    let session = bench.api.create_session(&body).await;
    bench
        .api
        .upload(session, &format!("{CANARY}.wav"), spoken())
        .await;
    eventually("the analysis is there", || async {
        bench.api.get(&format!("/sessions/{session}")).await.1["status"] == "completed"
    })
    .await;
    bench
        .api
        .correct(session, &format!("Please tell {CANARY}."))
        .await;
    bench.harness.idle().await;
    die(&bench, session).await;
    let seen = bench.canaries().await.join("\n");
    for place in [
        "customers",
        "sessions",
        "recordings",
        "transcripts",
        "transcriptions",
        "transcription_chunks",
        "analyses",
        "idempotency_keys",
        "dead_letters",
        ".blk",
        "/s3/",
    ] {
        assert!(
            seen.contains(place),
            "no canary in {place} to begin with:\n{seen}"
        );
    }

    let erasure = bench.api.erase(&format!("/customers/{customer}")).await;
    assert_eq!(bench.api.get(&format!("/sessions/{session}")).await.0, 404);
    let receipt = format!("/erasures/{erasure}");
    eventually("the first pass is made", || async {
        bench.api.get(&receipt).await.1["pending"][0]["where"] == "stream EVENTS"
    })
    .await;
    let left = bench.canaries().await;
    assert!(
        left.is_empty(),
        "after the first pass:\n{}",
        left.join("\n")
    );

    come_late(&bench, session).await;
    bench.harness.idle().await;
    bench.settle().await;
    let left = bench.canaries().await;
    assert!(
        left.is_empty(),
        "after the second pass:\n{}",
        left.join("\n")
    );
    assert_nothing_names(&bench, session).await;
    let told = bench.api.get(&receipt).await.1;
    assert_eq!(told["state"], "done", "{told}");
    assert_eq!(told["pending"], json!([]), "{told}");
    assert_eq!(bench.api.get(&receipt).await.1, told);
    bench.finish().await;
}

/// A message of the session dies with the canary in its reason.
async fn die(bench: &Bench, session: SessionId) {
    let subject = format!("dead.x.events.session.started.{session}");
    let headers = [("aftercall-handler", "x"), ("aftercall-reason", CANARY)];
    let id = Uuid::now_v7().to_string();
    let sent = bench.harness.bus.publish(&subject, headers, CANARY, &id);
    sent.await.unwrap();
    bench.harness.idle().await;
}

/// Every kind of event comes once more, and a redrive and a dead letter.
async fn come_late(bench: &Bench, session: SessionId) {
    let (session_id, recording_id) = (session, RecordingId::generate());
    let harness = &bench.harness;
    seed::publish(harness, &SessionStarted { session_id }).await;
    let uploaded = RecordingUploaded {
        session_id,
        recording_id,
        run: 1,
        late: false,
    };
    seed::publish(harness, &uploaded).await;
    let requested = TranscriptionRequested {
        session_id,
        recording_id,
        generation: 1,
        run: 1,
    };
    seed::publish(harness, &requested).await;
    let requested = AnalysisRequested {
        session_id,
        generation: 1,
        run: 1,
        transcript_generation: 1,
    };
    seed::publish(harness, &requested).await;
    let redriven = StageRedriven {
        session_id,
        stage: Stage::Analysis,
        recording_id: None,
        generation: 1,
        run: 1,
        redrive: 1,
    };
    seed::publish(harness, &redriven).await;
    die(bench, session).await;
}

/// Only the erasure itself, and the audit log, know that there was such a session.
async fn assert_nothing_names(bench: &Bench, session: SessionId) {
    let mut admin = bench.harness.admin().await;
    let id = session.to_string();
    let mut named = erasure_support::tables_with(&mut admin, &id).await;
    named.sort();
    assert_eq!(named, ["audit_log", "erasure_sessions"]);
    for stream in [aftercall::bus::EVENTS, aftercall::bus::DEAD] {
        let found = bench.harness.bus.find(stream, ">").await.unwrap();
        let of_session = found
            .iter()
            .filter(|message| message.subject.ends_with(&id));
        assert_eq!(of_session.count(), 0, "{stream}");
    }
}
