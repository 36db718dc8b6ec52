//! The agent of `docs/agents.md`, word for word from here on; a test compares the two and runs it.

#![expect(
    clippy::disallowed_methods,
    reason = "an agent is no part of this program and reads its own environment"
)]

use std::time::Duration;

use anyhow::bail;
use async_nats::{Client, ConnectOptions};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("AFTERCALL_NATS_URL")?;
    let client_id = std::env::var("AFTERCALL_CLIENT_ID")?;
    let key = std::env::var("AFTERCALL_API_KEY")?;
    let inbox = format!("_INBOX.agent.{client_id}");
    let connection = ConnectOptions::with_user_and_password(client_id.clone(), key)
        .custom_inbox_prefix(inbox)
        .connect(url)
        .await?;
    let call = json!({
        "client_id": client_id,
        "id": Uuid::new_v4(),
        "direction": "inbound",
        "duration_seconds": 45.5,
        "transcript": "Hello, can I book a table for two?",
        "success": true,
    });
    let id = publish(&connection, &client_id, &call).await?;
    println!("accepted {id}");
    Ok(())
}

/// Returns the id of the call once it is stored.
async fn publish(connection: &Client, client_id: &str, call: &Value) -> anyhow::Result<String> {
    let subject = format!("ingest.v1.{client_id}.call-ended");
    let mut wait = Duration::from_secs(1);
    loop {
        let reply = connection.request(subject.clone(), call.to_string().into());
        // Neither an answer nor the knowledge that there is none: try again.
        if let Ok(reply) = reply.await {
            let answer: Value = serde_json::from_slice(&reply.payload)?;
            match answer["status"].as_u64() {
                Some(429 | 500..) => {}
                Some(_) => bail!("the call is refused: {answer}"),
                None => return Ok(answer["id"].as_str().unwrap_or_default().to_owned()),
            }
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(Duration::from_secs(60));
    }
}
