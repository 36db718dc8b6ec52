//! Which keys get an agent in, and as whom.

use aftercall::embedded::harness::Harness;
use aftercall::ids::ClientId;
use serde_json::json;

use super::scene::{Agent, Scene, client_of};
use super::wire::Wire;
use crate::support::{SignedIn, TestIngress};

const REFUSED: &str = "Authorization Violation";

async fn refused(url: &str, user: &str, password: &str) {
    let refused = Wire::sign_in(url, user, password).await.err();
    assert_eq!(refused.as_deref(), Some(REFUSED), "{user}");
}

#[tokio::test]
async fn a_bound_key_needs_no_user_name_and_bears_no_other() {
    let scene = Scene::start().await;
    let (url, ours) = (&scene.url, &scene.ours);
    for user in [String::new(), ours.client.to_string()] {
        let mut wire = Wire::sign_in(url, &user, &ours.key)
            .await
            .expect("a good key");
        let errors = wire
            .send(format!("SUB {}.> 1\r\n", ours.inbox()).as_bytes())
            .await;
        assert!(errors.is_empty(), "{errors:?}");
    }
    let mut wire = Wire::with_token(url, &ours.key).await.expect("a good key");
    let errors = wire
        .send(format!("SUB {}.> 1\r\n", ours.inbox()).as_bytes())
        .await;
    assert!(errors.is_empty(), "{errors:?}");
    for user in [
        scene.other.client.to_string(),
        ClientId::generate().to_string(),
        "aftercall".to_owned(),
        "ingest".to_owned(),
        "system".to_owned(),
        "*".to_owned(),
        format!("{}.>", ours.client),
    ] {
        refused(url, &user, &ours.key).await;
    }
    scene.finish().await;
}

#[tokio::test]
async fn an_unbound_key_acts_for_clients_of_its_account() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let url = harness.nats.lock().await.agent_url();
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let bob = SignedIn::new(&ingress, "bob@example.org").await;
    let (one, two) = (client_of(&ada).await, client_of(&ada).await);
    let foreign = client_of(&bob).await;
    let body = json!({ "name": "agents", "scopes": ["calls:write"] });
    let agent = Agent::with_key(&ada, one, &body).await;
    agent.gets_in(&url).await;
    let second = Agent {
        client: two,
        ..agent
    };
    let mut wire = second.connect(&url).await.expect("a client of the account");
    let answer = second.publish(&mut wire, &second.call()).await;
    assert_eq!(answer["status"], "accepted", "{answer}");
    let subject = format!("ingest.v1.{one}.call-ended");
    let errors = wire.publish(&subject, "", &[], b"{}").await;
    assert!(!errors.is_empty(), "it acts for the one that it named");
    for user in [
        String::new(),
        foreign.to_string(),
        ClientId::generate().to_string(),
    ] {
        refused(&url, &user, &second.key).await;
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn only_a_key_that_may_write_calls_gets_in() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let url = harness.nats.lock().await.agent_url();
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let good = Agent::of(&ada).await;
    good.gets_in(&url).await;
    let client = good.client.to_string();
    let body = json!({ "name": "reader", "scopes": ["read"], "client_id": good.client });
    let reader = Agent::with_key(&ada, good.client, &body).await;
    refused(&url, &client, &reader.key).await;

    let body = json!({ "name": "old", "scopes": ["calls:write"], "client_id": good.client });
    let revoked = Agent::with_key(&ada, good.client, &body).await;
    let gone = ada.request(
        reqwest::Method::DELETE,
        &format!("/api-keys/{}", revoked.key_id),
    );
    assert!(gone.send().await.expect("an answer").status().is_success());
    refused(&url, &client, &revoked.key).await;

    let swapped = format!("{}{}", &good.key[..40], &revoked.key[40..]);
    for wrong in ["", "x", &swapped, &good.key.to_uppercase(), &ada.token] {
        refused(&url, &client, wrong).await;
    }
    ingress.stop().await;
    // Nobody vouches for anybody.
    refused(&url, &client, &good.key).await;
    harness.finish_as_it_is().await;
}
