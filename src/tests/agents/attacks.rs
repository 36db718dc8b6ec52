//! What an agent must not be able to do to others, tried by hand.

use aftercall::bus;
use aftercall::config;
use aftercall::db::provision::Process;
use async_nats::ConnectOptions;
use serde_json::json;

use super::scene::{Scene, lines};

/// The server names what it refused.
fn assert_refused(errors: &[String], kind: &str, subject: &str) {
    let expected = format!("Permissions Violation for {kind} to \"{subject}\"");
    assert!(errors.contains(&expected), "{errors:?}");
}

#[tokio::test]
async fn nobody_publishes_for_another_client() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let (subject, forged) = (scene.other.subject(), scene.other.call().to_string());
    let inbox = format!("{}.1", scene.ours.inbox());
    let errors = wire.publish(&subject, &inbox, &[], forged.as_bytes()).await;
    assert_refused(&errors, "Publish", &subject);
    let any = "ingest.v1.*.call-ended";
    let errors = wire.publish(any, &inbox, &[], forged.as_bytes()).await;
    assert_refused(&errors, "Publish", any);
    // On its own subject, in the name of the other.
    let answer = scene.ours.publish(&mut wire, &scene.other.call()).await;
    assert_eq!(answer["status"], 422, "{answer}");
    assert_eq!(answer["errors"][0]["field"], "client_id");
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn nobody_publishes_into_a_stream() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let call = scene.ours.call().to_string();
    for subject in [
        "calls.ended",
        "redrive.calls.fold-calls.calls.ended",
        "events.session.ended.0193e7a2-0000-7000-8000-000000000000",
        "events.x",
        "redrive.events.store-recording.events.x",
        "dead.store-recording.events.x",
        "wake.analytics.x",
    ] {
        let errors = wire.publish(subject, "", &[], call.as_bytes()).await;
        assert_refused(&errors, "Publish", subject);
    }
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn nobody_asks_jetstream_or_the_server() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let inbox = format!("{}.1", scene.ours.inbox());
    for subject in [
        "$JS.API.INFO",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.PURGE.CALLS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.DIRECT.GET.CALLS",
        "$JS.API.CONSUMER.CREATE.CALLS",
        "$JS.API.CONSUMER.MSG.NEXT.CALLS.fold-calls",
        "$JS.ACK.CALLS.fold-calls.1.1.1.1.0",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.USER.INFO",
        "$SYS.REQ.SERVER.PING.CONNZ",
    ] {
        let errors = wire.publish(subject, &inbox, &[], b"").await;
        assert_refused(&errors, "Publish", subject);
    }
    assert!(wire.messages.is_empty(), "{:?}", wire.messages);
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn nobody_listens_to_another() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let other = scene.other.inbox();
    for subject in [
        ">",
        "*.*.*.*",
        "_INBOX.>",
        "_INBOX.agent.>",
        "_INBOX.agent.*.1",
        &format!("{other}.>"),
        &format!("{other}.1"),
        "ingest.v1.*.call-ended",
        &scene.other.subject(),
        &scene.ours.subject(),
        "calls.ended",
        "events.>",
        "$SYS.>",
    ] {
        for queue in ["", "ingest"] {
            let line = format!("SUB {subject} {queue} 9\r\n");
            let errors = wire.send(line.as_bytes()).await;
            let refused = errors
                .iter()
                .any(|it| it.starts_with("Permissions Violation for Subscription"));
            assert!(refused, "{subject}: {errors:?}");
        }
    }
    let mut victim = scene.other.connect(&scene.url).await.expect("a good key");
    let invalid = scene
        .other
        .publish(&mut victim, &json!({ "client_id": 7 }))
        .await;
    assert_eq!(invalid["status"], 422, "{invalid}");
    drop(victim);
    wire.send(b"").await;
    assert!(wire.messages.is_empty(), "{:?}", wire.messages);
    scene.ingress.stop().await;
    scene.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_answer_goes_nowhere_but_to_who_asked() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let (call, subject) = (scene.ours.call().to_string(), scene.ours.subject());
    let replies = [
        scene.other.subject(),
        format!("{}.1", scene.other.inbox()),
        format!("{}x.1", scene.ours.inbox()),
        scene.ours.subject(),
        "calls.ended".to_owned(),
        "events.session.ended.0193e7a2-0000-7000-8000-000000000000".to_owned(),
        "dead.store-recording.events.x".to_owned(),
        "$JS.API.STREAM.PURGE.CALLS".to_owned(),
        "$JS.ACK.CALLS.fold-calls.1.1.1.1.0".to_owned(),
        "_INBOX.x".to_owned(),
        "_INBOX.agent".to_owned(),
        scene.ours.inbox(),
    ];
    let mut passed_on = 0;
    for reply in &replies {
        // An answer of either kind.
        for payload in [call.as_bytes(), b"no call"] {
            // The server itself refuses some.
            let errors = wire.publish(&subject, reply, &[], payload).await;
            passed_on += usize::from(errors.is_empty());
        }
    }
    assert!(passed_on >= 2 * (replies.len() - 1), "{passed_on}");
    assert!(wire.messages.is_empty(), "{:?}", wire.messages);
    // Nobody would be told: nothing is stored.
    wire.publish(&subject, "", &[], call.as_bytes()).await;
    aftercall::embedded::harness::eventually("they are dropped", || async {
        let metrics = scene.ingress.get("/metrics", None).await.text();
        let expected = format!(r#"reason="foreign_reply"}} {passed_on}"#);
        metrics.contains(&expected)
    })
    .await;
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn the_user_who_answers_agents_writes_to_nobody_else() {
    let scene = Scene::start().await;
    let env = scene.harness.env(Process::Ingress);
    let settings = config::Agents::read(&env).expect("settings").expect("set");
    let ingest = bus::connect(&settings.ingest_url, ConnectOptions::new());
    let ingest = ingest.await.expect("an address");
    let mut spy = scene
        .harness
        .bus
        .client()
        .subscribe(">")
        .await
        .expect("a spy");
    for subject in ["calls.ended", "events.x", "$JS.API.STREAM.PURGE.CALLS"] {
        ingest.publish(subject, "x".into()).await.expect("sent");
    }
    ingest
        .publish(scene.other.subject(), "x".into())
        .await
        .expect("sent");
    ingest
        .publish("_INBOX.agent.marker", "x".into())
        .await
        .expect("sent");
    ingest.flush().await.expect("the broker answers");
    let first = futures::StreamExt::next(&mut spy).await.expect("a message");
    assert_eq!(first.subject.as_str(), "_INBOX.agent.marker");
    assert!(lines(&scene.harness).await.is_empty());
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn what_is_too_large_is_cut_off_or_refused() {
    let scene = Scene::start().await;
    let subject = scene.ours.subject();
    let inbox = format!("{}.1", scene.ours.inbox());
    let mut wire = scene.attacker().await;
    let errors = wire
        .publish(&subject, &inbox, &[], &vec![b'x'; 8 << 20])
        .await;
    assert!(
        errors.contains(&"Maximum Payload Violation".to_owned()),
        "{errors:?}"
    );
    // What the broker passes on, the service refuses.
    let mut wire = scene.attacker().await;
    let text = "x".repeat(300 << 10);
    let call = json!({ "client_id": scene.ours.client, "notes": text });
    let answer = scene.ours.publish(&mut wire, &call).await;
    assert_eq!(
        (answer["status"].as_u64(), &answer["code"]),
        (Some(413), &json!("too_large"))
    );
    scene.unharmed(&[]).await;
}

#[tokio::test]
async fn an_agent_has_a_bounded_number_of_subscriptions() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let inbox = scene.ours.inbox();
    let many: String = (2..1_100)
        .map(|n| format!("SUB {inbox}.{n} {n}\r\n"))
        .collect();
    let errors = wire.send(many.as_bytes()).await;
    let refused = errors
        .iter()
        .any(|it| it.to_lowercase().contains("maximum subscriptions"));
    assert!(refused, "{errors:?}");
    scene.unharmed(&[]).await;
}
