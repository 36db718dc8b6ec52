//! A session with everything that hangs on one, and what is left of it.

use std::collections::BTreeMap;
use std::time::Duration;

use aftercall::bus::{DEAD, EVENTS, subjects};
use aftercall::config;
use aftercall::db::dead_letters::{self, Letter};
use aftercall::db::erasure_sessions::{self, Work};
use aftercall::db::erasures::{self, Reason, Subject};
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, outbox, timeline, transcriptions, uploads};
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::{ErasedPart, ErasureRequested, Event, SessionEnded};
use aftercall::ids::{AccountId, RecordingId};
use aftercall::providers::object_store::{ObjectStore, StoreError};
use aftercall_maintenance::erasure::SETTLE;
use aftercall_maintenance::{EraseSession, Eraser, FileDeadLetter};
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub const ROLE: Principal = Principal::Worker(WorkerRole::Maintenance);
/// Tables whose rows hang on a session.
const TABLES: [&str; 8] = [
    "sessions",
    "session_events",
    "recordings",
    "uploads",
    "transcriptions",
    "transcripts",
    "analyses",
    "dead_letters",
];

pub struct Bench {
    pub harness: Harness,
    pub store: ObjectStore,
    pub eraser: Eraser,
    pub seeded: Seeded,
    /// Key of the session's recording, and of an upload that is still open, with its id.
    pub key: String,
    pub open: (String, String),
    /// Key of what a speech service wrote.
    pub job_file: String,
}

impl Bench {
    /// Servers, and a session with a recording, an open upload, a file of a transcription job, a transcript, an analysis that is
    /// asked for, a dead letter on the desk and one on its way, a fact and a redrive of it.
    pub async fn start() -> Self {
        let harness = Harness::start().await;
        let settings = config::ObjectStore::read(&harness.env(Process::Maintenance));
        let store = ObjectStore::connect(&settings.expect("settings")).await;
        let store = store.expect("a client");
        let db = harness.db(Process::Maintenance);
        let eraser = Eraser::new(db, harness.bus.clone(), store.clone());
        let seeded = seed::session(&harness).await;
        let mut bench = Self {
            harness,
            store,
            eraser,
            seeded,
            key: String::new(),
            open: (String::new(), String::new()),
            job_file: String::new(),
        };
        bench.fill().await;
        bench
    }

    async fn fill(&mut self) {
        let prefix = uploads::object_prefix(self.account().await, self.seeded.session_id);
        self.key = format!("{prefix}a");
        let bytes = Bytes::from_static(b"RIFF");
        let put = self.store.put(&self.key, "audio/wav", bytes).await;
        put.expect("stored");
        seed::transcript(&self.harness, self.seeded, &["Hello."]).await;
        seed::recording(&self.harness, self.seeded, &self.key, 4, [0; 32]).await;
        self.open = self.open_upload(&prefix).await;
        let prefix = transcriptions::job_prefix(self.account().await, self.seeded.session_id);
        self.job_file = format!("{prefix}redacted-analytics/a.json");
        self.write_job_file().await;
        let ended = SessionEnded {
            session_id: self.seeded.session_id,
        };
        seed::publish(&self.harness, &ended).await;
        let (redriven, dead) = (
            subjects::redrive("store-recording", &ended.subject()),
            subjects::dead("store-recording", &ended.subject()),
        );
        for subject in [redriven, dead] {
            let id = Uuid::now_v7().to_string();
            let sent = self
                .harness
                .bus
                .publish(&subject, [("ce-id", "x")], "{}", &id);
            sent.await.expect("stored");
        }
        let mut tx = self.harness.begin(Process::Maintenance, ROLE).await;
        let letter = self.letter();
        assert!(dead_letters::file(&mut tx, &letter).await.expect("filed"));
        tx.commit().await.expect("commit");
    }

    async fn open_upload(&self, prefix: &str) -> (String, String) {
        let (id, recording) = (Uuid::now_v7(), RecordingId::generate());
        let key = format!("{prefix}{}", recording.0.simple());
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let of = (tx.acting().account_id, self.seeded.session_id);
        uploads::insert(&mut tx, id, of, recording, &key, None)
            .await
            .expect("a row");
        let opened = self.store.create_multipart(&key, "audio/wav").await;
        let multipart = opened.expect("opened");
        let part = Bytes::from_static(b"RIFF");
        let sent = self.store.upload_part(&key, &multipart, 1, part).await;
        sent.expect("sent");
        let noted = uploads::set_multipart(&mut tx, id, &multipart).await;
        assert!(noted.expect("a query"));
        tx.commit().await.expect("commit");
        (key, multipart)
    }

    /// As a speech service does when its job is done.
    pub async fn write_job_file(&self) {
        let bytes = Bytes::from_static(b"{}");
        let put = self.store.put(&self.job_file, "application/json", bytes);
        put.await.expect("stored");
    }

