//! Millions of calls through a stream that is smaller than they are.

use std::time::{Duration, Instant};

use aftercall::bus::{Bus, CALLS, declared};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::events::calls_ended::{self, Arrival};
use aftercall::ids::{AccountId, CallId, ClientId};
use aftercall_maintenance::trim::trim_stream;
use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::figures::{MIB, report};

const CALLS_A_FRAME: u64 = 256;
/// The publisher of frames has two in flight.
const IN_FLIGHT: usize = 2;
/// The job runs every 10 s, when 30 MB/s fill a seventh of 2 GiB.
const TRIM_EVERY: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn calls_pass_through_a_small_stream() {
    measure(400_000, 64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make soak`"]
async fn twenty_million_calls_pass_through_128_mib() {
    measure(20_000_000, 128 * MIB).await;
}

/// Publishes so many calls in frames, while every durable of CALLS acknowledges them and the trimmer
/// runs. A publish that is refused because the stream is full fails the test.
async fn measure(calls: u64, bound: u64) {
    let harness = Harness::start().await;
    shrink(&harness.bus, bound).await;
    let began = Instant::now();
    let mut beside = JoinSet::new();
    for consumer in declared().consumers {
        if consumer.stream_name == CALLS {
            let (bus, name) = (harness.bus.clone(), consumer.name().to_owned());
            beside.spawn(async move { acknowledge(&bus, &name).await });
        }
    }
    let (db, bus) = (harness.db(Process::Maintenance), harness.bus.clone());
    beside.spawn(async move {
        let mut turns = tokio::time::interval(TRIM_EVERY);
        loop {
            turns.tick().await;
            let trimmed = trim_stream(&db, &bus, CALLS, Timestamp::now()).await;
            trimmed.expect("trimmed");
        }
    });

    let frame = frame();
    let frames = calls.div_ceil(CALLS_A_FRAME);
    let most = futures::stream::iter(0..frames)
        .map(|number| {
            let (bus, frame) = (&harness.bus, frame.clone());
            async move {
                let id = number.to_string();
                let headers = [("ce-type", "calls.ended")];
                let sent = bus.publish(calls_ended::SUBJECT, headers, frame, &id);
                sent.await.expect("CALLS is never full");
                match number % 64 {
                    0 => bus.fill(CALLS).await.expect("it answers").bytes,
                    _ => 0,
                }
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .fold(0, async |most, bytes| u64::max(most, bytes))
        .await;
    harness.idle().await;
    beside.shutdown().await;
    let fill = harness.bus.fill(CALLS).await.expect("it answers");
    assert_eq!(fill.last_sequence, frames);
    let passed = frames * frame.len() as u64;
    assert!(passed > bound, "{passed} bytes would have fitted");
    assert!(most < bound, "{most} of {bound} bytes");
    report(
        format!("{calls} calls through {} MiB", bound / MIB),
        format!(
            "{} MiB in {:.0} s, at most {} MiB kept",
            passed / MIB,
            began.elapsed().as_secs_f64(),
            most / MIB,
        ),
    );
    harness.finish().await;
}

async fn shrink(bus: &Bus, bound: u64) {
    let stream = bus.jetstream().get_stream(CALLS).await.expect("there");
    let mut config = stream.cached_info().config.clone();
    config.max_bytes = i64::try_from(bound).expect("small");
    let updated = bus.jetstream().update_stream(config).await;
    updated.expect("a small bound");
}

/// Acknowledges whatever comes.
async fn acknowledge(bus: &Bus, durable: &str) {
    let context = bus.jetstream();
    let consumer: PullConsumer = context
        .get_consumer_from_stream(durable, CALLS)
        .await
        .expect("declared");
    let messages = consumer
        .stream()
        .max_messages_per_batch(64)
        .messages()
        .await;
    messages
        .expect("a pull")
        .map_err(|error| error.to_string())
        .try_for_each(async |message| message.ack().await.map_err(|error| error.to_string()))
        .await
        .expect("acknowledged");
}

/// A frame of small calls, the same each time: nobody keeps them.
fn frame() -> Bytes {
    let arrival = Arrival {
        id: CallId::generate(),
        client_id: ClientId::generate(),
        account_id: AccountId::generate(),
        received_at: Timestamp::now(),
    };
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let record = format!(r#"{{"client_id":"{}"}}"#, arrival.client_id);
    let line = arrival.line(traceparent, record.as_bytes());
    let lines: Vec<_> = (0..CALLS_A_FRAME).map(|_| line.as_slice()).collect();
    Bytes::from(lines.join(&b'\n'))
}
