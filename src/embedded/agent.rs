//! An account whose voice agents send calls: its maker, clients, and a key, written through the same
//! functions and roles as in production.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::harness::Harness;
use crate::auth::{PresentedKey, Scope, SecretKey};
use crate::config;
use crate::db::provision::Process;
use crate::db::{Principal, Tx, api_keys, clients, users};
use crate::ids::{AccountId, CallId, ClientId, UserId};
use crate::rollups::{EndedReason, Sentiment};

/// An account with clients and a key that sends and reads calls.
#[derive(Clone)]
pub struct Agent {
    pub account_id: AccountId,
    /// The maker of the clients and the key.
    pub user_id: UserId,
    pub clients: Vec<ClientId>,
    pub key: SecretString,
}

impl Agent {
    /// A record whose fields follow from its number, of a call that ended within the two hours before
    /// `now`.
    pub fn record(&self, id: CallId, number: usize, now: Timestamp) -> Value {
        let of = |many: usize| number % many;
        let ended_at = now - SignedDuration::from_secs(i64::try_from(of(7_200)).expect("small"));
        json!({
            "id": id,
            "client_id": self.clients[of(self.clients.len())],
            "ended_at": ended_at,
            "duration_seconds": 20 + of(97),
            "stt_latency_ms": 40 + of(211),
            "llm_latency_ms": 200 + of(1_009),
            "tts_latency_ms": 60 + of(307),
            "transcript": format!("Call {number}."),
            "sentiment": Sentiment::ALL[of(Sentiment::ALL.len())],
            "success": of(5) != 0,
            "ended_reason": EndedReason::ALL[of(EndedReason::ALL.len())],
        })
    }
}

/// Makes an account with so many clients.
pub async fn agent(harness: &Harness, client_count: usize) -> Agent {
    let (account_id, user_id) = (AccountId::generate(), UserId::generate());
    let email = format!("{user_id}@example.org");
    let hash = SecretString::from("none");
    let mut tx = harness.begin(Process::Ingress, Principal::Auth).await;
    users::register(&mut tx, user_id, account_id, &email, "Agent", &hash)
        .await
        .expect("a user");
    tx.commit().await.expect("commit");

    let principal = Principal::user(user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let mut clients = Vec::new();
    for number in 0..client_count {
        clients.push(client(&mut tx, number).await);
    }
    let key = key(harness, &mut tx).await;
    tx.commit().await.expect("commit");
    Agent {
        account_id,
        user_id,
        clients,
        key,
    }
}

async fn client(tx: &mut Tx, number: usize) -> ClientId {
    let id = ClientId::generate();
    let draft = clients::Draft {
        name: format!("Client {number}"),
        phone_number: None,
        profession: None,
        voice_id: None,
        voice_name: None,
        system_prompt: None,
        is_active: true,
        fetch_recordings: false,
        analyze_calls: false,
    };
    clients::insert(tx, id, &draft).await.expect("a client");
    id
}

async fn key(harness: &Harness, tx: &mut Tx) -> SecretString {
    let auth = config::Auth::read(&harness.env(Process::Ingress)).expect("settings of sign-in");
    let key = PresentedKey::generate(auth.environment);
    let draft = api_keys::Draft {
        name: "agent".to_owned(),
        scopes: vec![Scope::Read, Scope::WriteCalls],
        client_id: None,
        expires_at: None,
    };
    let hash = key.hash(&SecretKey::new(auth.secret_key));
    api_keys::insert(tx, key.id, &draft, &hash)
        .await
        .expect("a key");
    key.into_text()
}
