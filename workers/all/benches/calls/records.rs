//! Calls as agents send them, written as whole requests before anything is measured.
//!
//! Between two requests only the id changes, in place: the load costs the machine little.

use std::net::SocketAddr;

use aftercall::embedded::agent::Agent;
use aftercall::ids::ClientId;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

/// Different records; enough that no cache holds them all.
const VARIETY: usize = 2_000;
const SEED: u64 = 5;
/// Calls ended within the last minutes.
const AGE_S: i64 = 600;
const WORDS: [&str; 16] = [
    "appointment",
    "Tuesday",
    "morning",
    "please",
    "thank",
    "the",
    "doctor",
    "call",
    "again",
    "we",
    "could",
    "offer",
    "half",
    "past",
    "nine",
    "insurance",
];
const REASONS: [&str; 4] = ["caller_hangup", "agent_hangup", "transferred", "voicemail"];
const SENTIMENTS: [&str; 4] = ["positive", "neutral", "negative", "mixed"];

/// A request whose body has an id that can be changed in place.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    id_at: usize,
}

impl Template {
    fn of(bytes: Vec<u8>) -> Self {
        let nil = Uuid::nil().to_string();
        let id_at = bytes
            .windows(nil.len())
            .position(|window| window == nil.as_bytes())
            .expect("the record has an id");
        Self { bytes, id_at }
    }

    /// Writes the request with a fresh id.
    pub fn write(&self, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.bytes);
        let id = &mut request[self.id_at..];
        Uuid::now_v7().hyphenated().encode_lower(id);
    }
}

/// `POST /api/v1/calls`, one call each.
pub fn requests(address: SocketAddr, agent: &Agent) -> Vec<Template> {
    let bodies = records(agent);
    let requests = bodies.map(|body| {
        let head = head(
            address,
            agent,
            "/api/v1/calls",
            "application/json",
            body.len(),
        );
        Template::of([head.as_bytes(), body.as_bytes()].concat())
    });
    requests.collect()
}

/// The head of a request.
pub fn head(
    address: SocketAddr,
    agent: &Agent,
    path: &str,
    content_type: &str,
    length: usize,
) -> String {
    let key = agent.key.expose_secret();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Records with the nil id.
pub fn records(agent: &Agent) -> impl Iterator<Item = String> {
    let now = Timestamp::now();
    let mut rng = StdRng::seed_from_u64(SEED);
    let clients = agent.clients.clone();
    (0..VARIETY).map(move |number| record(&mut rng, clients[number % clients.len()], now))
}

fn record(rng: &mut StdRng, client_id: ClientId, now: Timestamp) -> String {
    let seconds = rng.random_range(10..120);
    let ended_at = now - SignedDuration::from_secs(rng.random_range(0..AGE_S));
    json!({
        "id": Uuid::nil(),
        "client_id": client_id,
        "caller_phone": format!("+1555{:07}", rng.random_range(0..10_000_000)),
        "direction": "inbound",
        "started_at": ended_at - SignedDuration::from_secs(seconds),
        "ended_at": ended_at,
        "stt_latency_ms": latency(rng, 120.0),
        "llm_latency_ms": latency(rng, 600.0),
        "tts_latency_ms": latency(rng, 180.0),
        "transcript": turns(rng, seconds * 1_000),
        "sentiment": SENTIMENTS[rng.random_range(0..SENTIMENTS.len())],
        "success": rng.random_bool(0.8),
        "ended_reason": REASONS[rng.random_range(0..REASONS.len())],
        "agent": { "name": "Mia", "version": "3.1", "model": "small" },
        "language": "en",
    })
    .to_string()
}

/// Between 1 and 2 KiB as JSON.
fn turns(rng: &mut StdRng, duration_ms: i64) -> Value {
    let count = rng.random_range(8..16);
    let turn = |number: i64| {
        let words = rng.random_range(4..10);
        let words: Vec<_> = (0..words)
            .map(|_| WORDS[rng.random_range(0..WORDS.len())])
            .collect();
        json!({
            "speaker": if number % 2 == 0 { "agent" } else { "caller" },
            "text": words.join(" "),
            "start_ms": duration_ms * number / count,
            "end_ms": duration_ms * (number + 1) / count,
        })
    };
    (0..count).map(turn).collect()
}

/// Skewed as latencies are: most near the usual one, some far above.
fn latency(rng: &mut StdRng, usual_ms: f64) -> f64 {
    let part: f64 = rng.random_range(0.02..1.0);
    (usual_ms * (0.6 - 0.5 * part.ln()) * 10.0).round() / 10.0
}
