//! What the routes are about: made anew for each cell, by the owner.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};

use aftercall::embedded::seed::{self, Seeded, SeededClient};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use reqwest::Method;
use serde_json::json;

use super::World;
use super::callers::{Who, make as post};
use crate::oidc;
use crate::stages;
use crate::support::Answer;

pub const WAV: &[u8] = include_bytes!("../../../workers/all/samples/two-cities/two-cities.wav");

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The route needs none.
    None,
    Session,
    /// A session with a stored recording.
    Recording,
    /// A session with an uploaded recording whose bytes are there.
    Audio,
    /// A session with a transcript.
    Transcript,
    /// A session with a transcript that holds a word of its own.
    Said,
    /// A session whose transcription failed.
    Failed,
    Customer,
    Client,
    /// A call of a client.
    Call,
    /// A client with a counted call, the only one of its day in the whole database.
    Calls,
    Key,
    /// A counsellor of the clinic.
    User,
    /// The clinic of owner, colleague and manager.
    Clinic,
    /// An erasure that the owner asked for.
    Erasure,
    /// An identity provider.
    Issuer,
    /// A sign-in to which the identity provider has agreed.
    Attempt,
}

/// Ids of an object and of what stands around it, by the names of path parameters.
pub struct Ids {
    of: BTreeMap<&'static str, String>,
}

impl Object {
    /// Where the owner (or an admin) reads it.
    pub const fn address(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Key | Self::Issuer | Self::Attempt => None,
            Self::Session
            | Self::Recording
            | Self::Audio
            | Self::Transcript
            | Self::Said
            | Self::Failed => Some("/api/v1/sessions/{id}"),
            Self::Customer => Some("/api/v1/customers/{id}"),
            Self::Call => Some("/api/v1/calls/{id}"),
            Self::Client | Self::Calls => Some("/api/v1/clients/{id}"),
            Self::User => Some("/api/v1/users/{id}"),
            Self::Clinic => Some("/api/v1/clinics/{id}"),
            Self::Erasure => Some("/api/v1/erasures/{id}"),
        }
    }

    /// Whether only an admin is sure to see it.
    pub const fn is_managed(self) -> bool {
        matches!(self, Self::User | Self::Clinic)
    }
}

impl Ids {
    fn of(id: impl Into<String>) -> Self {
        Self {
            of: BTreeMap::from([("id", id.into())]),
        }
    }

    /// A path or query with its parameters filled in.
    pub fn fill(&self, path: &str) -> String {
        let named =
            |path: String, (name, id): (&&str, &String)| path.replace(&format!("{{{name}}}"), id);
        let path = self.of.iter().fold(path.to_owned(), named);
        path.replace("{session_id}", self.of_object())
    }

    pub fn of_object(&self) -> &str {
        &self.of["id"]
    }

    /// What the browser keeps for this object.
    pub fn cookie(&self) -> Option<&str> {
        self.of.get("cookie").map(String::as_str)
    }
}

