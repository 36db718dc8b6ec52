//! Requests at a steady rate.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::figures::{SignIns, Times};
use crate::ingress::Ingress;
use crate::people::{PASSWORD, People};

const PATIENCE: Duration = Duration::from_secs(60);
/// People whose requests are measured: enough to stay within the limit of a user.
const READERS: usize = 20;
/// Users that are only used to compare times; the flood uses others.
const COMPARED: usize = 100;
/// Requests that one address sends, fewer than a throttle counts.
const PER_ADDRESS: u32 = 3;

/// Sends requests, each for an address that is little used.
pub struct Visitor {
    client: Client,
    url: String,
    sent: AtomicU32,
}

/// How a sign-in is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Right,
    Wrong,
    Unknown,
}

impl Visitor {
    pub fn of(ingress: &Ingress) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::builder().no_proxy().timeout(PATIENCE).build()?,
            url: ingress.url.clone(),
            sent: AtomicU32::new(0),
        })
    }

    /// Signs some people in.
    pub async fn tokens(&self, people: &People) -> anyhow::Result<Vec<String>> {
        let mut tokens = Vec::new();
        for number in 0..READERS {
            let answer = self.sign_in(&people.email(number), PASSWORD).send().await?;
            let answer: Value = answer.error_for_status()?.json().await?;
            let token = answer["access_token"].as_str().context("no token")?;
            tokens.push(token.to_owned());
        }
        Ok(tokens)
    }

    /// Times of failed sign-ins, one after another: of people there are and of people there are not.
    pub async fn compare(&self, people: &People, tries: usize) -> anyhow::Result<(Times, Times)> {
        let (mut known, mut unknown) = (Times::default(), Times::default());
        for number in 0..tries {
            let email = people.email(READERS + number % COMPARED);
            known.add(self.refusal(&email).await?);
            let email = format!("nobody{number}@example.org");
            unknown.add(self.refusal(&email).await?);
        }
        Ok((known, unknown))
    }

    async fn refusal(&self, email: &str) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let answer = self.sign_in(email, "wrong").send().await?;
        answer
            .bytes()
            .await
            .map(|_| started.elapsed())
            .map_err(Into::into)
    }

    fn sign_in(&self, email: &str, password: &str) -> RequestBuilder {
        let url = format!("{}/api/v1/auth/login", self.url);
        let body = json!({ "email": email, "password": password });
        self.placed(self.client.post(url).json(&body))
    }

    fn placed(&self, request: RequestBuilder) -> RequestBuilder {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) / PER_ADDRESS;
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number);
        request.header("x-forwarded-for", address.to_string())
    }
}

/// People who read who they are.
pub struct Reads<'a> {
    pub visitor: &'a Visitor,
    pub tokens: &'a [String],
    pub per_s: u32,
}

impl Reads<'_> {
    pub async fn run(&self, duration: Duration) -> anyhow::Result<Times> {
        let url = format!("{}/api/v1/auth/me", self.visitor.url);
        let request = |number: usize| {
            let token = &self.tokens[number % self.tokens.len()];
            let request = self.visitor.client.get(&url).bearer_auth(token);
            self.visitor.placed(request)
        };
        let mut times = Times::default();
        for (number, status, took) in steadily(self.per_s, duration, request).await? {
            ensure!(
                status == StatusCode::OK,
                "read {number} was answered {status}"
            );
            times.add(took);
        }
        Ok(times)
    }
}

/// People, and others, who sign in.
pub struct Flood<'a> {
    pub visitor: &'a Visitor,
    pub people: &'a People,
    pub per_s: u32,
}

impl Flood<'_> {
    pub async fn run(&self, duration: Duration) -> anyhow::Result<SignIns> {
        let request = |number: usize| {
            let somebody = self.people.email(READERS + COMPARED + number);
            match kind(number) {
                Kind::Right => self.visitor.sign_in(&somebody, PASSWORD),
                Kind::Wrong => self.visitor.sign_in(&somebody, "wrong"),
                Kind::Unknown => {
                    let nobody = format!("flood{number}@example.org");
                    self.visitor.sign_in(&nobody, PASSWORD)
                }
            }
        };
        let mut sign_ins = SignIns::during(duration);
        for (number, status, took) in steadily(self.per_s, duration, request).await? {
            let kind = kind(number);
            match status {
                StatusCode::OK => {
                    ensure!(kind == Kind::Right, "{kind:?} was let in");
                    sign_ins.let_in.add(took);
                }
                StatusCode::UNAUTHORIZED => {
                    ensure!(kind != Kind::Right, "{kind:?} was turned away");
                    sign_ins.turned_away.add(took);
                }
                StatusCode::SERVICE_UNAVAILABLE => sign_ins.busy.add(took),
                other => anyhow::bail!("a sign-in was answered {other}"),
            }
        }
        Ok(sign_ins)
    }
}

fn kind(number: usize) -> Kind {
    [Kind::Right, Kind::Wrong, Kind::Unknown][number % 3]
}

/// Sends requests when they are due; answers number, status and the time since it was due.
async fn steadily(
    per_s: u32,
    duration: Duration,
    request: impl Fn(usize) -> RequestBuilder,
) -> anyhow::Result<Vec<(usize, StatusCode, Duration)>> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for number in 0_u32.. {
        let due = began + Duration::from_secs(1) * number / per_s;
        if due >= began + duration {
            break;
        }
        tokio::time::sleep_until(due).await;
        let number = usize::try_from(number)?;
        let request = request(number);
        running.spawn(async move {
            let answer = request.send().await?;
            let status = answer.status();
            answer.bytes().await?;
            anyhow::Ok((number, status, due.elapsed()))
        });
    }
    running.join_all().await.into_iter().collect()
}
