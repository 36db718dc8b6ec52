//! The bus against a real nats-server.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;

use super::*;
use crate::config::Nats;
use crate::embedded::harness::{Harness, eventually};

const SUBJECT: &str = "events.test.happened.1";
const NO_HEADERS: [(&str, &str); 0] = [];

#[tokio::test]
async fn provisioning_again_changes_nothing_and_mends_what_differs() {
    let harness = Harness::start().await;
    let bus = &harness.bus;
    let again = bus.provision(Parameters::default()).await.expect("again");
    assert_eq!(again, Provisioned::default());
    assert_eq!(
        bus.missing().await.expect("an answer"),
        Vec::<String>::new()
    );

    bus.jetstream()
        .delete_consumer_from_stream("store-recording", EVENTS)
        .await
        .expect("deleted");
    bus.jetstream().delete_stream(DEAD).await.expect("deleted");
    let missing = ["DEAD", "file-dead-letter", "store-recording"];
    let mut found = bus.missing().await.expect("an answer");
    found.sort();
    assert_eq!(found, missing);
    let readiness = bus.readiness().await;
    assert_eq!(readiness.problems, ["stream DEAD is missing"]);

    let mut made = bus
        .provision(Parameters::default())
        .await
        .expect("made")
        .created;
    made.sort();
    assert_eq!(made, missing);

    let other = Parameters {
        duplicate_window: Duration::from_mins(1),
        ..Parameters::default()
    };
    let changed = bus.provision(other).await.expect("changed");
    assert_eq!(changed.updated, [CALLS, DEAD, EVENTS]);
    harness.finish().await;
}

#[tokio::test]
async fn a_consumer_that_was_changed_by_hand_is_mended() {
    let harness = Harness::start().await;
    let mut by_hand = declared()
        .consumers
        .into_iter()
        .find(|consumer| consumer.name() == "store-recording")
        .expect("declared")
        .config;
    by_hand.ack_wait = Duration::from_secs(1);
    harness
        .bus
        .jetstream()
        .create_consumer_on_stream(by_hand, EVENTS)
        .await
        .expect("changed");
    let mended = harness
        .bus
        .provision(Parameters::default())
        .await
        .expect("mended");
    assert_eq!(mended.updated, ["store-recording"]);
    let consumer = harness
        .bus
        .jetstream()
        .get_consumer_from_stream::<pull::Config, _, _>("store-recording", EVENTS)
        .await
        .expect("there");
    assert_eq!(
        consumer.cached_info().config.ack_wait,
        Duration::from_secs(30)
    );
    harness.finish().await;
}

#[tokio::test]
async fn a_message_sent_twice_is_stored_once() {
    let harness = Harness::start().await;
    let publish = |id| harness.bus.publish(SUBJECT, [("ce-id", "x")], "{}", id);
    let first = publish("1").await.expect("stored");
    let again = publish("1").await.expect("known");
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    assert_eq!(first.sequence, again.sequence);
    let other = publish("2").await.expect("stored");
    assert_eq!(other.sequence, first.sequence + 1);
    harness.finish().await;
}

#[tokio::test]
async fn what_no_stream_takes_is_an_error() {
    let harness = Harness::start().await;
    let lost = harness
        .bus
        .publish("nobody.listens", NO_HEADERS, "{}", "1")
        .await;
    assert!(
        matches!(lost, Err(BusError::Unacknowledged { .. })),
        "{lost:?}"
    );
    let huge = vec![0_u8; 2 << 20];
    let refused = harness.bus.publish(SUBJECT, NO_HEADERS, huge, "2").await;
    assert!(
        matches!(refused, Err(BusError::Refused { .. })),
        "{refused:?}"
    );
    harness.finish().await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let harness = Harness::start().await;
    harness
        .bus
        .publish(SUBJECT, NO_HEADERS, "{}", "1")
        .await
        .expect("stored");
    harness.nats.lock().await.kill().await;
    eventually("the loss is noticed", || async {
        !harness.bus.is_connected()
    })
    .await;
    assert_eq!(
        harness.bus.readiness().await.problems,
        ["nats is not connected"]
    );
    // Published while nobody listens: it waits in the connection, and is stored once.
    let (published, restarted) =
        tokio::join!(harness.bus.publish(SUBJECT, NO_HEADERS, "{}", "2"), async {
            harness.nats.lock().await.restart().await
        },);
    restarted.expect("restarted");
    published.expect("stored");
    let known = harness
        .bus
        .publish(SUBJECT, NO_HEADERS, "{}", "1")
        .await
        .expect("known");
    assert!(known.duplicate, "the server remembers ids over a restart");
    harness.finish().await;
}

