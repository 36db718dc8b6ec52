//! Messages that wait for others, and messages that left the stream before.

use std::time::Duration;

use aftercall::bus::CALLS;
use aftercall::db::erasure_sessions::Step;
use aftercall::ids::CallId;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures::StreamExt;

use crate::bench::{Bench, CANARY, OTHER};

#[tokio::test]
async fn a_message_that_somebody_waits_for_is_destroyed_after_them() {
    let bench = Bench::start().await;
    let config = pull::Config {
        durable_name: Some("reader".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let context = bench.harness.bus.jetstream();
    let reader: PullConsumer = context
        .create_consumer_on_stream(config, CALLS)
        .await
        .unwrap();
    let id = CallId::generate();
    bench
        .publish(&[bench.call(id, CANARY), bench.of_other(OTHER)])
        .await;
    bench.fold().await;
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    bench.settle().await;
    assert_eq!(
        (bench.left(erasure).await, bench.step(erasure).await),
        ((1, 0), Step::Settling)
    );

    let mut batch = reader.fetch().max_messages(1).messages().await.unwrap();
    let message = batch.next().await.unwrap().unwrap();
    message.double_ack().await.unwrap();
    assert_eq!(bench.settle().await, 1);
    assert_eq!(
        (bench.left(erasure).await, bench.step(erasure).await),
        ((0, 0), Step::Done)
    );
    let left = bench.places(CANARY).await;
    assert_eq!(left, ["clients"], "its client");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_was_trimmed_before_is_pending_until_the_stream_is_made_anew() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    let sequence = bench.publish(&[bench.call(id, CANARY)]).await;
    bench.fold().await;
    bench
        .harness
        .bus
        .purge_below(CALLS, sequence + 1)
        .await
        .unwrap();
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    assert_eq!(bench.left(erasure).await, (0, 1));
    bench.settle().await;
    assert_eq!(bench.step(erasure).await, Step::Pending);
    let hours = Duration::from_hours(2);
    assert_eq!(bench.go_on(hours).await, 1);
    assert_eq!(bench.step(erasure).await, Step::Pending);
    bench.destroy_stream().await;
    assert_eq!(bench.go_on(hours).await, 1);
    assert_eq!(bench.step(erasure).await, Step::Done);
    assert!(
        !bench
            .destroyed(erasure)
            .await
            .contains_key("stream CALLS: messages")
    );
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_was_trimmed_before_is_done_when_its_file_must_be_gone() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    let sequence = bench.publish(&[bench.call(id, CANARY)]).await;
    bench.fold().await;
    bench
        .harness
        .bus
        .purge_below(CALLS, sequence + 1)
        .await
        .unwrap();
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    let mut last = 0;
    for number in 0..40 {
        let (bus, id) = (&bench.harness.bus, number.to_string());
        let sent = bus.publish(
            "redrive.calls.x.y",
            [("x", "y")],
            vec![b'x'; 480 << 10],
            &id,
        );
        last = sent.await.unwrap().sequence;
    }
    let hours = Duration::from_hours(2);
    bench.go_on(hours).await;
    assert_eq!(bench.step(erasure).await, Step::Pending);
    bench.harness.bus.purge_below(CALLS, last).await.unwrap();
    bench.go_on(hours).await;
    assert_eq!(
        bench.step(erasure).await,
        Step::Pending,
        "the file of the last is there"
    );
    bench
        .harness
        .bus
        .purge_below(CALLS, last + 1)
        .await
        .unwrap();
    bench.go_on(hours).await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    let left = bench.places(CANARY).await;
    assert_eq!(left, ["clients"], "and it is gone");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn two_erasures_of_one_message_are_both_done() {
    let bench = Bench::start().await;
    let (one, two) = (CallId::generate(), CallId::generate());
    bench
        .publish(&[bench.call(one, CANARY), bench.call(two, CANARY)])
        .await;
    bench.fold().await;
    for (id, messages) in [(one, Some(&1)), (two, None)] {
        let erasure = bench.ask(Some(id)).await;
        bench.begin(erasure).await;
        bench.settle().await;
        assert_eq!(
            (bench.left(erasure).await, bench.step(erasure).await),
            ((0, 0), Step::Done)
        );
        let destroyed = bench.destroyed(erasure).await;
        assert_eq!(destroyed.get("stream CALLS: messages"), messages);
    }
    bench.harness.finish_as_it_is().await;
}
