//! The nine kinds of caller.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestIngress};

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Nobody,
    /// A counsellor of the clinic, who made the objects.
    Owner,
    /// Another counsellor of the clinic.
    Colleague,
    /// Somebody who registered and is in no clinic.
    Foreign,
    /// The clinic's manager.
    Manager,
    /// Another clinic's manager.
    OtherManager,
    Admin,
    /// A key of the owner without the scope of the route.
    Scopeless,
    /// A key of the owner with every scope that such a key may have, bound to another client.
    Bound,
}

impl Who {
    pub const ALL: [Self; 9] = [
        Self::Nobody,
        Self::Owner,
        Self::Colleague,
        Self::Foreign,
        Self::Manager,
        Self::OtherManager,
        Self::Admin,
        Self::Scopeless,
        Self::Bound,
    ];

    const fn email(self) -> &'static str {
        match self {
            Self::Nobody | Self::Scopeless | Self::Bound | Self::Owner => "owner@example.org",
            Self::Colleague => "colleague@example.org",
            Self::Foreign => "foreign@example.org",
            Self::Manager => "manager@example.org",
            Self::OtherManager => "other-manager@example.org",
            Self::Admin => "admin@example.org",
        }
    }
}

/// What a caller shows.
#[derive(Clone, Debug)]
pub enum Credential {
    None,
    Token(String),
    Key(String),
}

impl Credential {
    pub fn put_on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Token(token) => request.bearer_auth(token),
            Self::Key(key) => request.header("x-api-key", key),
        }
    }
}

/// The callers, their clinics and their ids.
pub struct Callers {
    credentials: Vec<(Who, Credential)>,
    /// The key of [`Who::Scopeless`] for routes that take calls.
    without_calls: Credential,
    pub clinic_id: String,
    pub owner_id: String,
}

impl Callers {
    /// An admin from the database, and everybody else by the API.
    pub async fn make(harness: &Harness, ingress: &TestIngress) -> Self {
        let admin = ingress.register(Who::Admin.email()).await;
        sqlx::query("update users set role = 'admin' where email = $1")
            .bind(Who::Admin.email())
            .execute(&mut harness.admin().await)
            .await
            .expect("an admin");
        let clinic_id = make(
            ingress,
            &admin,
            "/clinics",
            &json!({ "name": "Elm Street" }),
        )
        .await;
        let other = make(ingress, &admin, "/clinics", &json!({ "name": "Oak Road" })).await;
        let person = |who: Who, role: &'static str, clinic: Option<&str>| {
            let body = json!({
                "email": who.email(), "name": format!("{who:?}"), "password": PASSWORD,
                "role": role, "clinic_id": clinic,
            });
            let admin = admin.clone();
            async move { make(ingress, &admin, "/users", &body).await }
        };
        let owner_id = person(Who::Owner, "counselor", Some(&clinic_id)).await;
        person(Who::Colleague, "counselor", Some(&clinic_id)).await;
        person(Who::Manager, "manager", Some(&clinic_id)).await;
        person(Who::OtherManager, "manager", Some(&other)).await;
        ingress.register(Who::Foreign.email()).await;

        let mut credentials = vec![(Who::Nobody, Credential::None)];
        for who in [
            Who::Owner,
            Who::Colleague,
            Who::Foreign,
            Who::Manager,
            Who::OtherManager,
            Who::Admin,
        ] {
            credentials.push((who, Credential::Token(sign_in(ingress, who).await)));
        }
        let owner = sign_in(ingress, Who::Owner).await;
        let client = make(ingress, &owner, "/clients", &json!({ "name": "Another" })).await;
        let scopeless = json!({ "name": "scopeless", "scopes": ["calls:write"] });
        let bound =
            json!({ "name": "bound", "scopes": ["read", "calls:write"], "client_id": client });
        let key = async |body: &Value| {
            let made = post(ingress, &owner, "/api-keys", body).await;
            Credential::Key(made["key"].as_str().expect("a key").to_owned())
        };
        credentials.push((Who::Scopeless, key(&scopeless).await));
        credentials.push((Who::Bound, key(&bound).await));
        let without_calls = key(&json!({ "name": "reads", "scopes": ["read"] })).await;
        Self {
            credentials,
            without_calls,
            clinic_id,
            owner_id,
        }
    }

    pub fn credential(&self, who: Who) -> &Credential {
        let found = self.credentials.iter().find(|(known, _)| *known == who);
        &found.expect("every caller has one").1
    }

    /// The credential of a caller on a route, which matters for keys without its scope.
    pub fn on(&self, method: &str, path: &str, who: Who) -> &Credential {
        let takes_calls = method == "POST" && path.starts_with("/api/v1/calls");
        if who == Who::Scopeless && takes_calls {
            return &self.without_calls;
        }
        self.credential(who)
    }

    /// A credential of its own, for routes that end it.
    pub async fn fresh(&self, ingress: &TestIngress, who: Who) -> Credential {
        match self.credential(who) {
            Credential::Token(_) => Credential::Token(sign_in(ingress, who).await),
            other => other.clone(),
        }
    }

    pub fn token(&self, who: Who) -> &str {
        match self.credential(who) {
            Credential::Token(token) => token,
            other => panic!("{who:?} has no token: {other:?}"),
        }
    }
}

async fn sign_in(ingress: &TestIngress, who: Who) -> String {
    let body = json!({ "email": who.email(), "password": PASSWORD });
    let answer = ingress.post_json("/api/v1/auth/login", None, &body).await;
    let token = answer.json()["access_token"].as_str().map(str::to_owned);
    token.unwrap_or_else(|| panic!("{}", answer.text()))
}

/// Makes something; answers its id.
pub async fn make(ingress: &TestIngress, token: &str, path: &str, body: &Value) -> String {
    let made = post(ingress, token, path, body).await;
    made["id"].as_str().expect("an id").to_owned()
}

async fn post(ingress: &TestIngress, token: &str, path: &str, body: &Value) -> Value {
    let request = ingress.request(Method::POST, &format!("/api/v1{path}"));
    let answer = Answer::of(request.bearer_auth(token).json(body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}
