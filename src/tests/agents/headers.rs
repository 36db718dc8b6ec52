//! Headers that mean something to JetStream, on a message that is otherwise in order.

use aftercall::bus;
use serde_json::json;

use super::scene::{Scene, messages};

/// Publishes a call of our agent with these headers: it is accepted like any other, and the frame that
/// carries it has none of them. Returns the scene and what is stored.
async fn published(headers: &[(&str, &str)]) -> (Scene, serde_json::Value) {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let inbox = format!("{}.1", scene.ours.inbox());
    let call = scene.ours.call().to_string();
    let subject = scene.ours.subject();
    // What was there before must still be there.
    let first = scene.ours.publish(&mut wire, &scene.ours.call()).await;
    assert_eq!(first["status"], "accepted");
    assert_eq!(messages(&scene.harness, bus::CALLS).await, 1);
    let errors = wire
        .publish(&subject, &inbox, headers, call.as_bytes())
        .await;
    assert!(errors.is_empty(), "{errors:?}");
    aftercall::embedded::harness::eventually("it is stored beside the first", || async {
        messages(&scene.harness, bus::CALLS).await == 2
    })
    .await;
    let stream = scene.harness.bus.jetstream().get_stream(bus::CALLS).await;
    let frame = stream
        .expect("the stream CALLS")
        .get_raw_message(2)
        .await
        .expect("a frame");
    for (name, value) in headers {
        let kept = frame.headers.get(*name).map(|it| it.as_str().to_owned());
        assert_ne!(kept.as_deref(), Some(*value), "{name}");
        // A frame has an envelope and an id of its own.
        let is_ours = *name == "Nats-Msg-Id" || !name.starts_with("Nats-");
        assert!(kept.is_none() || is_ours, "{name}");
    }
    let line: serde_json::Value = serde_json::from_slice(&frame.payload).expect("a line");
    let second = json!({ "id": line["id"], "client_id": line["client_id"] });
    let first = json!({ "id": first["id"], "client_id": scene.ours.client });
    (scene, json!([first, second]))
}

async fn no_effect(headers: &[(&str, &str)]) {
    let (scene, stored) = published(headers).await;
    scene.unharmed(stored.as_array().expect("an array")).await;
}

#[tokio::test]
async fn a_message_id_poisons_nothing() {
    const ID: &str = "0193e7a2-0000-7000-8000-000000000001";
    let (scene, _) = published(&[("Nats-Msg-Id", ID)]).await;
    // Whoever publishes under that id is not taken for a repeat.
    let headers = [("ce-id", ID)];
    let published = scene.harness.bus.publish("calls.ended", headers, "{}", ID);
    assert!(!published.await.expect("stored").duplicate);
    scene.finish().await;
}

#[tokio::test]
async fn a_rollup_wipes_nothing() {
    no_effect(&[("Nats-Rollup", "all")]).await;
}

#[tokio::test]
async fn a_schedule_sends_nothing_later() {
    no_effect(&[
        ("Nats-Schedule", "@every 1s"),
        ("Nats-Schedule-Target", "calls.ended"),
        ("Nats-Schedule-TTL", "1s"),
    ])
    .await;
}

#[tokio::test]
async fn a_ttl_lets_nothing_expire() {
    no_effect(&[("Nats-TTL", "1s"), ("Nats-Marker-Reason", "MaxAge")]).await;
}

#[tokio::test]
async fn a_batch_holds_nothing_back() {
    no_effect(&[
        ("Nats-Batch-Id", "b1"),
        ("Nats-Batch-Sequence", "1"),
        ("Nats-Batch-Commit", "1"),
    ])
    .await;
}

#[tokio::test]
async fn expectations_of_a_stream_are_nobodys() {
    no_effect(&[
        ("Nats-Expected-Stream", "EVENTS"),
        ("Nats-Expected-Last-Sequence", "99"),
        ("Nats-Incr", "1"),
    ])
    .await;
}

#[tokio::test]
async fn a_trace_goes_nowhere() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let (subject, call) = (scene.ours.subject(), scene.ours.call().to_string());
    for target in ["events.trace", "calls.ended", &scene.other.subject()] {
        let headers = [("Nats-Trace-Dest", target), ("Nats-Trace-Only", "true")];
        let inbox = format!("{}.1", scene.ours.inbox());
        let errors = wire
            .publish(&subject, &inbox, &headers, call.as_bytes())
            .await;
        let expected = format!("Permissions Violation for Publish to \"{target}\"");
        assert_eq!(errors, [expected]);
    }
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn a_header_forges_no_envelope() {
    no_effect(&[
        ("ce-type", "session.ended"),
        ("ce-source", "elsewhere"),
        ("aftercall-redrive", "7"),
        ("traceparent", "00-xyz-1-01"),
    ])
    .await;
}
