//! Requests as fast as they are answered, over connections that stay open.
//!
//! HTTP/1.1 is spoken by hand: a whole client would cost the machine as much as what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::figures::Times;
use crate::records::Template;

/// A connection with one request at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What was sent and answered.
pub struct Sent {
    pub began: Instant,
    pub last_answer: Instant,
    pub accepted: Times,
    /// Answered 503: more wait than there is room for.
    pub refused: u64,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(16 * 1024);
        Ok(Self { stream, buffer })
    }

    /// Sends a request and reads its answer to the end: status and body.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read_more().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let (status, length) = status_and_length(&self.buffer[..head])?;
        let body = head + 4;
        while self.buffer.len() < body + length {
            self.read_more().await?;
        }
        Ok((status, &self.buffer[body..body + length]))
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the connection was closed");
        Ok(())
    }
}

/// Sends calls over this many connections until the time is over, and waits for the last answers.
pub async fn run(
    address: SocketAddr,
    requests: &Arc<Vec<Template>>,
    concurrency: usize,
    duration: Duration,
) -> anyhow::Result<Sent> {
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        connections.push(Connection::open(address).await?);
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let first = number * requests.len() / concurrency;
        running.spawn(flood(
            connection,
            Arc::clone(requests),
            first,
            began + duration,
        ));
    }
    let mut sent = Sent {
        began,
        last_answer: began,
        accepted: Times::default(),
        refused: 0,
    };
    while let Some(part) = running.join_next().await {
        let part = part??;
        sent.last_answer = sent.last_answer.max(part.last_answer);
        sent.refused += part.refused;
        sent.accepted.extend(part.accepted);
    }
    Ok(sent)
}

async fn flood(
    mut connection: Connection,
    requests: Arc<Vec<Template>>,
    first: usize,
    until: Instant,
) -> anyhow::Result<Sent> {
    let mut request = Vec::new();
    let began = Instant::now();
    let mut sent = Sent {
        began,
        last_answer: began,
        accepted: Times::default(),
        refused: 0,
    };
    for number in first.. {
        let before = Instant::now();
        if before >= until {
            break;
        }
        requests[number % requests.len()].write(&mut request);
        let (status, body) = connection.send(&request).await?;
        let after = Instant::now();
        match status {
            202 => {
                sent.accepted.add(after - before);
                sent.last_answer = after;
            }
            503 => sent.refused += 1,
            other => bail!("answered {other}: {}", String::from_utf8_lossy(body)),
        }
    }
    Ok(sent)
}

fn status_and_length(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("no status")?.parse()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    Ok((
        status,
        length
            .context("an answer without a length")?
            .trim()
            .parse()?,
    ))
}
