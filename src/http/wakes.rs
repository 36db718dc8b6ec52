//! Wakes readers of a timeline when something of their session happens.
//!
//! One plain subscription to `events.>` an ingress, however many readers there are. A wake carries
//! nothing: readers read the table again, so a wake that is lost or doubled does no harm.

use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::ids::SessionId;

/// Wakes that a slow reader may be behind before it just reads again.
const BEHIND: usize = 1024;
/// Pause before subscribing again.
const PAUSE: Duration = Duration::from_secs(1);

/// Hands wakes to readers; clones share one.
#[derive(Clone, Debug)]
pub struct Wakes {
    sender: broadcast::Sender<SessionId>,
}

/// The wakes of one session.
#[derive(Debug)]
pub struct Wake {
    session_id: SessionId,
    receiver: broadcast::Receiver<SessionId>,
}

impl Wakes {
    pub fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(BEHIND),
        }
    }

    /// Begins to listen for a session. Subscribe before reading, so that nothing falls between.
    pub fn subscribe(&self, session_id: SessionId) -> Wake {
        Wake {
            session_id,
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
        let Ok(mut facts) = client.subscribe("events.>").await else {
            return;
        };
        while let Some(message) = facts.next().await {
            let session = message
                .subject
                .rsplit('.')
                .next()
                .and_then(|id| id.parse().ok());
            if let Some(session_id) = session {
                // Nobody listens: nobody is to be woken.
                let _ = self.sender.send(session_id);
            }
        }
    }
}

impl Default for Wakes {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake {
    /// Waits for the next wake of the session, or for one that may have been missed.
    pub async fn next(&mut self) {
        loop {
            match self.receiver.recv().await {
                Ok(session_id) if session_id == self.session_id => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The ingress stops; its readers are told so elsewhere.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