    pub fn letter(&self) -> Letter {
        let subject = format!("events.recording.uploaded.{}", self.seeded.session_id);
        Letter {
            handler: "store-recording".to_owned(),
            stream: EVENTS.to_owned(),
            stream_created_at: Timestamp::UNIX_EPOCH,
            stream_sequence: 1,
            line: 0,
            class: "rejected".to_owned(),
            reason: "no audio".to_owned(),
            attempts: 1,
            trace_id: None,
            subject,
            event_id: None,
            event_type: None,
            session_id: Some(self.seeded.session_id),
            redrive: 0,
            headers: serde_json::json!({}),
            data: b"{}".to_vec(),
            died_at: Timestamp::UNIX_EPOCH,
        }
    }

    pub async fn account(&self) -> AccountId {
        let mut tx = self.harness.begin(Process::Maintenance, ROLE).await;
        let session = timeline::read(&mut tx, self.seeded.session_id).await;
        session.expect("a query").expect("a session").account_id
    }

    /// Asks for an erasure as the session's owner does, and answers its event, which waits in the
    /// outbox.
    pub async fn ask(&self, parts: &[ErasedPart]) -> ErasureRequested {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let session = timeline::lock(&mut tx, self.seeded.session_id).await;
        let session = session.expect("a lock").expect("a session");
        let subject = Subject::Session(session.session_id);
        let opened = erasures::open(&mut tx, session.account_id, subject, parts, Reason::Request);
        let id = opened.await.expect("opened");
        let asked = erasures::request(&mut tx, &session, id, parts, None).await;
        let asked = asked.expect("asked");
        let fact = [asked.clone().into()];
        outbox::insert(&mut tx, &session, "aftercall/test", None, &fact)
            .await
            .expect("in the outbox");
        tx.commit().await.expect("commit");
        asked
    }

    pub async fn ask_for_all(&self) -> ErasureRequested {
        self.ask(&[ErasedPart::Session]).await
    }

    /// Runs the handler, and the desk's.
    pub fn run(&self) -> Running {
        let (role, process) = (WorkerRole::Maintenance, Process::Maintenance);
        let worker = self.harness.worker("maintenance", role, process);
        let desk = FileDeadLetter::new(self.harness.db(process));
        let worker = worker.handler(EraseSession::new(self.eraser.clone()));
        self.harness.run(worker.handler(desk))
    }

    /// The first pass, as the handler makes it.
    pub async fn begin(&self, asked: &ErasureRequested) {
        let begun = self.eraser.begin(asked.erasure_id, asked.session_id).await;
        begun.expect("the first pass");
    }

    /// A run of the job when nothing is on its way any more.
    pub async fn settle(&self) -> u64 {
        self.go_on(SETTLE + Duration::from_secs(1)).await
    }

    /// A run of the job after so long.
    pub async fn go_on(&self, later: Duration) -> u64 {
        let now = Timestamp::now().checked_add(later).expect("in range");
        self.eraser.go_on(now).await.expect("the job runs")
    }

    pub async fn work(&self, asked: &ErasureRequested) -> Work {
        let mut tx = self.harness.begin(Process::Maintenance, ROLE).await;
        let work = erasure_sessions::get(&mut tx, asked.erasure_id, asked.session_id).await;
        work.expect("a query").expect("its work")
    }

    /// What the receipt says is destroyed, by place and thing.
    pub async fn destroyed(&self, asked: &ErasureRequested) -> BTreeMap<String, i64> {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let erasure = erasures::get(&mut tx, asked.erasure_id).await;
        let erasure = erasure.expect("a query").expect("an erasure");
        let destroyed = erasures::destroyed(&mut tx, &erasure).await;
        let destroyed = destroyed.expect("a query").into_iter();
        destroyed
            .map(|gone| (format!("{}: {}", gone.place, gone.what), gone.count))
            .collect()
    }

    /// Rows of the session, by table; tables without any are left out.
    pub async fn rows(&self) -> Vec<(&'static str, i64)> {
        let mut admin = self.harness.admin().await;
        let mut rows = Vec::new();
        for table in TABLES {
            let name = if table == "sessions" {
                "id"
            } else {
                "session_id"
            };
            let query = format!("select count(*) from {table} where {name} = $1");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(query))
                .bind(self.seeded.session_id.0)
                .fetch_one(&mut admin)
                .await
                .expect("Postgres answers");
            if count > 0 {
                rows.push((table, count));
            }
        }
        rows
    }

    /// Subjects of the messages that name the session.
    pub async fn messages(&self) -> Vec<String> {
        let session = self.seeded.session_id.to_string();
        let mut found = Vec::new();
        for filter in subjects::events_ending_with(&session) {
            found.extend(self.harness.bus.find(EVENTS, &filter).await.expect("found"));
        }
        let dead = subjects::dead_ending_with(&session);
        found.extend(self.harness.bus.find(DEAD, &dead).await.expect("found"));
        found.into_iter().map(|message| message.subject).collect()
    }

    /// Asserts that the store has nothing of the session.
    pub async fn assert_no_objects(&self) {
        assert!(is_gone(&self.store.head(&self.key).await));
        let (key, multipart) = &self.open;
        assert!(is_gone(&self.store.parts(key, multipart).await));
        assert!(is_gone(&self.store.head(key).await));
        assert!(is_gone(&self.store.head(&self.job_file).await));
    }
}

pub fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotFound { .. }))
}
