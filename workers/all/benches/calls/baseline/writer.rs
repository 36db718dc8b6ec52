//! Writes what waits, many calls a transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aftercall::calls::{Direction, SentimentBy};
use aftercall::db::calls::{self, Arrived};
use aftercall::db::rollups::{self, Hold};
use aftercall::db::{Db, Principal, WorkerRole};
use aftercall::ids::CallId;
use aftercall::rollups::{Counted, Deltas};
use anyhow::Context as _;
use axum::body::Bytes;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

/// Most calls of a transaction.
const MOST: usize = 512;

/// A call that waits for its row.
pub struct Call {
    pub id: CallId,
    pub received_at: Timestamp,
    pub counted: Counted,
    pub direction: Option<Direction>,
    pub has_sentiment: bool,
    pub record: Bytes,
    pub answer: oneshot::Sender<Outcome>,
}

#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Stored,
    NoSuchClient,
}

/// Writers that share one queue.
pub struct Writers(JoinSet<anyhow::Result<()>>);

struct Writer {
    db: Db,
    queue: Arc<Mutex<mpsc::Receiver<Call>>>,
    /// Stands in the columns where the analytics worker has the stream's.
    started_at: Timestamp,
    sequence: Arc<AtomicI64>,
}

impl Writers {
    pub fn start(db: &Db, queue: mpsc::Receiver<Call>, count: usize) -> Self {
        let queue = Arc::new(Mutex::new(queue));
        let sequence = Arc::new(AtomicI64::new(0));
        let started_at = Timestamp::now();
        let mut writers = JoinSet::new();
        for _ in 0..count {
            let writer = Writer {
                db: db.clone(),
                queue: Arc::clone(&queue),
                started_at,
                sequence: Arc::clone(&sequence),
            };
            writers.spawn(writer.run());
        }
        Self(writers)
    }

    /// Waits until one ends, which none does by itself.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        self.0.join_next().await.context("no writer")??
    }
}

impl Writer {
    async fn run(self) -> anyhow::Result<()> {
        let mut waiting = Vec::with_capacity(MOST);
        loop {
            let taken = self.queue.lock().await.recv_many(&mut waiting, MOST).await;
            if taken == 0 {
                return Ok(());
            }
            let known = self.store(&waiting).await?;
            for call in waiting.drain(..) {
                let outcome = if known.contains(&call.counted.client_id) {
                    Outcome::Stored
                } else {
                    Outcome::NoSuchClient
                };
                // Whoever asked may have gone.
                let _ = call.answer.send(outcome);
            }
        }
    }

    /// Keeps the calls of those clients that there are, and answers which these are.
    async fn store(&self, waiting: &[Call]) -> anyhow::Result<HashSet<aftercall::ids::ClientId>> {
        let principal = Principal::Worker(WorkerRole::Analytics);
        let mut tx = self.db.begin(principal).await?;
        let named = waiting.iter().map(|call| &call.counted);
        let named = named.map(|counted| (counted.account_id, counted.client_id));
        let clients = calls::clients(&mut tx, &named.collect()).await?;
        let mut arrived = Vec::with_capacity(waiting.len());
        for call in waiting {
            let counted = call.counted;
            if let Some(settings) = clients.get(&(counted.account_id, counted.client_id)) {
                arrived.push(self.arrived(call, !settings.is_active)?);
            }
        }
        let times = arrived.iter().map(|call| call.counted.at);
        rollups::lock_days(&mut tx, times, Hold::Shared).await?;
        let mut keys = HashSet::new();
        let (first, repeated): (Vec<_>, Vec<_>) =
            arrived.iter().partition(|call| keys.insert(call.key()));
        let inserted = calls::insert(&mut tx, self.started_at, &first).await?;
        let (inserted, mut repeats): (Vec<_>, Vec<_>) = first
            .into_iter()
            .partition(|call| inserted.contains(&call.key()));
        repeats.extend(repeated);
        calls::note_repeats(&mut tx, self.started_at, &repeats).await?;
        let mut deltas = Deltas::default();
        for call in &inserted {
            deltas.add(&call.counted);
        }
        rollups::apply(&mut tx, &deltas).await?;
        tx.commit().await?;
        Ok(clients.into_keys().map(|(_, client)| client).collect())
    }

    fn arrived<'a>(&self, call: &'a Call, client_inactive: bool) -> anyhow::Result<Arrived<'a>> {
        Ok(Arrived {
            id: call.id,
            received_at: call.received_at,
            counted: call.counted,
            direction: call.direction,
            sentiment_by: call.has_sentiment.then_some(SentimentBy::Agent),
            client_inactive,
            session_id: None,
            record: std::str::from_utf8(&call.record)?,
            stream_sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        })
    }
}
