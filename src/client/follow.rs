//! The event stream of a session, made again where it breaks.

use std::time::Duration;

use eventsource_stream::{Event, Eventsource};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use reqwest::Method;
use reqwest::header::ACCEPT;

use super::{ANSWER_LIMIT, Client, ClientError, Session, TimelineEvent};
use crate::ids::SessionId;

/// The server sends something every 15 s, if only a comment: this long without a byte is a dead
/// connection.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many attempts in a row without an answer, over some 30 s, and the server counts as gone.
const ATTEMPTS: u32 = 10;

/// The entries after `after`, in order, each once.
pub(super) fn events(
    client: Client,
    session: SessionId,
    after: i64,
) -> impl Stream<Item = Result<TimelineEvent, ClientError>> + Send {
    let follower = Follower {
        client,
        session,
        last: after,
        connection: None,
        failures: 0,
    };
    stream::try_unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Ok(Some((event, follower)))
    })
}

/// The session as it is now, with the patience of the event stream.
pub(super) async fn session(client: &Client, id: SessionId) -> Result<Session, ClientError> {
    let mut failures = 0;
    loop {
        match client.session(id).await {
            Err(error) if error.is_transient() && failures < ATTEMPTS => {
                tokio::time::sleep(pause(failures)).await;
                failures += 1;
            }
            answer => return answer,
        }
    }
}

struct Follower {
    client: Client,
    session: SessionId,
    /// The last entry that was handed out.
    last: i64,
    connection: Option<BoxStream<'static, Result<Event, ClientError>>>,
    /// Attempts that failed since the server last answered.
    failures: u32,
}

impl Follower {
    async fn next(&mut self) -> Result<TimelineEvent, ClientError> {
        loop {
            match self.next_here().await {
                Ok(event) if event.seq > self.last => {
                    self.last = event.seq;
                    return Ok(event);
                }
                Ok(_) => {}
                Err(error) if error.is_transient() && self.failures < ATTEMPTS => {
                    self.connection = None;
                    tokio::time::sleep(pause(self.failures)).await;
                    self.failures += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next event of one connection.
    async fn next_here(&mut self) -> Result<TimelineEvent, ClientError> {
        let connection = if let Some(connection) = &mut self.connection {
            connection
        } else {
            let connection = connect(&self.client, self.session, self.last).await?;
            self.failures = 0;
            self.connection.insert(connection)
        };
        let event = connection.next().await.ok_or(ClientError::StreamEnded)??;
        serde_json::from_str(&event.data).map_err(ClientError::Event)
    }
}

async fn connect(
    client: &Client,
    session: SessionId,
    last: i64,
) -> Result<BoxStream<'static, Result<Event, ClientError>>, ClientError> {
    let mut request = client
        .open_ended(Method::GET, &format!("sessions/{session}/events"))
        .header(ACCEPT, "text/event-stream");
    if last > 0 {
        request = request.header("last-event-id", last);
    }
    let answer = tokio::time::timeout(ANSWER_LIMIT, client.send(request))
        .await
        .map_err(|_| ClientError::StreamEnded)??;
    let bytes = answer.bytes_stream().map_err(ClientError::Answer);
    let bytes = tokio_stream::StreamExt::timeout(bytes, SILENCE_LIMIT)
        .map(|chunk| chunk.unwrap_or(Err(ClientError::StreamEnded)));
    // A stream that is not UTF-8 or not made of events is a broken one.
    let events = bytes.eventsource().map_err(|error| match error {
        eventsource_stream::EventStreamError::Transport(error) => error,
        _ => ClientError::StreamEnded,
    });
    Ok(events.boxed())
}

fn pause(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.min(8))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(1), FIRST_PAUSE * 2);
        assert_eq!(pause(40), LONGEST_PAUSE);
    }
}
