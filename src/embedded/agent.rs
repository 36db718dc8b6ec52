//! An account whose voice agents send calls: its maker, clients, and a key, written through the same
//! functions and roles as in production.

use secrecy::SecretString;

use super::harness::Harness;
use crate::auth::{PresentedKey, Scope, SecretKey};
use crate::config;
use crate::db::provision::Process;
use crate::db::{Principal, Tx, api_keys, clients, users};
use crate::ids::{AccountId, ClientId, UserId};

/// An account with clients and a key that sends and reads calls.
pub struct Agent {
    pub account_id: AccountId,
    /// The maker of the clients and the key.
    pub user_id: UserId,
    pub clients: Vec<ClientId>,
    pub key: SecretString,
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
