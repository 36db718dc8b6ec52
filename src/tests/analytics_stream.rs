//! The dashboard as server-sent events.

use std::time::Duration;

use aftercall::bus::subjects::wake_analytics;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, SeededClient};
use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::analytics::client;
use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

/// Well below the pause after which a follower looks by itself, so only a wake can be as fast.
const WOKEN: Duration = Duration::from_secs(2);
/// Longer than a follower waits between two readings.
const QUIET: Duration = Duration::from_millis(1_500);
/// Longer than it goes without looking.
const LIMIT: Duration = Duration::from_secs(30);

/// The dashboards of one connection.
struct Follower(BoxStream<'static, Value>);

impl Follower {
    async fn connect(user: &SignedIn<'_>, query: &str) -> Self {
        let request = user.request(Method::GET, &format!("/analytics/stream{query}"));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events = response.bytes_stream().eventsource();
        // A broken connection ends the stream; what was received stays.
        let events = events.take_while(|event| std::future::ready(event.is_ok()));
        let dashboards = events.map(|event| {
            let event = event.expect("taken while ok");
            assert_eq!(event.event, "dashboard");
            serde_json::from_str(&event.data).expect("JSON")
        });
        Self(dashboards.boxed())
    }

    /// The calls of the next dashboard; `None` at the end of the stream.
    async fn calls_within(&mut self, limit: Duration) -> Option<i64> {
        let next = tokio::time::timeout(limit, self.0.next()).await;
        let dashboard = next.expect("a dashboard or the end in time")?;
        Some(dashboard["totals"]["calls"].as_i64().expect("a count"))
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.0.next()).await.is_err()
    }
}

/// Says what the analytics worker says after a commit.
async fn wake(harness: &Harness, client: SeededClient) {
    let subject = wake_analytics(client.account_id.0);
    let said = harness.bus.client().publish(subject, "".into()).await;
    said.expect("published");
}

/// Counts a call and wakes, as the analytics worker does.
async fn call(harness: &Harness, client: SeededClient, record: Value) {
    seed::counted_calls(harness, client, &[record]).await;
    wake(harness, client).await;
}

#[tokio::test]
async fn a_follower_sees_the_dashboard_and_each_change() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let practice = client(&harness, &ada, "Practice").await;
    let foreign = client(&harness, &eve, "Foreign").await;
    seed::counted_calls(&harness, practice, &[json!({})]).await;
    let mut follower = Follower::connect(&ada, "?timezone=Asia/Kathmandu").await;
    assert_eq!(follower.calls_within(WOKEN).await, Some(1));
    call(&harness, practice, json!({})).await;
    assert_eq!(follower.calls_within(WOKEN).await, Some(2));
    // Neither a wake without a change, nor another account's calls, nor one outside of the days.
    wake(&harness, practice).await;
    call(&harness, foreign, json!({})).await;
    call(
        &harness,
        practice,
        json!({ "started_at": "2020-01-01T12:00:00Z" }),
    )
    .await;
    assert!(follower.is_quiet().await);
    // Many at once are few dashboards, and the last tells all.
    let before = std::time::Instant::now();
    for _ in 0..20 {
        call(&harness, practice, json!({})).await;
    }
    let (mut told, mut seen) = (0, 0);
    while seen < 22 {
        seen = follower.calls_within(WOKEN).await.expect("a dashboard");
        told += 1;
    }
    assert_eq!(seen, 22);
    let paced = before.elapsed().as_secs() + 2;
    assert!(told <= paced, "{told} dashboards in {:?}", before.elapsed());
    // A stop ends the stream, and does not wait for the follower.
    let stopped = ingress.stop();
    let (end, ()) = tokio::join!(follower.calls_within(LIMIT), stopped);
    assert_eq!(end, None);
    harness.finish().await;
}

#[tokio::test]
async fn an_admin_is_woken_by_every_account() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = SignedIn::new(&ingress, "root@example.org").await;
    clinics::place(&harness, root.user_id, None, "admin").await;
    let (one, other) = (seed::client(&harness).await, seed::client(&harness).await);
    let mut all = Follower::connect(&root, "").await;
    let picked = format!("?account_id={}", one.account_id);
    let mut picked = Follower::connect(&root, &picked).await;
    for follower in [&mut all, &mut picked] {
        assert_eq!(follower.calls_within(WOKEN).await, Some(0));
    }
    call(&harness, other, json!({})).await;
    assert_eq!(all.calls_within(WOKEN).await, Some(1));
    assert!(picked.is_quiet().await);
    call(&harness, one, json!({})).await;
    assert_eq!(all.calls_within(WOKEN).await, Some(2));
    assert_eq!(picked.calls_within(WOKEN).await, Some(1));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_stream_ends_with_what_opened_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let root = SignedIn::new(&ingress, "root@example.org").await;
    let other = SignedIn::new(&ingress, "other@example.org").await;
    for admin in [root.user_id, other.user_id] {
        clinics::place(&harness, admin, None, "admin").await;
    }
    let practice = client(&harness, &ada, "Practice").await;
    let mut follower = Follower::connect(&ada, "").await;
    assert_eq!(follower.calls_within(WOKEN).await, Some(0));
    let picked = format!("?account_id={}", practice.account_id);
    let mut admin = Follower::connect(&root, &picked).await;
    assert_eq!(admin.calls_within(WOKEN).await, Some(0));
    let out = ada.request(Method::POST, "/auth/logout");
    assert_eq!(Answer::of(out).await.status, StatusCode::NO_CONTENT);
    // An admin who is none any more no longer sees the account that was picked.
    clinics::place(&harness, root.user_id, None, "counselor").await;
    call(&harness, practice, json!({})).await;
    assert_eq!(follower.calls_within(WOKEN).await, None);
    assert_eq!(admin.calls_within(WOKEN).await, None);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn followers_go_on_without_the_broker() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let practice = client(&harness, &ada, "Practice").await;
    let mut follower = Follower::connect(&ada, "").await;
    assert_eq!(follower.calls_within(WOKEN).await, Some(0));
    harness.nats.lock().await.stop().await;
    seed::counted_calls(&harness, practice, &[json!({})]).await;
    assert_eq!(follower.calls_within(LIMIT).await, Some(1));
    drop(ingress);
    harness.finish_as_it_is().await;
}
