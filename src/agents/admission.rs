//! Answers the broker when somebody connects who is none of our own users.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message};
use futures::StreamExt as _;
use jiff::Timestamp;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::jwt::{Issuer, Request};
use super::sign_in::{Refusal, sign_in};
use super::{LAST_ANSWERS, SIGN_INS};
use crate::http::AppState;

/// Where the broker asks, in its system account.
const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
/// One of the ingresses answers.
const QUEUE: &str = "ingress";
/// The broker waits for two seconds, and what takes longer must not keep others waiting.
const PATIENCE: Duration = Duration::from_millis(1_700);
/// Sign-ins that are looked at at the same time; with known keys each takes microseconds.
const AT_ONCE: usize = 16;

/// Answers until the stop.
pub async fn serve(state: AppState, client: Client, issuer: Arc<Issuer>, stop: CancellationToken) {
    let requests = match client.queue_subscribe(SUBJECT, QUEUE.to_owned()).await {
        Ok(requests) => requests,
        Err(error) => {
            tracing::error!(%error, "agents cannot sign in");
            return;
        }
    };
    requests
        .take_until(stop.cancelled_owned())
        .for_each_concurrent(AT_ONCE, |message| answer(&state, &client, &issuer, message))
        .await;
    // The last answers leave before the connection goes.
    let _ = tokio::time::timeout(LAST_ANSWERS, client.flush()).await;
}

async fn answer(state: &AppState, client: &Client, issuer: &Issuer, message: Message) {
    let Some(reply) = message.reply else {
        return;
    };
    let Some(request) = Request::read(&message.payload) else {
        tracing::warn!("the broker asked in a way that is not understood");
        return;
    };
    if request.is_late(Timestamp::now()) {
        return;
    }
    let signed_in = tokio::time::timeout(PATIENCE, sign_in(state, &request)).await;
    let (token, outcome) = match signed_in.unwrap_or(Err(Refusal::Unavailable)) {
        Ok(agent) => (issuer.admit(&request, agent), "admitted"),
        Err(refusal) => {
            let why = refusal.as_str();
            (issuer.refuse(&request, why), why)
        }
    };
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
    if let Err(error) = client.publish(reply, token.into()).await {
        tracing::warn!(%error, "an agent's sign-in was not answered");
    }
}
