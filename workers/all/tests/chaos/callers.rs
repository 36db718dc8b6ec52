//! Agents that send each call until it is accepted, always under the same id.

use std::collections::BTreeSet;
use std::time::Duration;

use aftercall::ids::CallId;
use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::site::Site;

/// Without an answer for this long the call is sent again.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

pub struct Callers {
    client: Client,
    url: String,
    key: String,
    records: Box<dyn Fn(CallId, usize) -> Value>,
}

/// What was answered 2xx.
pub struct Accepted {
    pub ids: BTreeSet<CallId>,
    /// Requests that were sent again.
    pub repeats: u64,
}

impl Callers {
    pub fn of(site: &Site) -> Self {
        let now = Timestamp::now();
        let agent = site.agent.clone();
        Self {
            client: Client::builder()
                .no_proxy()
                .timeout(TIMEOUT)
                .build()
                .unwrap(),
            url: format!("http://127.0.0.1:{}/api/v1/calls", site.port),
            key: site.agent.key.expose_secret().to_owned(),
            records: Box::new(move |id, number| agent.record(id, number, now)),
        }
    }

    /// Sends calls when they are due.
    pub async fn call(&self, count: usize, per_s: u32) -> Accepted {
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for (number, due) in (0..count).zip(0_u32..) {
            sleep_until(began + Duration::from_secs(1) * due / per_s).await;
            let id = CallId::generate();
            let body = (self.records)(id, number).to_string();
            let (client, url, key) = (self.client.clone(), self.url.clone(), self.key.clone());
            calling.spawn(async move { (id, send(&client, &url, &key, &body).await) });
        }
        let mut accepted = Accepted {
            ids: BTreeSet::new(),
            repeats: 0,
        };
        while let Some(ended) = calling.join_next().await {
            let (id, repeats) = ended.unwrap();
            accepted.ids.insert(id);
            accepted.repeats += repeats;
        }
        accepted
    }
}

/// Sends a call until it is accepted; answers how often it was sent again.
async fn send(client: &Client, url: &str, key: &str, body: &str) -> u64 {
    for repeats in 0.. {
        let request = client
            .post(url)
            .header("x-api-key", key)
            .header("content-type", "application/json")
            .body(body.to_owned());
        if let Ok(answer) = request.send().await {
            let status = answer.status();
            match status {
                StatusCode::ACCEPTED => return repeats,
                StatusCode::SERVICE_UNAVAILABLE => {}
                other => panic!(
                    "answered {other}: {}",
                    answer.text().await.unwrap_or_default()
                ),
            }
        }
        sleep(PAUSE).await;
    }
    unreachable!("it is sent until it is accepted")
}
