//! The trimmer against a real nats-server: what it takes, and what holds it back.

use std::time::Duration;

use aftercall::bus::{CALLS, EVENTS};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use aftercall::ids::ErasureId;
use aftercall_maintenance::trim::trim_stream;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::AckKind;
use async_nats::jetstream::stream;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const STREAM: &str = "SMALL";
/// Of a message with its subject and what the server adds.
const MESSAGE_BYTES: usize = 1_000;
const BOUND_MESSAGES: i64 = 100;

struct Bench {
    harness: Harness,
}

impl Bench {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["small.*".to_owned()],
            max_bytes: BOUND_MESSAGES * i64::try_from(MESSAGE_BYTES).expect("small"),
            discard: stream::DiscardPolicy::New,
            ..stream::Config::default()
        };
        let made = harness.bus.jetstream().create_stream(config).await;
        made.expect("a stream");
        Self { harness }
    }

    async fn durable(&self, name: &str, filter: &str) -> PullConsumer {
        self.durable_of(STREAM, name, filter).await
    }

    async fn durable_of(&self, stream: &str, name: &str, filter: &str) -> PullConsumer {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            filter_subject: filter.to_owned(),
            ..pull::Config::default()
        };
        let context = self.harness.bus.jetstream();
        let made = context.create_consumer_on_stream(config, stream).await;
        made.expect("a consumer")
    }

    async fn publish(&self, subject: &'static str, count: usize) {
        for _ in 0..count {
            self.publish_one(subject).await.expect("stored");
        }
    }

    async fn publish_one(&self, subject: &'static str) -> Result<(), String> {
        // The server adds lengths, sequence, time and a hash.
        let rest = MESSAGE_BYTES - 30 - subject.len();
        let context = self.harness.bus.jetstream();
        let sent = context.publish(subject, vec![b'x'; rest].into());
        let stored = sent.await.expect("sent").await;
        stored.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn trim_at(&self, now: Timestamp) -> u64 {
        self.trim_of(STREAM, now).await
    }

    async fn trim_of(&self, stream: &str, now: Timestamp) -> u64 {
        let db = self.harness.db(Process::Maintenance);
        let trimmed = trim_stream(&db, &self.harness.bus, stream, now).await;
        trimmed.expect("the job runs")
    }

    /// A day later nothing is new any more.
    async fn trim(&self) -> u64 {
        self.trim_at(Timestamp::now() + SignedDuration::from_hours(24))
            .await
    }

    async fn first(&self) -> u64 {
        let extent = self.harness.bus.extent(STREAM).await;
        extent.expect("the stream").first_sequence
    }

    async fn finish(self) {
        self.harness.finish_as_it_is().await;
    }
}

/// Acknowledges the next messages but those whose sequence is listed: they come again later.
async fn ack(consumer: &PullConsumer, count: usize, but: &[u64]) {
    let batch = consumer.fetch().max_messages(count).messages().await;
    let mut batch = batch.expect("a batch").take(count);
    while let Some(message) = batch.next().await {
        let message = message.expect("a message");
        let sequence = message.info().expect("its place").stream_sequence;
        let kind = if but.contains(&sequence) {
            AckKind::Nak(Some(Duration::from_hours(1)))
        } else {
            AckKind::Ack
        };
        message.double_ack_with(kind).await.expect("answered");
    }
}

