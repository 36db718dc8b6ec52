//! Sign-in with an outside identity provider, over a real one.

use aftercall::embedded::OidcProvider;
use aftercall::embedded::harness::Harness;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::support::{Answer, PASSWORD, TestIngress};

const ORIGIN: &str = "http://api.localhost:8000";
const START: &str = "/api/v1/auth/oidc/clinic/start";
const CALLBACK: &str = "/api/v1/auth/oidc/clinic/callback";

/// An ingress with a provider, and a browser.
struct Setting {
    harness: Harness,
    provider: OidcProvider,
    ingress: TestIngress,
    browser: Client,
}

/// A browser at the provider: where it is, and the cookie that it keeps for the way back.
pub struct Attempt {
    pub url: Url,
    pub cookie: String,
}

impl Setting {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let harness = Harness::start().await;
        let provider = harness.oidc_provider(None).await;
        let browser = browser();
        let issuers = issuers(&provider);
        let mut all = vec![
            ("OIDC_ISSUERS", issuers.as_str()),
            ("PUBLIC_URL", ORIGIN),
            ("CORS_ORIGINS", r#"["https://app.example.org"]"#),
        ];
        all.extend(settings);
        let ingress = TestIngress::start_with(&harness, &all).await;
        Self {
            harness,
            provider,
            ingress,
            browser,
        }
    }

    async fn person(&self, subject: &str, claims: Value) {
        person(&self.browser, &self.provider, subject, &claims).await;
    }

    async fn start(&self, query: &str) -> Attempt {
        start(&self.browser, &self.ingress, query).await
    }

    async fn consent(&self, url: &Url, form: &[(&str, &str)]) -> String {
        consent(&self.browser, url, form).await
    }

    async fn callback(&self, query: &str, cookie: &str) -> Answer {
        self.get(&format!("{CALLBACK}?{query}"), cookie).await
    }

    /// From the start to the answer of the callback.
    async fn sign_in(&self, subject: &str) -> Answer {
        let attempt = self.start("").await;
        let query = self.consent(&attempt.url, &[("sub", subject)]).await;
        self.callback(&query, &attempt.cookie).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = self.browser.request(Method::GET, self.ingress.url(path));
        Answer::of(request.header("cookie", cookie)).await
    }

    async fn sql(&self, statement: &'static str) {
        let mut admin: PgConnection = self.harness.admin().await;
        sqlx::query(statement)
            .execute(&mut admin)
            .await
            .expect("a statement");
    }

    async fn count(&self, query: &'static str) -> i64 {
        let mut admin = self.harness.admin().await;
        let count = sqlx::query_scalar(query).fetch_one(&mut admin).await;
        count.expect("a count")
    }

    async fn finish(self) {
        self.ingress.stop().await;
        self.harness.finish().await;
    }
}

/// `OIDC_ISSUERS` with two clients of the provider, and a provider that is down.
pub fn issuers(provider: &OidcProvider) -> String {
    let client = |name: &str, issuer: &str| json!({ "name": name, "issuer": issuer, "client_id": name, "client_secret": "a secret" });
    let issuer = provider.issuer();
    json!([
        client("clinic", &issuer),
        client("other", &issuer),
        client("down", "http://127.0.0.1:1"),
    ])
    .to_string()
}

/// A browser that follows no redirect by itself.
pub fn browser() -> Client {
    let browser = Client::builder().no_proxy().redirect(Policy::none());
    browser.build().expect("a client")
}

/// Sets what the provider says of a person.
pub async fn person(browser: &Client, provider: &OidcProvider, subject: &str, claims: &Value) {
    let url = format!("{}/users/{subject}", provider.issuer());
    let answer = browser
        .put(url)
        .json(claims)
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success());
}

pub async fn start(browser: &Client, ingress: &TestIngress, query: &str) -> Attempt {
    let path = format!("{START}{query}");
    let answer = Answer::of(browser.get(ingress.url(&path))).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    let set = answer.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Max-Age=600"] {
        assert!(set.contains(part), "{set}");
    }
    Attempt {
        url: location(&answer),
        cookie: set.split(';').next().unwrap_or_default().to_owned(),
    }
}

/// The person answers the provider; returns the query that it sends the browser back with.
pub async fn consent(browser: &Client, url: &Url, form: &[(&str, &str)]) -> String {
    let answer = Answer::of(browser.post(url.clone()).form(form)).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    let back = location(&answer);
    assert_eq!(back.path(), CALLBACK);
    back.query().expect("an answer of the provider").to_owned()
}

