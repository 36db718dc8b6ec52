//! An agent, another tenant's agent, and what the broker holds of both.

use aftercall::bus;
use aftercall::embedded::harness::Harness;
use aftercall::ids::ClientId;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::wire::Wire;
use crate::support::{SignedIn, TestIngress};

/// A client of an account, and the key of its agent.
pub struct Agent {
    pub client: ClientId,
    pub key: String,
    pub key_id: String,
}

/// Two accounts with an agent each, on an ingress.
pub struct Scene {
    pub harness: Harness,
    pub ingress: TestIngress,
    /// Where agents connect.
    pub url: String,
    /// Whose agent the test is.
    pub ours: Agent,
    /// Of another account.
    pub other: Agent,
    token: String,
    spy: async_nats::Subscriber,
    facts: u64,
}

impl Agent {
    /// Makes a client of the account, and a key that is bound to it.
    pub async fn of(person: &SignedIn<'_>) -> Self {
        let client = client_of(person).await;
        let body = json!({ "name": "agent", "scopes": ["calls:write"], "client_id": client });
        Self::with_key(person, client, &body).await
    }

    /// With a key of the test's making.
    pub async fn with_key(person: &SignedIn<'_>, client: ClientId, body: &Value) -> Self {
        let made = person.post_json("/api-keys", body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        Self {
            client,
            key: made["key"].as_str().expect("shown").to_owned(),
            key_id: made["id"].as_str().expect("an id").to_owned(),
        }
    }

    pub fn subject(&self) -> String {
        format!("ingest.v1.{}.call-ended", self.client)
    }

    pub fn inbox(&self) -> String {
        format!("_INBOX.agent.{}", self.client)
    }

    /// The least that is a call.
    pub fn call(&self) -> Value {
        json!({ "client_id": self.client })
    }

    /// Connects, and listens on one inbox.
    pub async fn connect(&self, url: &str) -> Result<Wire, String> {
        let mut wire = Wire::sign_in(url, &self.client.to_string(), &self.key).await?;
        let errors = wire
            .send(format!("SUB {}.1 1\r\n", self.inbox()).as_bytes())
            .await;
        assert!(errors.is_empty(), "{errors:?}");
        Ok(wire)
    }

    /// Waits for the ingress, which subscribes a moment after its start.
    pub async fn gets_in(&self, url: &str) {
        aftercall::embedded::harness::eventually("agents get in", || async {
            self.connect(url).await.is_ok()
        })
        .await;
    }

    /// Publishes a call as an agent should, and returns the answer.
    pub async fn publish(&self, wire: &mut Wire, call: &Value) -> Value {
        let inbox = format!("{}.1", self.inbox());
        let answer = wire
            .answer(&inbox, &self.subject(), call.to_string().as_bytes())
            .await;
        serde_json::from_slice(&answer).expect("JSON")
    }
}

impl Scene {
    pub async fn start() -> Self {
        let harness = Harness::start().await;
        let ingress = TestIngress::start(&harness).await;
        let url = harness.nats.lock().await.agent_url();
        let ada = SignedIn::new(&ingress, "ada@example.org").await;
        let bob = SignedIn::new(&ingress, "bob@example.org").await;
        let (ours, other) = (Agent::of(&ada).await, Agent::of(&bob).await);
        let token = ada.token.clone();
        drop((ada, bob));
        harness.idle_of("file-dead-letter").await;
        let facts = messages(&harness, bus::EVENTS).await;
        for agent in [&ours, &other] {
            agent.gets_in(&url).await;
        }
        let spy = harness.bus.client().subscribe(">").await.expect("a spy");
        harness
            .bus
            .client()
            .flush()
            .await
            .expect("the broker answers");
        Self {
            harness,
            ingress,
            url,
            ours,
            other,
            token,
            spy,
            facts,
        }
    }

    /// Signs requests as the person whose agent this is.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Signed in as our agent.
    pub async fn attacker(&self) -> Wire {
        self.ours.connect(&self.url).await.expect("a good key")
    }

    /// Without it, nobody but the stream takes what is published into it.
    pub async fn stop_spying(&mut self) {
        self.spy.unsubscribe().await.expect("the broker answers");
        let client = self.harness.bus.client();
        client.flush().await.expect("the broker answers");
    }

    /// Ends a test in which an attack was tried: the attacker's own call and the other's arrive once, as
    /// ever, nothing else is stored, and on the subjects of the other only its own messages were seen.
    pub async fn unharmed(mut self, expected: &[Value]) {
        let mut stored = expected.to_vec();
        for agent in [&self.ours, &self.other] {
            let mut wire = agent.connect(&self.url).await.expect("a good key");
            let answer = agent.publish(&mut wire, &agent.call()).await;
            assert_eq!(answer["status"], "accepted", "{answer}");
            stored.push(json!({ "id": answer["id"], "client_id": agent.client }));
        }
        let found: Vec<Value> = lines(&self.harness)
            .await
            .iter()
            .map(|line| json!({ "id": line["id"], "client_id": line["client_id"] }))
            .collect();
        assert_eq!(found.len(), stored.len(), "{found:?}");
        assert!(stored.iter().all(|it| found.contains(it)), "{found:?}");
        assert_eq!(messages(&self.harness, bus::EVENTS).await, self.facts);
        assert_eq!(messages(&self.harness, bus::DEAD).await, 0);

        let marker = "marker.of.the.test";
        let client = self.harness.bus.client().clone();
        client.publish(marker, "".into()).await.expect("published");
        let (subject, inbox) = (self.other.subject(), self.other.inbox());
        let (mut asked, mut answered) = (0, 0);
        while let Some(message) = self.spy.next().await {
            let on: &str = &message.subject;
            if on == marker {
                break;
            }
            asked += usize::from(on == subject);
            answered += usize::from(on.starts_with(&inbox));
            let of_streams = ["events.", "dead.", "redrive."];
            assert!(!of_streams.iter().any(|it| on.starts_with(it)), "{on}");
        }
        assert_eq!((asked, answered), (1, 1));
        self.finish().await;
    }

    /// The analytics worker does not run here: calls stay pending.
    pub async fn finish(self) {
        self.ingress.stop().await;
        self.harness.finish_as_it_is().await;
    }
}

/// A fresh client of the person's account.
pub async fn client_of(person: &SignedIn<'_>) -> ClientId {
    let made = person
        .post_json("/clients", &json!({ "name": "Dr. Who" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().and_then(|id| id.parse().ok());
    id.expect("an id")
}

/// The lines of all frames, as they are stored.
pub async fn lines(harness: &Harness) -> Vec<Value> {
    let stream = harness.bus.jetstream().get_stream(bus::CALLS).await;
    let stream = stream.expect("the stream CALLS");
    let state = &stream.cached_info().state;
    let mut lines = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let frame = stream.get_raw_message(sequence).await.expect("a frame");
        let text = String::from_utf8(frame.payload.to_vec()).expect("UTF-8");
        for line in text.lines() {
            lines.push(serde_json::from_str(line).expect("a line"));
        }
    }
    lines
}

/// Messages that a stream holds.
pub async fn messages(harness: &Harness, stream: &str) -> u64 {
    let stream = harness.bus.jetstream().get_stream(stream).await;
    stream.expect("a stream").cached_info().state.messages
}
