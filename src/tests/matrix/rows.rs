//! One row a route, in the order of `src/http/mod.rs`.

use serde_json::{Value, json};

use super::cells::{
    ACCOUNT, ACCOUNT_CHANGE, ACCOUNT_LIST, ADMINS, AUDIT, CLINIC, Cells, ERASURE, EVERYBODY, KEY,
    KEY_LIST, MAKE, OWN, OWN_CHANGE, OWN_LIST, PEOPLE, POLICY, POLICY_CHANGE, READ, SEND,
    SEND_MANY, SIGNED_IN, USER, USER_LIST, USER_MAKE,
};
use super::objects::{Ids, Object};
use crate::support::PASSWORD;

/// A route, what it is tried with, and what each caller gets.
pub struct Row {
    pub method: &'static str,
    pub path: &'static str,
    pub query: &'static str,
    pub object: Object,
    pub body: Body,
    /// Status of a cell that is not refused.
    pub ok: u16,
    pub shows: Shows,
    pub cells: Cells,
    /// The answer goes on for ever.
    pub streams: bool,
    /// The caller's credential ends with it.
    pub signs_out: bool,
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Body {
    None,
    Json(fn(&Ids) -> Value),
    /// One line of NDJSON.
    Line(fn(&Ids) -> Value),
    Wav,
}

/// How an answer shows the object.
#[derive(Clone, Copy)]
pub enum Shows {
    /// Its id.
    Object,
    Text(&'static str),
    /// The media type of the answer.
    Type(&'static str),
    /// By an empty answer.
    Nothing,
}

impl Row {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    const fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    const fn json(mut self, body: fn(&Ids) -> Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    const fn lines(mut self, body: fn(&Ids) -> Value) -> Self {
        self.body = Body::Line(body);
        self
    }

    const fn shows(mut self, shows: Shows) -> Self {
        self.shows = shows;
        self
    }

    const fn ok(mut self, ok: u16) -> Self {
        self.ok = ok;
        self
    }

    const fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    const fn signs_out(mut self) -> Self {
        self.signs_out = true;
        self
    }
}

const fn row(method: &'static str, path: &'static str, object: Object, cells: Cells) -> Row {
    Row {
        method,
        path,
        query: "",
        object,
        body: Body::None,
        ok: 200,
        shows: Shows::Object,
        cells,
        streams: false,
        signs_out: false,
    }
}

pub fn all() -> Vec<Row> {
    let mut rows = system();
    rows.extend(sign_in());
    rows.extend(people());
    rows.extend(sessions());
    rows.extend(clients());
    rows.extend(calls());
    rows.extend(analytics());
    rows
}

fn system() -> Vec<Row> {
    let public = |path, text| row("GET", path, Object::None, EVERYBODY).shows(Shows::Text(text));
    vec![
        public("/", "openapi.json"),
        public("/health", "ok"),
        public("/ready", "ready"),
        public("/metrics", "aftercall_http_requests_total"),
        public("/.well-known/jwks.json", "Ed25519"),
    ]
}

fn sign_in() -> Vec<Row> {
    let person = Shows::Text("example.org");
    let token = Shows::Text("access_token");
    vec![
        row("POST", "/api/v1/auth/register", Object::None, EVERYBODY)
            .json(|_| json!({ "email": fresh_email(), "password": PASSWORD, "name": "New" }))
            .ok(201)
            .shows(token),
        row("POST", "/api/v1/auth/login", Object::None, EVERYBODY)
            .json(|_| json!({ "email": "owner@example.org", "password": PASSWORD }))
            .shows(token),
        row("POST", "/api/v1/auth/test-token", Object::None, PEOPLE).shows(person),
        row("GET", "/api/v1/auth/me", Object::None, PEOPLE).shows(person),
        row("POST", "/api/v1/auth/refresh", Object::None, SIGNED_IN).shows(token),
        row("POST", "/api/v1/auth/logout", Object::None, EVERYBODY)
            .ok(204)
            .shows(Shows::Nothing)
            .signs_out(),
        // The client of the test follows the redirect to the page of the provider.
        row(
            "GET",
            "/api/v1/auth/oidc/{issuer}/start",
            Object::Issuer,
            EVERYBODY,
        )
        .shows(Shows::Text("clinic")),
        row(
            "GET",
            "/api/v1/auth/oidc/{issuer}/callback",
            Object::Attempt,
            EVERYBODY,
        )
        .query("?{query}"),
    ]
}

fn people() -> Vec<Row> {
    vec![
        row("GET", "/api/v1/users", Object::User, USER_LIST).query("?limit=100"),
        row("POST", "/api/v1/users", Object::None, USER_MAKE)
            .json(|_| json!({ "email": fresh_email(), "name": "Newcomer" }))
            .ok(201)
            .shows(Shows::Text("Newcomer")),
        row("GET", "/api/v1/users/{id}", Object::User, USER),
        row("PUT", "/api/v1/users/{id}", Object::User, USER).json(|_| json!({ "name": "Renamed" })),
        row("GET", "/api/v1/clinics", Object::Clinic, ADMINS),
        row("POST", "/api/v1/clinics", Object::None, ADMINS)
            .json(|_| json!({ "name": "Station Road" }))
            .ok(201)
            .shows(Shows::Text("Station Road")),
        row("GET", "/api/v1/clinics/{id}", Object::Clinic, CLINIC),
        row("PUT", "/api/v1/clinics/{id}", Object::Clinic, ADMINS)
            .json(|_| json!({ "name": "Elm Street" })),
        row("GET", "/api/v1/customers", Object::Customer, ACCOUNT_LIST).query("?limit=100"),
        row("POST", "/api/v1/customers", Object::None, MAKE)
            .json(|_| json!({ "name": "Grace" }))
            .ok(201)
            .shows(Shows::Text("Grace")),
        row("GET", "/api/v1/customers/{id}", Object::Customer, ACCOUNT),
        row(
            "PUT",
            "/api/v1/customers/{id}",
            Object::Customer,
            ACCOUNT_CHANGE,
        )
        .json(|_| json!({ "name": "Ada" })),
        row(
            "DELETE",
            "/api/v1/customers/{id}",
            Object::Customer,
            ACCOUNT_CHANGE,
        )
        .query("?erase=true")
        .ok(202)
        .shows(Shows::Text("erasure_id")),
        row("GET", "/api/v1/api-keys", Object::Key, KEY_LIST).query("?limit=100"),
        row("POST", "/api/v1/api-keys", Object::None, PEOPLE)
            .json(|_| json!({ "name": fresh_email(), "scopes": ["read"] }))
            .ok(201)
            .shows(Shows::Text("ak_")),
        row("DELETE", "/api/v1/api-keys/{id}", Object::Key, KEY),
        row(
            "GET",
            "/api/v1/accounts/{id}/policy",
            Object::Clinic,
            POLICY,
        ),
        row(
            "PUT",
            "/api/v1/accounts/{id}/policy",
            Object::Clinic,
            POLICY_CHANGE,
        )
        .json(|_| json!({ "consent_required": false })),
        row("GET", "/api/v1/audit", Object::Session, AUDIT).query("?limit=100"),
        row("GET", "/api/v1/erasures/{id}", Object::Erasure, ERASURE),
    ]
}

fn sessions() -> Vec<Row> {
    let of = |method, path, object| {
        let cells = if method == "GET" { OWN } else { OWN_CHANGE };
        row(method, path, object, cells)
    };
    vec![
        row("GET", "/api/v1/sessions", Object::Session, OWN_LIST).query("?limit=100"),
        row("POST", "/api/v1/sessions", Object::None, MAKE)
            .json(|_| json!({ "title": "A new one" }))
            .ok(201)
            .shows(Shows::Text("A new one")),
        of("GET", "/api/v1/sessions/{id}", Object::Session),
        of("PUT", "/api/v1/sessions/{id}", Object::Session).json(|_| json!({ "title": "Changed" })),
        of("DELETE", "/api/v1/sessions/{id}", Object::Session)
            .query("?erase=true")
            .ok(202)
            .shows(Shows::Text("erasure_id")),
        of("POST", "/api/v1/sessions/{id}/start", Object::Session),
        of("POST", "/api/v1/sessions/{id}/end", Object::Session),
        of("POST", "/api/v1/sessions/{id}/retry", Object::Failed).ok(202),
        of("GET", "/api/v1/sessions/{id}/events", Object::Session)
            .shows(Shows::Type("text/event-stream"))
            .streams(),
        Row {
            body: Body::Wav,
            ..of(
                "POST",
                "/api/v1/sessions/{id}/upload-recording",
                Object::Session,
            )
        }
        .ok(202),
        of("GET", "/api/v1/sessions/{id}/recordings", Object::Recording),
        of(
            "GET",
            "/api/v1/sessions/{id}/recordings/{recording_id}/audio",
            Object::Audio,
        )
        .shows(Shows::Type("audio/")),
        of(
            "GET",
            "/api/v1/sessions/{id}/transcript",
            Object::Transcript,
        ),
        of(
            "PATCH",
            "/api/v1/sessions/{id}/transcript",
            Object::Transcript,
        )
        .json(|_| json!({ "generation": 1, "turns": [{ "index": 0, "text": "Hello there." }] })),
        of("GET", "/api/v1/sessions/{id}/export", Object::Transcript),
        row("GET", "/api/v1/transcripts/search", Object::Said, OWN_LIST)
            .query("?limit=100&q={word}"),
        of(
            "GET",
            "/api/v1/sessions/{id}/transcript/findings",
            Object::Transcript,
        ),
        of(
            "POST",
            "/api/v1/analysis/{session_id}/transcribe",
            Object::Recording,
        )
        .ok(202)
        .shows(Shows::Text("generation")),
        of(
            "POST",
            "/api/v1/analysis/{session_id}/analyze",
            Object::Transcript,
        )
        .ok(202)
        .shows(Shows::Text("generation")),
        of(
            "GET",
            "/api/v1/analysis/{session_id}/analysis",
            Object::Transcript,
        ),
    ]
}

fn clients() -> Vec<Row> {
    vec![
        row("GET", "/api/v1/clients", Object::Client, ACCOUNT_LIST).query("?limit=100"),
        row("POST", "/api/v1/clients", Object::None, MAKE)
            .json(|_| json!({ "name": "Bakery" }))
            .ok(201)
            .shows(Shows::Text("Bakery")),
        row("GET", "/api/v1/clients/{id}", Object::Client, ACCOUNT),
        row(
            "PUT",
            "/api/v1/clients/{id}",
            Object::Client,
            ACCOUNT_CHANGE,
        )
        .json(|_| json!({ "name": "Florist" })),
        row(
            "DELETE",
            "/api/v1/clients/{id}",
            Object::Client,
            ACCOUNT_CHANGE,
        ),
        row("DELETE", "/api/v1/calls/{id}", Object::Call, ACCOUNT_CHANGE)
            .query("?erase=true")
            .ok(202)
            .shows(Shows::Text("erasure_id")),
    ]
}

fn calls() -> Vec<Row> {
    let record = |ids: &Ids| json!({ "client_id": ids.of_object(), "notes": "none" });
    vec![
        row("GET", "/api/v1/calls", Object::Call, ACCOUNT_LIST),
        row("POST", "/api/v1/calls", Object::Client, SEND)
            .json(record)
            .ok(202)
            .shows(Shows::Text("accepted")),
        row("POST", "/api/v1/calls/batch", Object::Client, SEND_MANY)
            .lines(record)
            .shows(Shows::Text("\"accepted\":1")),
        row("GET", "/api/v1/calls/{id}", Object::Call, ACCOUNT),
    ]
}

fn analytics() -> Vec<Row> {
    let of = |path, cells| {
        row("GET", path, Object::Calls, cells).query("?start_date={day}&end_date={day}")
    };
    vec![
        of("/api/v1/analytics/dashboard", ACCOUNT_LIST),
        of("/api/v1/analytics/calls-per-day", ACCOUNT_LIST)
            .shows(Shows::Text("\"total_duration_seconds\":77.5")),
        of("/api/v1/analytics/sentiment", ACCOUNT_LIST).shows(Shows::Text("\"mixed\":1.0")),
        of("/api/v1/analytics/client/{id}/stats", ACCOUNT),
        of("/api/v1/analytics/stream", READ)
            .shows(Shows::Type("text/event-stream"))
            .streams(),
    ]
}

fn fresh_email() -> String {
    format!("{}@example.org", uuid::Uuid::new_v4())
}
