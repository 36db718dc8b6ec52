//! Takes the calls that agents publish, and answers when they are stored.
//!
//! What an agent says of a message beside its text, its headers, goes no further: of them only
//! `Idempotency-Key` and `traceparent` are read. Requests in hand are bounded; beyond that an agent is told
//! to come back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, HeaderValue, Message};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use metrics::counter;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{LAST_ANSWERS, REQUESTS, subjects};
use crate::http::AppState;
use crate::http::calls::{self, Accepted};
use crate::http::extract::IdempotencyKey;
use crate::http::problem::ApiError;
use crate::ids::ClientId;
use crate::telemetry::TraceContext;

/// One of the ingresses takes a message; `nats/users.conf` names it too.
const QUEUE: &str = "ingest";
/// Bytes of all requests in hand, each counted with [`OVERHEAD_BYTES`] more.
const IN_HAND_BYTES: usize = 8 << 20;
const OVERHEAD_BYTES: usize = 1 << 10;
/// Messages that the connection has read and nobody has looked at. The client drops those beyond it;
/// looking at one takes microseconds, so they are there for bursts.
const UNREAD: usize = 4_096;
/// A problem document is some hundred bytes; one with a hundred wrong fields is ten thousand.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// How to connect.
pub fn options() -> ConnectOptions {
    ConnectOptions::new()
        .name("ingest service")
        .subscription_capacity(UNREAD)
        .event_callback(|event| async move {
            if matches!(event, Event::SlowConsumer(_)) {
                dropped("overrun");
            }
        })
}

/// Takes calls until the stop, then finishes those in hand.
pub async fn serve(state: AppState, client: Client, stop: CancellationToken) {
    let subscribed = client
        .queue_subscribe(subjects::ALL_CALLS, QUEUE.to_owned())
        .await;
    let mut messages = match subscribed {
        Ok(messages) => messages,
        Err(error) => {
            tracing::error!(%error, "calls of agents cannot be taken");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(IN_HAND_BYTES));
    let in_hand = TaskTracker::new();
    // Without a broker nothing ends a subscription.
    let mut until = None;
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => take(&state, &client, &room, &in_hand, message).await,
                None => break,
            },
            // Others of the queue take what comes now; what was on its way here is finished.
            () = stop.cancelled(), if until.is_none() => {
                until = Some(tokio::time::Instant::now() + LAST_ANSWERS);
                if messages.drain().await.is_err() {
                    break;
                }
            }
            () = passed(until) => break,
        }
    }
    in_hand.close();
    in_hand.wait().await;
    let _ = tokio::time::timeout(LAST_ANSWERS, client.flush()).await;
}

/// Ends at `until`, if there is one.
async fn passed(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Looks at where a message comes from and where its answer goes, and begins with it.
async fn take(
    state: &AppState,
    client: &Client,
    room: &Arc<Semaphore>,
    in_hand: &TaskTracker,
    message: Message,
) {
    let Some(of) = subjects::client_of(&message.subject) else {
        return dropped("subject");
    };
    let Some(reply) = message.reply else {
        return dropped("no_reply");
    };
    if !subjects::may_answer(of, &reply) {
        return dropped("foreign_reply");
    }
    let bytes = message.payload.len() + OVERHEAD_BYTES;
    let bytes = u32::try_from(bytes.min(IN_HAND_BYTES)).unwrap_or(u32::MAX);
    let Ok(permit) = Arc::clone(room).try_acquire_many_owned(bytes) else {
        let answer = finish(Err(ApiError::QueueFull)).await;
        let _ = client.publish(reply, answer).await;
        return;
    };
    let (state, client) = (state.clone(), client.clone());
    let (headers, payload) = (message.headers, message.payload);
    in_hand.spawn(async move {
        let accepted = accept(&state, of, headers.as_ref(), &payload);
        let outcome = AssertUnwindSafe(accepted).catch_unwind().await;
        let outcome = outcome
            .unwrap_or_else(|_| Err(ApiError::Internal(anyhow::anyhow!("a handler panicked"))));
        let answer = finish(outcome).await;
        if let Err(error) = client.publish(reply, answer).await {
            tracing::warn!(%error, "an agent was not answered");
        }
        drop(permit);
    });
}

/// What `POST /calls` does, for the client that the subject names.
async fn accept(
    state: &AppState,
    client: ClientId,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<Accepted, ApiError> {
    let header = |name: &str| {
        let found = headers?.iter().find(|(it, _)| {
            let it: &str = it.as_ref();
            it.eq_ignore_ascii_case(name)
        });
        found
            .and_then(|(_, values)| values.first())
            .map(HeaderValue::as_str)
    };
    state.limits.check_agent(client)?;
    let key = header("idempotency-key").map(IdempotencyKey::parse);
    let key = key.transpose()?;
    let trace = TraceContext::following(header("traceparent"));
    let record = calls::read(payload)?;
    if record.client_id != client {
        let message = "is not the client of the subject";
        return Err(ApiError::invalid("client_id", message));
    }
    let account = state.clients.account_of(&state.db, client).await?;
    let id = calls::accept(state, account, &record, key.as_deref(), trace, payload).await?;
    Ok(Accepted::of(id))
}

/// The answer as bytes: what was accepted, or the problem document.
async fn finish(outcome: Result<Accepted, ApiError>) -> Bytes {
    match outcome {
        Ok(accepted) => {
            counter!(REQUESTS, "outcome" => "accepted").increment(1);
            serde_json::to_vec(&accepted)
                .expect("an id and a word")
                .into()
        }
        Err(error) => {
            counter!(REQUESTS, "outcome" => error.code()).increment(1);
            // Nothing behind this tells it, as the layers of HTTP do.
            error.log();
            let body = error.into_response().into_body();
            let body = axum::body::to_bytes(body, MAX_PROBLEM_BYTES).await;
            body.unwrap_or_default()
        }
    }
}

/// Counts a message that nobody is answered for.
fn dropped(why: &'static str) {
    counter!(REQUESTS, "outcome" => "dropped", "reason" => why).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;

    #[tokio::test]
    async fn what_failed_is_logged_and_not_told() {
        let log = Captured::start();
        let answer = finish(Err(ApiError::Internal(anyhow::anyhow!("secret detail")))).await;
        let told = String::from_utf8(answer.to_vec()).unwrap();
        assert!(
            told.contains("internal") && !told.contains("secret"),
            "{told}"
        );
        let logged = log.take();
        assert!(logged.contains("request failed"), "{logged}");
        assert!(logged.contains("secret detail"), "{logged}");
    }
}
