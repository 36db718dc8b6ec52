//! Wakes readers when something that they follow changes: a session, or the figures of an account.
//!
//! One plain subscription an ingress for each kind, however many readers there are. A wake carries
//! nothing: readers read the tables again, so a wake that is lost or doubled does no harm.

use std::str::FromStr;
use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Wakes that a slow reader may be behind before it just reads again.
const BEHIND: usize = 1024;
/// Pause before subscribing again.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands wakes to readers; clones share one. `K` is the id at the end of the subject.
#[derive(Clone, Debug)]
pub struct Wakes<K> {
    subject: &'static str,
    sender: broadcast::Sender<K>,
}

/// The wakes from when it was made on.
#[derive(Debug)]
pub struct Wake<K> {
    receiver: broadcast::Receiver<K>,
}

impl<K: Clone + FromStr + Send> Wakes<K> {
    /// Wakes by messages on these subjects, which end with an id.
    pub fn of(subject: &'static str) -> Self {
        Self {
            subject,
            sender: broadcast::Sender::new(BEHIND),
        }
    }

    /// Begins to listen. Subscribe before reading, so that nothing falls between.
    pub fn subscribe(&self) -> Wake<K> {
        Wake {
            receiver: self.sender.subscribe(),
        }
    }

    /// Passes on what the broker says until the stop.
    pub async fn listen(self, client: Client, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pass_on(&client) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn pass_on(&self, client: &Client) {
        let Ok(mut messages) = client.subscribe(self.subject).await else {
            return;
        };
        while let Some(message) = messages.next().await {
            let last = message.subject.rsplit('.').next();
            if let Some(id) = last.and_then(|id| id.parse().ok()) {
                // Nobody listens: nobody is to be woken.
                let _ = self.sender.send(id);
            }
        }
    }
}

impl<K: Clone> Wake<K> {
    /// Waits for the next wake of what is wanted, or for one that may have been missed.
    pub async fn next(&mut self, is_wanted: impl Fn(&K) -> bool) {
        loop {
            match self.receiver.recv().await {
                Ok(id) if is_wanted(&id) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The ingress stops; its readers are told so elsewhere.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Leaves out what was said until now: the reader is about to read it.
    pub fn forget(&mut self) {
        self.receiver = self.receiver.resubscribe();
    }
}