fn location(answer: &Answer) -> Url {
    let url = answer.header(LOCATION.as_str()).map(str::parse);
    url.expect("a redirect").expect("an address")
}

fn ada(email_verified: impl Into<Value>) -> Value {
    let email_verified = email_verified.into();
    json!({ "email": "Ada@Example.org", "email_verified": email_verified, "name": "Ada Lovelace" })
}

/// The address with one parameter of its query replaced.
fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(key, old)| {
            let new = if key == name { value } else { &old };
            (key.to_string(), new.to_owned())
        })
        .collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}

#[tokio::test]
async fn the_first_sign_in_makes_a_user_and_the_second_finds_it() {
    let setting = Setting::new().await;
    setting.person("ada", ada(true)).await;
    let answer = setting.sign_in("ada").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    for name in ["auth_token=ey", "refresh_token=", "oidc_clinic=;"] {
        let set =
            |cookie: &&reqwest::header::HeaderValue| cookie.to_str().unwrap().starts_with(name);
        assert!(cookies.iter().any(set), "{name} {cookies:?}");
    }
    let answer = answer.json();
    let user = &answer["user"];
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(user["role"], "counselor");
    assert_eq!(user["oauth_provider"], "clinic");
    assert_eq!(answer["refresh_token"], Value::Null, "only in the cookie");
    let token = answer["access_token"].as_str();
    let me = setting.ingress.get("/api/v1/auth/me", token).await;
    assert_eq!(me.json()["id"], user["id"]);

    // The person stays the same whatever the provider says of them later.
    let moved = json!({ "email": "new@example.org", "email_verified": false });
    setting.person("ada", moved).await;
    let again = setting.sign_in("ada").await.json();
    assert_eq!(again["user"]["id"], user["id"]);
    assert_eq!(again["user"]["email"], "ada@example.org");
    // A user of a provider has no password, and their address is taken.
    let ingress = &setting.ingress;
    let login = json!({ "email": "ada@example.org", "password": "" });
    let refused = ingress.post_json("/api/v1/auth/login", None, &login).await;
    assert_eq!(refused.problem(401), "wrong_credentials");
    let register = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Eve" });
    let refused = ingress
        .post_json("/api/v1/auth/register", None, &register)
        .await;
    assert_eq!(refused.problem(409), "email_taken");
    setting.finish().await;
}

#[tokio::test]
async fn whoever_proves_an_address_has_its_account_alone() {
    let setting = Setting::new().await;
    let ingress = &setting.ingress;
    // Somebody registers Ada's address before her, signs in and makes a key.
    let token = ingress.register("ada@example.org").await;
    let before = ingress.get("/api/v1/auth/me", Some(&token)).await.json();
    let key = json!({ "name": "backdoor", "scopes": ["read"] });
    let key = ingress
        .post_json("/api/v1/api-keys", Some(&token), &key)
        .await;
    assert_eq!(key.status, 201, "{}", key.text());

    // Some providers write their booleans as text.
    setting.person("ada", ada("true")).await;
    let answer = setting.sign_in("ada").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["user"]["id"], before["id"]);
    let me = ingress.get("/api/v1/auth/me", Some(&token)).await;
    assert_eq!(me.problem(401), "unauthorized");
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let refused = ingress.post_json("/api/v1/auth/login", None, &login).await;
    assert_eq!(refused.problem(401), "wrong_credentials");
    let secret = key.json()["key"].as_str().map(str::to_owned);
    let by_key = ingress.get("/api/v1/sessions", secret.as_deref()).await;
    assert_eq!(by_key.problem(401), "unauthorized");
    let noted = "select count(*) from audit_log where action = 'user.linked'
        and details = '{\"provider\": \"clinic\", \"password_dropped\": true, \"api_keys_revoked\": 1}'";
    assert_eq!(setting.count(noted).await, 1);

    // What is linked stays linked: another person with the same address is somebody else.
    setting.person("eve", ada(true)).await;
    let refused = setting.sign_in("eve").await;
    assert_eq!(refused.problem(409), "linked_elsewhere");
    let again = setting.sign_in("ada").await.json();
    assert_eq!(again["user"]["id"], before["id"]);
    setting.finish().await;
}