#[tokio::test]
async fn the_slowest_durable_holds_the_rest() {
    let bench = Bench::start().await;
    let (fast, slow) = (
        bench.durable("fast", "").await,
        bench.durable("slow", "").await,
    );
    bench.publish("small.a", 80).await;
    ack(&fast, 80, &[]).await;
    assert_eq!(bench.trim().await, 0, "one of them has read nothing");
    ack(&slow, 40, &[20]).await;
    assert_eq!(bench.trim().await, 19, "the twentieth comes again");
    assert_eq!(bench.first().await, 20);
    assert_eq!(bench.trim().await, 0);
    bench.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_full_takes_messages_again() {
    let bench = Bench::start().await;
    let durable = bench.durable("one", "").await;
    bench.publish("small.a", 100).await;
    bench.publish_one("small.a").await.expect_err("full");
    assert_eq!(bench.trim().await, 0, "what is not consumed stays");
    ack(&durable, 90, &[]).await;
    assert_eq!(bench.trim_at(Timestamp::now()).await, 90, "nothing is kept");
    bench.publish("small.a", 90).await;
    bench.finish().await;
}

#[tokio::test]
async fn below_half_of_the_bound_and_without_a_durable_nothing_goes() {
    let bench = Bench::start().await;
    bench.publish("small.a", 80).await;
    assert_eq!(bench.trim().await, 0, "nobody has read it");
    let ephemeral = pull::Config::default();
    let context = bench.harness.bus.jetstream();
    let ephemeral = context.create_consumer_on_stream(ephemeral, STREAM).await;
    ack(&ephemeral.expect("a consumer"), 80, &[]).await;
    assert_eq!(
        bench.trim().await,
        0,
        "who reads for a moment does not count"
    );
    let durable = bench.durable("one", "").await;
    ack(&durable, 80, &[]).await;
    assert_eq!(bench.trim().await, 80);
    bench.publish("small.a", 50).await;
    ack(&durable, 50, &[]).await;
    assert_eq!(bench.trim().await, 0, "half full");
    bench.finish().await;
}

#[tokio::test]
async fn the_newest_are_kept_for_a_while() {
    let bench = Bench::start().await;
    let durable = bench.durable("one", "").await;
    bench.publish("small.a", 30).await;
    let between = Timestamp::now();
    bench.publish("small.a", 30).await;
    ack(&durable, 60, &[]).await;
    assert_eq!(bench.trim_at(Timestamp::now()).await, 0);
    // At 60 % messages are kept for 36 minutes.
    let kept = SignedDuration::from_mins(36);
    assert_eq!(bench.trim_at(between + kept).await, 30);
    assert_eq!(bench.first().await, 31);
    assert_eq!(bench.trim().await, 0, "less than half of the bound is left");
    bench.finish().await;
}

#[tokio::test]
async fn a_durable_holds_only_what_it_reads() {
    let bench = Bench::start().await;
    let (some, none) = (
        bench.durable("some", "small.a").await,
        bench.durable("none", "small.b").await,
    );
    bench.publish("small.a", 40).await;
    bench.publish("small.b", 1).await;
    bench.publish("small.a", 40).await;
    ack(&some, 80, &[]).await;
    assert_eq!(bench.trim().await, 40, "the one that nobody has read");
    ack(&none, 1, &[]).await;
    bench.publish("small.a", 20).await;
    ack(&some, 20, &[]).await;
    assert_eq!(bench.trim().await, 61);
    bench.finish().await;
}

#[tokio::test]
async fn a_declared_consumer_that_is_missing_is_yet_to_read() {
    let bench = Bench::start().await;
    let context = bench.harness.bus.jetstream();
    for stream in [CALLS, EVENTS] {
        let mut config = context
            .get_stream(stream)
            .await
            .expect("there")
            .cached_info()
            .config
            .clone();
        config.max_bytes = 100_000;
        context.update_stream(config).await.expect("a small bound");
    }
    let bus = &bench.harness.bus;
    let other = bench.durable_of(CALLS, "other", "").await;
    for id in 0..90 {
        let id = id.to_string();
        let sent = bus.publish("calls.ended", [("x", "y")], vec![0; 900], &id);
        sent.await.expect("stored");
    }
    ack(&other, 90, &[]).await;
    let later = Timestamp::now() + SignedDuration::from_hours(24);
    context
        .delete_consumer_from_stream("fold-calls", CALLS)
        .await
        .expect("deleted");
    assert_eq!(bench.trim_of(CALLS, later).await, 0);
    bus.provision(aftercall::bus::Parameters::default())
        .await
        .expect("mended");
    bench.finish().await;
}

#[tokio::test]
async fn what_an_erasure_has_found_is_left_to_it() {
    let bench = Bench::start().await;
    let durable = bench.durable("one", "").await;
    bench.publish("small.a", 80).await;
    ack(&durable, 80, &[]).await;
    let seeded = seed::session(&bench.harness).await;
    let erasure = ErasureId::generate();
    let mut admin = bench.harness.admin().await;
    let insert = "with account as (select account_id from sessions where id = $2), erasure as (
            insert into erasures (account_id, id, subject_kind, subject_id, parts, reason)
            select account_id, $1, 'session', $2, '{session}', 'request' from account)
        insert into erasure_sessions (account_id, erasure_id, session_id, parts, messages)
        select account_id, $1, $2, '{session}', $3 from account";
    sqlx::query(insert)
        .bind(erasure.0)
        .bind(seeded.session_id.0)
        .bind(json!([[EVENTS, 1], [STREAM, 30], [STREAM, 50]]))
        .execute(&mut admin)
        .await
        .expect("an erasure");
    assert_eq!(bench.trim().await, 29);
    let gone = "update erasure_sessions set messages = '[]'";
    sqlx::query(gone)
        .execute(&mut admin)
        .await
        .expect("destroyed");
    bench.publish("small.a", 40).await;
    assert_eq!(bench.trim().await, 51);
    bench.finish().await;
}
