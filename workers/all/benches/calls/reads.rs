//! Every GET of calls and analytics, at growing numbers of calls.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use aftercall::db::provision::Process;
use aftercall::embedded::agent::{self, Agent};
use aftercall::embedded::harness::Harness;
use anyhow::ensure;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::Args;
use crate::figures::{Quantiles, Times};
use crate::load::Connection;
use crate::seeding;
use crate::support::free_port;
use crate::systems::program;

const CLIENTS: usize = 2;
const CONCURRENCY: [usize; 2] = [1, 4];
const WARM_UP: usize = 10;

/// How long a GET took.
#[derive(Debug)]
pub struct ReadTimes {
    calls: i64,
    path: &'static str,
    concurrency: usize,
    times: Quantiles,
}

/// A GET: the name it is shown with, and its path.
type Read = (&'static str, String);

pub async fn run(harness: &Harness, args: &Args) -> anyhow::Result<Vec<ReadTimes>> {
    let agent = agent::agent(harness, CLIENTS).await;
    let first_day = seeding::first_day(Timestamp::now());
    let port = free_port();
    let ingress = program(harness, Process::Ingress, port).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut admin = harness.admin().await;
    let mut all = Vec::new();
    for &calls in &args.calls {
        eprintln!("{calls} calls");
        seeding::fill(&mut admin, &agent, first_day, calls).await?;
        let newest = "select id from calls where client_id = $1 order by counted_at desc limit 1";
        let id: uuid::Uuid = sqlx::query_scalar(newest)
            .bind(agent.clients[0])
            .fetch_one(&mut admin)
            .await?;
        for (name, path) in reads(&agent, first_day, id) {
            let request = Arc::new(request(address, &agent, &path));
            for concurrency in CONCURRENCY {
                repeat(address, &request, concurrency, WARM_UP).await?;
                let times = repeat(address, &request, concurrency, args.reads).await?;
                all.push(ReadTimes {
                    calls,
                    path: name,
                    concurrency,
                    times: times.quantiles(),
                });
            }
        }
    }
    ingress.stop().await;
    Ok(all)
}

fn reads(agent: &Agent, first_day: Timestamp, id: uuid::Uuid) -> Vec<Read> {
    let client = agent.clients[0];
    let day = |days: i64| {
        let at = first_day + SignedDuration::from_hours(24 * days);
        at.to_string()[..10].to_owned()
    };
    let dates = format!("start_date={}&end_date={}", day(10), day(12));
    let of = |name, path: String| (name, format!("/api/v1{path}"));
    vec![
        of("/analytics/dashboard", "/analytics/dashboard".to_owned()),
        of(
            "/analytics/dashboard, a time zone",
            "/analytics/dashboard?timezone=Asia/Kathmandu".to_owned(),
        ),
        of(
            "/analytics/calls-per-day",
            "/analytics/calls-per-day".to_owned(),
        ),
        of("/analytics/sentiment", "/analytics/sentiment".to_owned()),
        of(
            "/analytics/client/{id}/stats",
            format!("/analytics/client/{client}/stats"),
        ),
        of("/calls", "/calls".to_owned()),
        of("/calls, a client", format!("/calls?client_id={client}")),
        of("/calls, three days", format!("/calls?{dates}")),
        of(
            "/calls, a client and three days",
            format!("/calls?client_id={client}&{dates}"),
        ),
        of(
            "/calls, a sentiment",
            "/calls?sentiment=negative".to_owned(),
        ),
        of(
            "/calls, a sentiment that none has",
            "/calls?sentiment=unknown".to_owned(),
        ),
        of("/calls, failures", "/calls?success=false".to_owned()),
        of(
            "/calls, a numbered page of none",
            "/calls?sentiment=unknown&success=false&page=1".to_owned(),
        ),
        of("/calls, a word of many", "/calls?q=refund".to_owned()),
        of("/calls, a word of none", "/calls?q=submarine".to_owned()),
        of(
            "/calls, the second page",
            "/calls?page=2&per_page=50".to_owned(),
        ),
        of(
            "/calls, the hundredth page",
            "/calls?page=100&per_page=50".to_owned(),
        ),
        of("/calls/{id}", format!("/calls/{id}")),
        of(
            "/calls/{id}, its client named",
            format!("/calls/{id}?client_id={client}"),
        ),
        of("/clients", "/clients".to_owned()),
        of("/clients/{id}", format!("/clients/{client}")),
    ]
}

fn request(address: SocketAddr, agent: &Agent, path: &str) -> Vec<u8> {
    let key = agent.key.expose_secret();
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\r\n").into_bytes()
}

/// Sends a request so many times, over this many connections.
async fn repeat(
    address: SocketAddr,
    request: &Arc<Vec<u8>>,
    concurrency: usize,
    count: usize,
) -> anyhow::Result<Times> {
    let mut running = JoinSet::new();
    for _ in 0..concurrency {
        let mut connection = Connection::open(address).await?;
        let request = Arc::clone(request);
        running.spawn(async move {
            let mut times = Times::default();
            for _ in 0..count.div_ceil(concurrency) {
                let before = Instant::now();
                let (status, body) = connection.send(&request).await?;
                times.add(before.elapsed());
                let is_fine = status == 200;
                ensure!(
                    is_fine,
                    "answered {status}: {}",
                    String::from_utf8_lossy(body)
                );
            }
            Ok(times)
        });
    }
    let mut times = Times::default();
    while let Some(part) = running.join_next().await {
        times.extend(part??);
    }
    Ok(times)
}

impl ReadTimes {
    pub fn json(&self) -> Value {
        json!({
            "calls": self.calls,
            "path": self.path,
            "concurrency": self.concurrency,
            "times": self.times.json(),
        })
    }
}

impl fmt::Display for ReadTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles {
            p50_ms,
            p99_ms,
            most_ms,
            ..
        } = self.times;
        let what = format!("GET {} ({})", self.path, self.concurrency);
        write!(
            f,
            "{what:<58}{:>10}{p50_ms:>9.1}{p99_ms:>9.1}{most_ms:>9.1}",
            self.calls
        )
    }
}