/// Makes an object, as the owner does or as the workers do for the owner's session.
pub async fn make(world: &World, object: Object) -> Ids {
    let owner = world.callers.token(Who::Owner);
    let ingress = &world.ingress;
    match object {
        Object::None => Ids::of("nothing has this id"),
        Object::Session => Ids::of(session(world, true).await.session_id.to_string()),
        Object::Recording => {
            let seeded = session(world, false).await;
            let recording = stages::stored(&world.harness, seeded).await;
            let mut ids = Ids::of(seeded.session_id.to_string());
            ids.of.insert("recording_id", recording.to_string());
            ids
        }
        Object::Audio => {
            let seeded = session(world, false).await;
            let path = format!("/api/v1/sessions/{}/upload-recording", seeded.session_id);
            let request = ingress.request(Method::POST, &path).bearer_auth(owner);
            let uploaded = Answer::of(request.body(WAV)).await;
            let uploaded = uploaded.json();
            let recording = uploaded["recording_id"].as_str().expect("an id");
            let mut ids = Ids::of(seeded.session_id.to_string());
            ids.of.insert("recording_id", recording.to_owned());
            ids
        }
        Object::Transcript => {
            let seeded = session(world, true).await;
            seed::transcript(&world.harness, seeded, &["Hello.", "Good morning."]).await;
            Ids::of(seeded.session_id.to_string())
        }
        Object::Said => {
            let seeded = session(world, true).await;
            let word = format!("w{}", uuid::Uuid::new_v4().simple());
            seed::transcript(&world.harness, seeded, &["Hello.", &word]).await;
            let mut ids = Ids::of(seeded.session_id.to_string());
            ids.of.insert("word", word);
            ids
        }
        Object::Failed => {
            let seeded = session(world, false).await;
            let recording = stages::uploaded(&world.harness, seeded).await;
            stages::check_failed(&world.harness, seeded, recording, 1).await;
            Ids::of(seeded.session_id.to_string())
        }
        Object::Customer => {
            let body = json!({ "name": "Grace" });
            Ids::of(post(ingress, owner, "/customers", &body).await)
        }
        Object::Client => {
            let body = json!({ "name": "Bakery" });
            Ids::of(post(ingress, owner, "/clients", &body).await)
        }
        Object::Call => call(world).await,
        Object::Calls => counted_call(world).await,
        Object::Key => {
            let name = uuid::Uuid::new_v4().to_string();
            let body = json!({ "name": name, "scopes": ["read"] });
            Ids::of(post(ingress, owner, "/api-keys", &body).await)
        }
        Object::User => {
            let email = format!("{}@example.org", uuid::Uuid::new_v4());
            let body = json!({
                "email": email, "name": "New", "role": "counselor",
                "clinic_id": world.callers.clinic_id,
            });
            Ids::of(post(ingress, world.callers.token(Who::Admin), "/users", &body).await)
        }
        Object::Clinic => Ids::of(world.callers.clinic_id.clone()),
        Object::Erasure => {
            let seeded = session(world, true).await;
            let path = format!("/api/v1/sessions/{}?erase=true", seeded.session_id);
            let request = ingress.request(Method::DELETE, &path).bearer_auth(owner);
            let erasure = Answer::of(request).await.json();
            Ids::of(erasure["erasure_id"].as_str().expect("an id"))
        }
        Object::Issuer => {
            let mut ids = Ids::of("clinic");
            ids.of.insert("issuer", "clinic".to_owned());
            ids
        }
        Object::Attempt => {
            let browser = oidc::browser();
            let claims = json!({ "email": "outside@example.org", "email_verified": true });
            oidc::person(&browser, &world.provider, "outside", &claims).await;
            let attempt = oidc::start(&browser, ingress, "").await;
            let query = oidc::consent(&browser, &attempt.url, &[("sub", "outside")]).await;
            let mut ids = Ids::of("outside@example.org");
            ids.of.extend([
                ("issuer", "clinic".to_owned()),
                ("query", query),
                ("cookie", attempt.cookie),
            ]);
            ids
        }
    }
}

/// Another day at each call.
fn fresh_day() -> Date {
    static USED: AtomicI32 = AtomicI32::new(0);
    date(2020, 1, 1) + USED.fetch_add(1, Ordering::Relaxed).days()
}

/// A client that the owner made.
async fn client(world: &World) -> SeededClient {
    let owner = world.callers.token(Who::Owner);
    let body = json!({ "name": "Bakery" });
    let id = post(&world.ingress, owner, "/clients", &body).await;
    SeededClient {
        user_id: world.callers.owner_id.parse().expect("an id"),
        account_id: world.callers.clinic_id.parse().expect("an id"),
        client_id: id.parse().expect("an id"),
    }
}

async fn call(world: &World) -> Ids {
    let client = client(world).await;
    let calls = seed::counted_calls(&world.harness, client, &[json!({ "notes": "none" })]).await;
    Ids::of(calls[0].to_string())
}

async fn counted_call(world: &World) -> Ids {
    let client = client(world).await;
    let day = fresh_day();
    let call = json!({
        "started_at": format!("{day}T12:00:00Z"), "duration_seconds": 77.5,
        "sentiment": "mixed", "success": true,
    });
    seed::counted_calls(&world.harness, client, &[call]).await;
    let mut ids = Ids::of(client.client_id.to_string());
    ids.of.insert("day", day.to_string());
    ids
}

async fn session(world: &World, automatic: bool) -> Seeded {
    let body = json!({ "auto_transcribe": automatic, "auto_analyze": automatic });
    let owner = world.callers.token(Who::Owner);
    let id = post(&world.ingress, owner, "/sessions", &body).await;
    Seeded {
        user_id: world.callers.owner_id.parse().expect("an id"),
        session_id: id.parse().expect("an id"),
    }
}