#[tokio::test]
async fn readiness_wants_proof_that_the_server_syncs() {
    let harness = Harness::start().await;
    assert_eq!(harness.bus.readiness().await, Readiness::default());
    let (url, monitor_url) = {
        let nats = harness.nats.lock().await;
        (nats.url(), nats.monitor_url())
    };
    let ready = async |monitor_url: Option<String>, allow_unsynced| {
        let settings = Nats {
            url: url.clone().into(),
            monitor_url,
            allow_unsynced,
        };
        let bus = Bus::connect(&settings, "test").await.expect("an address");
        eventually("connected", || async { bus.is_connected() }).await;
        bus.readiness().await.is_ready()
    };
    assert!(ready(Some(monitor_url), false).await);
    assert!(!ready(None, false).await);
    assert!(
        !ready(Some(url.replace("nats", "http")), false).await,
        "not the monitoring"
    );
    assert!(ready(None, true).await);
    harness.finish().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let settings = Nats {
        url: "nats://127.0.0.1:1".into(),
        monitor_url: None,
        allow_unsynced: true,
    };
    let bus = Bus::connect(&settings, "test").await.expect("an address");
    assert!(!bus.readiness().await.is_ready());
    let malformed = Nats {
        url: "nats://:port".into(),
        ..settings
    };
    assert!(Bus::connect(&malformed, "test").await.is_err());
}

#[tokio::test]
async fn a_destroyed_message_is_in_no_file() {
    const CANARY: &str = "canary-7f3a";
    let harness = Harness::start().await;
    let bus = &harness.bus;
    let publish = |subject: &'static str, id: &'static str| {
        bus.publish(subject, [("x-reason", CANARY)], CANARY, id)
    };
    let one = publish("events.a.b.1", "1").await.expect("stored");
    publish("events.a.b.2", "2").await.expect("stored");
    let redriven = publish("redrive.events.h.events.a.b.1", "3").await;
    let redriven = redriven.expect("stored");
    let in_files = || count_in_files(&harness.dir().join("nats"), CANARY.as_bytes());
    assert_eq!(in_files(), 6);

    let mut found = Vec::new();
    for filter in subjects::events_ending_with("1") {
        found.extend(bus.find(EVENTS, &filter).await.expect("found"));
    }
    let sequences: Vec<_> = found.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, [one.sequence, redriven.sequence]);
    for sequence in sequences {
        bus.destroy(EVENTS, sequence).await.expect("destroyed");
        bus.destroy(EVENTS, sequence).await.expect("gone is fine");
    }
    bus.destroy(EVENTS, 1_000).await.expect("never there");
    assert_eq!(in_files(), 2, "the other's");
    let extent = bus.extent(EVENTS).await.expect("there");
    assert_eq!((extent.first_sequence, extent.last_sequence), (2, 3));
    harness.finish_as_it_is().await;
}

fn count_in_files(dir: &std::path::Path, needle: &[u8]) -> usize {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            count += count_in_files(&path, needle);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            count += bytes
                .windows(needle.len())
                .filter(|at| *at == needle)
                .count();
        }
    }
    count
}
