//! The timeline as server-sent events.

use std::time::Duration;

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use eventsource_stream::{Event, Eventsource as _};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stages;
use crate::support::{Answer, SignedIn, TestIngress};

/// Well below the pause after which a reader looks by itself, so only a wake can be as fast.
const WOKEN: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(30);

/// One connection of a follower.
struct Follower(BoxStream<'static, Event>);

impl Follower {
    /// Connects after the event `last`.
    async fn connect(user: &SignedIn<'_>, session: Seeded, last: Option<i64>) -> Self {
        let path = format!("/sessions/{}/events", session.session_id);
        let mut request = user.request(Method::GET, &path);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events = response.bytes_stream().eventsource();
        // A broken connection ends the stream; what was received stays.
        let events = events.take_while(|event| std::future::ready(event.is_ok()));
        Self(events.map(|event| event.expect("taken while ok")).boxed())
    }

    /// The next event; `None` at the end of the stream.
    async fn next_within(&mut self, limit: Duration) -> Option<Event> {
        let next = tokio::time::timeout(limit, self.0.next()).await;
        next.expect("an event or the end in time")
    }

    async fn next(&mut self) -> Event {
        self.next_within(LIMIT).await.expect("an event")
    }
}

fn seq(event: &Event) -> i64 {
    event.id.parse().expect("the place in the timeline")
}

#[tokio::test]
async fn a_follower_sees_the_past_and_is_woken_for_the_rest() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    ada.post(&format!("/sessions/{}/start", session.session_id))
        .await;
    let mut follower = Follower::connect(&ada, session, None).await;
    for (place, event_type) in [(1, "session.created"), (2, "session.started")] {
        let event = follower.next().await;
        assert_eq!((seq(&event), event.event.as_str()), (place, event_type));
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(
            (&data["seq"], &data["type"]),
            (&json!(place), &json!(event_type))
        );
        assert_eq!(data["data"]["session_id"], session.session_id.to_string());
        assert!(
            data["at"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
    }
    assert!(
        follower.0.next().now_or_never().is_none(),
        "nothing else happened"
    );
    ada.post(&format!("/sessions/{}/end", session.session_id))
        .await;
    let ended = follower.next_within(WOKEN).await.unwrap();
    assert_eq!((seq(&ended), ended.event.as_str()), (3, "session.ended"));
    // Somebody else's session wakes nobody and tells nothing.
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    eve.create_session(&json!({})).await;
    ada.put_json(
        &format!("/sessions/{}", session.session_id),
        &json!({ "status": "completed" }),
    )
    .await;
    assert_eq!(seq(&follower.next_within(WOKEN).await.unwrap()), 4);
    // A stop ends the stream, and does not wait for the follower.
    let stopped = ingress.stop();
    let (end, ()) = tokio::join!(follower.next_within(LIMIT), stopped);
    assert!(end.is_none());
    harness.finish().await;
}

#[tokio::test]
async fn resuming_leaves_no_gap_and_repeats_nothing() {
    const FACTS: i64 = 40;
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    // Facts are committed while the follower connects, reads some and breaks off, again and again.
    let record = async {
        for _ in 1..FACTS {
            let fact = seed::recording(&harness, session, "recordings/none", 1, [0; 32]).await;
            seed::publish(&harness, &fact).await;
        }
    };
    let follow = async {
        let mut seen = Vec::new();
        for reading in (1..=3).cycle() {
            let mut follower = Follower::connect(&ada, session, seen.last().copied()).await;
            for _ in 0..reading {
                seen.push(seq(&follower.next().await));
                if seen.last() == Some(&FACTS) {
                    return seen;
                }
            }
        }
        unreachable!("the cycle does not end");
    };
    let ((), seen) = tokio::join!(record, follow);
    assert_eq!(seen, (1..=FACTS).collect::<Vec<_>>());
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_follower_may_begin_where_it_likes() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let path = format!("/sessions/{}/events", session.session_id);
    ada.post(&format!("/sessions/{}/start", session.session_id))
        .await;
    ada.post(&format!("/sessions/{}/end", session.session_id))
        .await;
    assert_eq!(
        seq(&Follower::connect(&ada, session, Some(0)).await.next().await),
        1
    );
    assert_eq!(
        seq(&Follower::connect(&ada, session, Some(2)).await.next().await),
        3
    );
    let by_query = ada.request(Method::GET, &format!("{path}?last_event_id=1"));
    let mut events = by_query.send().await.unwrap().bytes_stream().eventsource();
    assert_eq!(seq(&events.next().await.unwrap().unwrap()), 2);
    let mut ahead = Follower::connect(&ada, session, Some(3)).await;
    assert!(ahead.0.next().now_or_never().is_none());
    for id in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let request = ada.request(Method::GET, &path).header("last-event-id", id);
        assert_eq!(
            Answer::of(request).await.problem(400),
            "malformed_last_event_id",
            "{id}"
        );
    }
    let by_query = ada.get(&format!("{path}?last_event_id=x")).await;
    assert_eq!(by_query.problem(400), "malformed_query");
    // Who loses the sight of a session loses the stream at the next fact.
    sqlx::query("update users set is_active = false")
        .execute(&mut harness.admin().await)
        .await
        .unwrap();
    let fact = aftercall::events::SessionEnded {
        session_id: session.session_id,
    };
    seed::publish(&harness, &fact).await;
    assert!(ahead.next_within(WOKEN).await.is_none());
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn followers_go_on_without_the_broker() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let mut follower = Follower::connect(&ada, session, Some(1)).await;
    assert!(follower.0.next().now_or_never().is_none());
    harness.nats.lock().await.stop().await;
    stages::uploaded(&harness, session).await;
    assert_eq!(follower.next().await.event, "recording.uploaded");
    drop(ingress);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let mut follower = Follower::connect(&ada, session, Some(1)).await;
    assert!(follower.0.next().now_or_never().is_none());
    let out = ada.request(Method::POST, "/auth/logout");
    assert_eq!(Answer::of(out).await.status, StatusCode::NO_CONTENT);
    assert!(follower.next_within(LIMIT).await.is_none());
    ingress.stop().await;
    harness.finish().await;
}