#[tokio::test]
async fn an_address_that_is_not_verified_links_and_makes_nobody() {
    let setting = Setting::new().await;
    let token = setting.ingress.register("ada@example.org").await;
    let claims = [
        ada(false),
        ada("false"),
        json!({ "email": "ada@example.org" }),
        json!({ "email": "nobody@example.org" }),
        json!({ "email": "no address", "email_verified": true }),
        json!({ "email_verified": true, "name": "Ada" }),
    ];
    for (index, claims) in claims.into_iter().enumerate() {
        let subject = format!("person-{index}");
        setting.person(&subject, claims.clone()).await;
        let refused = setting.sign_in(&subject).await;
        assert_eq!(refused.problem(403), "email_not_verified", "{claims}");
    }
    assert_eq!(setting.count("select count(*) from users").await, 1);
    let me = setting.ingress.get("/api/v1/auth/me", Some(&token)).await;
    assert_eq!(me.json()["oauth_provider"], Value::Null);
    setting.finish().await;
}

#[tokio::test]
async fn only_the_browser_that_went_there_comes_back() {
    let setting = Setting::new().await;
    setting.person("ada", ada(true)).await;
    let attempt = setting.start("").await;
    let query = setting.consent(&attempt.url, &[("sub", "ada")]).await;
    let other = setting.start("").await;

    for cookie in ["", "oidc_clinic=forged"] {
        let refused = setting.callback(&query, cookie).await;
        assert_eq!(refused.problem(400), "oidc_attempt_missing");
    }
    let refused = setting.callback(&query, &other.cookie).await;
    assert_eq!(refused.problem(400), "oidc_state_mismatch");
    let set = refused.header("set-cookie").unwrap();
    assert!(set.starts_with("oidc_clinic=;"), "it is over: {set}");
    let foreign = format!("{query}&iss=https://evil.example");
    for wrong in ["code=x", "code=x&state=", "state=x", foreign.as_str()] {
        let refused = setting.callback(wrong, &attempt.cookie).await;
        assert_eq!(refused.problem(400), "oidc_state_mismatch", "{wrong}");
    }
    // The way back of another provider takes no attempt of this one, under no name.
    let path = format!("/api/v1/auth/oidc/other/callback?{query}");
    let renamed = attempt.cookie.replace("oidc_clinic", "oidc_other");
    for cookie in [&attempt.cookie, &renamed] {
        let refused = setting.get(&path, cookie).await;
        assert_eq!(refused.problem(400), "oidc_attempt_missing");
    }
    assert_eq!(setting.count("select count(*) from users").await, 0);
    let signed_in = setting.callback(&query, &attempt.cookie).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    // A code is good once.
    let replayed = setting.callback(&query, &attempt.cookie).await;
    assert_eq!(replayed.problem(400), "oidc_code_refused");
    setting.finish().await;
}

#[tokio::test]
async fn codes_and_tokens_of_another_attempt_are_refused() {
    let setting = Setting::new().await;
    setting.person("ada", ada(true)).await;
    let attempt = setting.start("").await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (name, value, code) in [
        ("nonce", "another", "oidc_token_refused"),
        ("code_challenge", challenge, "oidc_code_refused"),
        ("client_id", "other", "oidc_code_refused"),
    ] {
        let changed = with_parameter(&attempt.url, name, value);
        assert_ne!(changed, attempt.url, "{name}");
        let query = setting.consent(&changed, &[("sub", "ada")]).await;
        let refused = setting.callback(&query, &attempt.cookie).await;
        assert_eq!(refused.problem(400), code, "{name}");
    }
    for (name, value) in [
        ("code_challenge_method", "S256"),
        ("scope", "openid email profile"),
        ("redirect_uri", &format!("{ORIGIN}{CALLBACK}")),
    ] {
        let mut asked = attempt.url.query_pairs();
        assert!(asked.any(|(n, v)| n == name && v == value), "{name}");
    }
    assert_eq!(setting.count("select count(*) from users").await, 0);
    setting.finish().await;
}

