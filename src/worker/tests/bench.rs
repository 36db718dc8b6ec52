//! A session, a handler that does what a test tells it, and workers that run it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::{Info, pull};
use async_nats::jetstream::stream::RawMessage;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::bus::{self, DEAD, EVENTS};
use crate::db::provision::Process;
use crate::db::{Db, WorkerRole};
use crate::embedded::harness::Harness;
use crate::events::{Fact, Message, RecordingFailed, RecordingStored, RecordingUploaded};
use crate::ids::{AccountId, RecordingId, SessionId, UserId};
use crate::lifecycle::Shutdown;
use crate::worker::{Context, Failure, Handler, Probe, Settings, Worker};

pub const HANDLER: &str = "store-recording";
pub const GAVE_UP: &str = "The recording could not be checked.";

type Answer = Result<Vec<RecordingStored>, Failure>;
type Script = Box<dyn Fn(Run) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What a script is told.
pub struct Run {
    /// Counts the runs of the handler, from 1.
    pub number: u32,
    pub message: RecordingUploaded,
    pub context: Context,
}

impl Run {
    /// The fact that follows.
    pub fn stored(&self) -> RecordingStored {
        RecordingStored {
            session_id: self.message.session_id,
            recording_id: self.message.recording_id,
            duration_ms: 1,
            channels: 1,
            sample_rate_hz: 8_000,
        }
    }

    pub fn done(&self) -> Answer {
        Ok(vec![self.stored()])
    }
}

/// A handler that does what the test says; it may fail `ATTEMPTS` times.
#[derive(Clone)]
pub struct Scripted<const ATTEMPTS: u32 = 8> {
    script: Arc<Script>,
    runs: Arc<AtomicU32>,
}

impl<const ATTEMPTS: u32> Scripted<ATTEMPTS> {
    pub fn new<F>(script: impl Fn(Run) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            script: Arc::new(Box::new(move |run| Box::pin(script(run)))),
            runs: Arc::default(),
        }
    }

    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

impl<const ATTEMPTS: u32> Handler for Scripted<ATTEMPTS> {
    const NAME: &'static str = HANDLER;
    const ATTEMPTS: u32 = ATTEMPTS;
    const GAVE_UP: &'static str = GAVE_UP;
    type Consumes = RecordingUploaded;
    type Publishes = RecordingStored;
    type Fails = RecordingFailed;

    async fn handle(&self, message: RecordingUploaded, context: &Context) -> Answer {
        let number = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let context = context.clone();
        (self.script)(Run {
            number,
            message,
            context,
        })
        .await
    }

