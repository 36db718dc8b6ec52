//! The servers of a test, a session on them, and workers that run handlers.

use std::time::Duration;

use async_nats::jetstream::consumer::{Info, pull};
use async_nats::jetstream::message::StreamMessage;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::script::HANDLER;
use crate::bus::{self, DEAD, EVENTS};
use crate::db::provision::Process;
use crate::db::{Db, WorkerRole};
use crate::embedded::harness::Harness;
use crate::events::{Fact, Message, RecordingUploaded};
use crate::ids::{AccountId, RecordingId, SessionId, UserId};
use crate::lifecycle::Shutdown;
use crate::worker::{Handler, Probe, Settings, Worker};

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
    pub async fn published(&self, event_type: &str) -> Vec<StreamMessage> {
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
    pub async fn dead_letter(&self) -> StreamMessage {
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