#[tokio::test]
async fn whoever_declines_or_may_not_is_told_so() {
    let setting = Setting::with(&[("REGISTRATION", "closed")]).await;
    let attempt = setting.start("").await;
    // This provider leaves the state out when the person declines.
    let denied = setting.consent(&attempt.url, &[("action", "deny")]).await;
    let refused = setting.callback(&denied, &attempt.cookie).await;
    assert_eq!(refused.problem(400), "oidc_state_mismatch");
    let mut asked = attempt.url.query_pairs();
    let (_, state) = asked.find(|(name, _)| name == "state").unwrap();
    let refused = setting
        .callback(&format!("{denied}&state={state}"), &attempt.cookie)
        .await;
    assert_eq!(refused.problem(403), "access_denied");
    for (error, status, code) in [
        ("server_error", 503, "unavailable"),
        ("<b>", 400, "oidc_refused"),
    ] {
        let query = format!("error={error}&state={state}");
        let refused = setting.callback(&query, &attempt.cookie).await;
        assert_eq!(refused.problem(status), code);
        assert!(!refused.text().contains("<b>"));
    }
    let codeless = format!("state={state}");
    let codeless = setting.callback(&codeless, &attempt.cookie).await;
    assert_eq!(codeless.problem(400), "malformed_query");

    setting.person("ada", ada(true)).await;
    let refused = setting.sign_in("ada").await;
    assert_eq!(refused.problem(403), "registration_closed");
    // Users whom somebody else made are let in, until they are deactivated.
    let make = "with a as (
            insert into accounts (id, kind) values (gen_random_uuid(), 'personal') returning id
        )
        insert into users (account_id, id, email, name, is_active)
            select id, gen_random_uuid(), 'ada@example.org', 'Ada', false from a";
    setting.sql(make).await;
    let refused = setting.sign_in("ada").await;
    assert_eq!(refused.problem(403), "user_deactivated");
    assert_eq!(setting.count("select count(oauth_id) from users").await, 0);
    setting.sql("update users set is_active = true").await;
    assert_eq!(setting.sign_in("ada").await.status, 200);
    setting.sql("update users set is_active = false").await;
    let refused = setting.sign_in("ada").await;
    assert_eq!(refused.problem(403), "user_deactivated");
    setting.finish().await;
}

#[tokio::test]
async fn browsers_are_sent_on_only_to_places_of_ours() {
    let setting = Setting::new().await;
    setting.person("ada", ada(true)).await;
    for (given, target) in [
        ("/docs", "http://api.localhost:8000/docs"),
        (
            "https://app.example.org/home?x=1",
            "https://app.example.org/home?x=1",
        ),
    ] {
        let attempt = setting.start(&format!("?return_to={given}")).await;
        let query = setting.consent(&attempt.url, &[("sub", "ada")]).await;
        let answer = setting.callback(&query, &attempt.cookie).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(answer.header("location"), Some(target));
        assert!(answer.body.is_empty(), "no token but in the cookies");
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 3);
    }
    for evil in [
        "//evil.example",
        "https://evil.example",
        "https://app.example.org.evil.example",
    ] {
        let refused = setting.get(&format!("{START}?return_to={evil}"), "").await;
        assert_eq!(refused.problem(400), "return_to_refused", "{evil}");
    }
    setting.finish().await;
}

#[tokio::test]
async fn many_first_sign_ins_at_once_make_one_user() {
    let setting = Setting::new().await;
    setting.person("ada", ada(true)).await;
    let all = futures::future::join_all((0..8).map(|_| setting.sign_in("ada"))).await;
    for answer in &all {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["user"]["id"], all[0].json()["user"]["id"]);
    }
    assert_eq!(setting.count("select count(*) from users").await, 1);
    setting.finish().await;
}

#[tokio::test]
async fn a_provider_may_be_unknown_down_or_have_new_keys() {
    let mut setting = Setting::new().await;
    for path in [
        "nobody/start",
        "nobody/callback",
        "CLINIC/start",
        "%FF/start",
    ] {
        let refused = setting.get(&format!("/api/v1/auth/oidc/{path}"), "").await;
        assert_eq!(refused.problem(404), "issuer_not_found", "{path}");
    }
    let down = setting.get("/api/v1/auth/oidc/down/start", "").await;
    assert_eq!(down.problem(503), "unavailable");
    assert!(down.header("retry-after").is_some());

    setting.person("ada", ada(true)).await;
    let first = setting.sign_in("ada").await.json();
    let attempt = setting.start("").await;
    let query = setting.consent(&attempt.url, &[("sub", "ada")]).await;
    setting.provider.stop().await;
    let refused = setting.callback(&query, &attempt.cookie).await;
    assert_eq!(refused.problem(503), "unavailable");

    // It comes back with another key, while its old one is still remembered here.
    let port = setting.provider.port();
    setting.provider = setting.harness.oidc_provider(Some(port)).await;
    assert_eq!(setting.provider.port(), port);
    setting.person("ada", ada(true)).await;
    let again = setting.sign_in("ada").await.json();
    assert_eq!(again["user"]["id"], first["user"]["id"]);
    setting.finish().await;
}