    fn failed(
        &self,
        message: &RecordingUploaded,
        redrive: u32,
        reason: String,
    ) -> Option<RecordingFailed> {
        Some(RecordingFailed {
            session_id: message.session_id,
            recording_id: message.recording_id,
            run: message.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}

/// What `delivery_failures` says of the only message.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Recorded {
    pub retries: i32,
    pub is_waiting: bool,
    pub explained_through: i64,
    pub alone_runs: i32,
}

/// The servers of a test and a session on them.
pub struct Bench {
    pub harness: Harness,
    pub session: SessionId,
}

impl Bench {
    pub async fn start() -> Self {
        let harness = Harness::start().await;
        let (account, user) = (AccountId::generate(), UserId::generate());
        let session = SessionId::generate();
        let mut admin = harness.admin().await;
        let insert = "with a as (insert into accounts (id, kind) values ($1, 'personal')),
            u as (insert into users (account_id, id, email, name) values ($1, $2, 'a@b.c', 'A'))
            insert into sessions (account_id, id, owner_id, stages) values ($1, $3, $2, '{}')";
        sqlx::query(insert)
            .bind(account.0)
            .bind(user.0)
            .bind(session.0)
            .execute(&mut admin)
            .await
            .expect("a session");
        Self { harness, session }
    }

    pub fn db(&self) -> Db {
        self.harness.db(Process::Storage)
    }

    /// A fact that the handler consumes.
    pub fn uploaded(&self) -> RecordingUploaded {
        RecordingUploaded {
            session_id: self.session,
            recording_id: RecordingId::generate(),
            run: 1,
            late: false,
        }
    }

    /// Publishes a fact under its own id.
    pub async fn publish(&self, fact: &RecordingUploaded) {
        let message = Message::of(fact, "aftercall/test", Timestamp::now(), None);
        let id = message.envelope.id.to_string();
        self.publish_message(message, &id).await;
    }

    pub async fn publish_message(&self, message: Message, message_id: &str) {
        let headers = message.envelope.headers();
        self.harness
            .bus
            .publish(&message.subject, headers, message.data, message_id)
            .await
            .expect("stored");
    }

    /// Starts a worker on the servers of the test.
    pub fn work<H: Handler>(&self, handler: H) -> Working {
        self.work_on(handler, self.db(), Vec::new())
    }

    pub fn work_on<H: Handler>(&self, handler: H, db: Db, probes: Vec<Probe>) -> Working {
        let worker = Worker::new(Settings {
            name: "storage",
            role: WorkerRole::Storage,
            bus: self.harness.bus.clone(),
            db,
            probes,
            concurrency: 4,
        });
        Working::start(worker.handler(handler))
    }

    /// Lets the consumer redeliver what a dead process had in hand after `ack_wait`.
    pub async fn set_ack_wait(&self, ack_wait: Duration) {
        let declared = bus::declared().consumers.into_iter();
        let mut config = declared
            .map(|consumer| consumer.config)
            .find(|config| config.durable_name.as_deref() == Some(HANDLER))
            .expect("declared");
        config.ack_wait = ack_wait;
        let jetstream = self.harness.bus.jetstream();
        jetstream
            .create_consumer_on_stream(config, EVENTS)
            .await
            .expect("changed");
    }

    pub async fn consumer(&self) -> Info {
        let jetstream = self.harness.bus.jetstream();
        jetstream
            .get_consumer_from_stream::<pull::Config, _, _>(HANDLER, EVENTS)
            .await
            .expect("declared")
            .cached_info()
            .clone()
    }

    /// How often messages were delivered to the handler in all.
    pub async fn deliveries(&self) -> u64 {
        self.consumer().await.delivered.consumer_sequence
    }

    pub async fn recorded(&self) -> Option<Recorded> {
        sqlx::query_as(
            "select retries, waiting_since is not null as is_waiting, explained_through, alone_runs
            from delivery_failures",
        )
        .fetch_optional(&mut self.harness.admin().await)
        .await
        .expect("Postgres answers")
    }

    /// The timeline of the session.
    pub async fn timeline(&self) -> Vec<Fact> {
        let rows: Vec<(String, serde_json::Value)> =
            sqlx::query_as("select type, data from session_events order by seq")
                .fetch_all(&mut self.harness.admin().await)
                .await
                .expect("Postgres answers");
        rows.into_iter()
            .map(|(event_type, data)| Fact::decode(&event_type, 1, data).expect("a fact"))
            .collect()
    }

    /// Messages of a type on the stream of facts.
    pub async fn published(&self, event_type: &str) -> Vec<RawMessage> {
        let stream = self.harness.bus.jetstream().get_stream(EVENTS).await;
        let stream = stream.expect("there");
        let mut found = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("kept");
            if message
                .subject
                .starts_with(&format!("events.{event_type}."))
            {
                found.push(message);
            }
        }
        found
    }

    /// The first dead letter.
    pub async fn dead_letter(&self) -> RawMessage {
        let stream = self.harness.bus.jetstream().get_stream(DEAD).await;
        stream
            .expect("there")
            .get_raw_message(1)
            .await
            .expect("a dead letter")
    }
}

/// A running worker.
pub struct Working {
    pub shutdown: Shutdown,
    running: JoinSet<anyhow::Result<()>>,
}

impl Working {
    pub fn start(worker: Worker) -> Self {
        let shutdown = Shutdown::new();
        let mut running = JoinSet::new();
        running.spawn(worker.run(shutdown.clone()));
        Self { shutdown, running }
    }

    /// Stops as a process does on SIGTERM.
    pub async fn stop(self) {
        self.shutdown.stop();
        self.ended().await;
    }

    /// Waits for the end of a worker that was told to stop.
    pub async fn ended(mut self) {
        let ended = self.running.join_next().await.expect("one worker");
        ended.expect("no panic").expect("a clean end");
    }

    /// Ends as a process does on SIGKILL: nothing is answered, nothing is recorded.
    pub async fn die(mut self) {
        self.running.shutdown().await;
    }
}
