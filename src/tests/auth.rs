//! Register, login and who am I.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestIngress};

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

fn ada() -> Value {
    json!({ "email": "Ada@Example.org", "password": PASSWORD, "name": " Ada Lovelace " })
}

fn ada_but(field: &str, value: Value) -> Value {
    let mut body = ada();
    body[field] = value;
    body
}

async fn raw(
    ingress: &TestIngress,
    path: &str,
    kind: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request = ingress.request(Method::POST, path).body(body);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    Answer::of(request).await
}

async fn form(ingress: &TestIngress, body: &str) -> Answer {
    raw(
        ingress,
        LOGIN,
        Some("application/x-www-form-urlencoded"),
        body.to_owned(),
    )
    .await
}

#[tokio::test]
async fn a_person_registers_logs_in_and_is_known() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let registered = ingress.post_json(REGISTER, None, &ada()).await;
    assert_eq!(registered.status, StatusCode::CREATED);
    let registered = registered.json();
    assert_eq!(registered["token_type"], "bearer");
    assert_eq!(registered["expires_in"], 86_400);
    let user = &registered["user"];
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(
        (&user["role"], &user["is_active"]),
        (&json!("counselor"), &json!(true))
    );
    assert_eq!(
        (&user["clinic_id"], &user["oauth_provider"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        user.as_object().unwrap().len(),
        8,
        "nothing else is shown: {user}"
    );

    let login = json!({ "email": " ADA@example.org ", "password": PASSWORD });
    let by_json = ingress.post_json(LOGIN, None, &login).await;
    assert_eq!(by_json.status, StatusCode::OK);
    assert_eq!(by_json.json()["user"], *user);
    let fields =
        "grant_type=password&username=ada%40example.org&password=correct+horse+battery&scope=";
    let by_form = form(&ingress, fields).await;
    assert_eq!(by_form.status, StatusCode::OK, "{}", by_form.text());

    for answer in [registered.clone(), by_json.json(), by_form.json()] {
        let token = answer["access_token"].as_str().unwrap();
        let me = ingress.get(ME, Some(token)).await;
        assert_eq!((me.status, me.json()), (StatusCode::OK, user.clone()));
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn bad_registrations_are_refused() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let cases = [
        ("email", json!("ada")),
        ("email", json!("")),
        ("email", json!("ada@@example.org")),
        ("email", json!(format!("{}@example.org", "a".repeat(300)))),
        ("email", json!("a\u{0}@example.org")),
        ("email", json!(7)),
        ("password", json!("1234567")),
        ("password", json!("é".repeat(7))),
        ("password", json!("x".repeat(1025))),
        ("password", json!(["12345678"])),
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("é".repeat(201))),
        ("name", Value::Null),
    ];
    for (field, value) in cases {
        let answer = ingress
            .post_json(REGISTER, None, &ada_but(field, value.clone()))
            .await;
        let wrong = answer.wrong_fields();
        assert!(
            wrong.iter().all(|wrong| wrong == field),
            "{field} {value}: {wrong:?}"
        );
        assert!(!answer.text().contains(PASSWORD));
    }
    // Nobody makes themselves an administrator.
    for field in ["role", "is_active", "clinic_id"] {
        let answer = ingress
            .post_json(REGISTER, None, &ada_but(field, json!("admin")))
            .await;
        assert_eq!(answer.wrong_fields(), [field]);
    }
    let all = ingress
        .post_json(
            REGISTER,
            None,
            &json!({ "email": "x", "password": "x", "name": "" }),
        )
        .await;
    assert_eq!(all.wrong_fields().len(), 3, "all at once: {}", all.text());
    let absent = ingress.post_json(REGISTER, None, &json!({})).await;
    absent.wrong_fields();

    let json_type = Some("application/json");
    assert_eq!(
        raw(&ingress, REGISTER, json_type, "{").await.problem(400),
        "malformed_body"
    );
    assert_eq!(
        raw(&ingress, REGISTER, json_type, "").await.problem(400),
        "malformed_body"
    );
    assert_eq!(
        raw(&ingress, REGISTER, json_type, "[]").await.problem(400),
        "malformed_body"
    );
    let text = raw(&ingress, REGISTER, Some("text/plain"), ada().to_string()).await;
    assert_eq!(text.problem(415), "unsupported_media_type");
    let untyped = raw(&ingress, REGISTER, None, ada().to_string()).await;
    assert_eq!(untyped.problem(415), "unsupported_media_type");
    let huge = ada_but("name", json!("x".repeat(2 << 20)));
    assert_eq!(
        ingress.post_json(REGISTER, None, &huge).await.problem(413),
        "too_large"
    );
    assert_eq!(
        ingress.get(REGISTER, None).await.problem(405),
        "method_not_allowed"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn an_address_is_taken_once() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    // At once, as an impatient double click sends them.
    let body = ada();
    let (a, b) = tokio::join!(
        ingress.post_json(REGISTER, None, &body),
        ingress.post_json(REGISTER, None, &body)
    );
    let (won, lost) = if a.status == StatusCode::CREATED {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(won.status, StatusCode::CREATED);
    assert_eq!(lost.problem(409), "email_taken");
    let other_case = ada_but("email", json!("ADA@EXAMPLE.ORG"));
    assert_eq!(
        ingress
            .post_json(REGISTER, None, &other_case)
            .await
            .problem(409),
        "email_taken"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn registration_can_be_closed_and_passwords_longer() {
    let harness = Harness::start().await;
    let open = TestIngress::start(&harness).await;
    open.register("ada@example.org").await;
    open.stop().await;
    let settings = [("REGISTRATION", "closed"), ("PASSWORD_MIN_LENGTH", "40")];
    let closed = TestIngress::start_with(&harness, &settings).await;
    let other = ada_but("email", json!("eve@example.org"));
    assert_eq!(
        closed.post_json(REGISTER, None, &other).await.problem(403),
        "registration_closed"
    );
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let old = closed.post_json(LOGIN, None, &login).await;
    assert_eq!(
        old.status,
        StatusCode::OK,
        "the rule holds when a password is set, not at login"
    );
    closed.stop().await;
    let strict = TestIngress::start_with(&harness, &[("PASSWORD_MIN_LENGTH", "40")]).await;
    assert_eq!(
        strict
            .post_json(REGISTER, None, &other)
            .await
            .wrong_fields(),
        ["password"]
    );
    strict.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_failed_login_does_not_tell_why() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    ingress.register("ada@example.org").await;
    ingress.register("gone@example.org").await;
    sqlx::query("update users set is_active = false where email = 'gone@example.org'")
        .execute(&mut harness.admin().await)
        .await
        .unwrap();
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.org", "wrong"),
        ("ada@example.org", ""),
        ("nobody@example.org", PASSWORD),
        ("gone@example.org", PASSWORD),
        ("", ""),
    ] {
        let body = json!({ "email": email, "password": password });
        let answer = ingress.post_json(LOGIN, None, &body).await;
        assert_eq!(answer.problem(401), "wrong_credentials", "{email}");
        answers.push(answer.text());
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let by_form = form(&ingress, "username=ada@example.org&password=wrong").await;
    assert_eq!(by_form.text(), answers[0]);

    assert_eq!(
        form(&ingress, "username=ada@example.org")
            .await
            .wrong_fields(),
        ["body"]
    );
    assert_eq!(form(&ingress, "").await.wrong_fields(), ["body"]);
    assert_eq!(
        form(&ingress, "username=a%00&password=x")
            .await
            .wrong_fields(),
        ["username"]
    );
    let huge = format!("username=a&password={}", "x".repeat(2 << 20));
    assert_eq!(form(&ingress, &huge).await.problem(413), "too_large");
    let xml = raw(&ingress, LOGIN, Some("application/xml"), "<a/>").await;
    assert_eq!(xml.problem(415), "unsupported_media_type");
    let absent = ingress
        .post_json(LOGIN, None, &json!({ "email": "ada@example.org" }))
        .await;
    absent.wrong_fields();
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_token_is_worth_as_much_as_its_user() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let token = ingress.register("ada@example.org").await;
    for authorization in [
        "",
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        &token,
        &format!("Token {token}"),
    ] {
        let request = ingress
            .request(Method::GET, ME)
            .header("authorization", authorization);
        let answer = Answer::of(request).await;
        assert_eq!(answer.problem(401), "unauthorized", "{authorization}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(ingress.get(ME, None).await.problem(401), "unauthorized");
    assert_eq!(
        ingress
            .get(&format!("{ME}?access_token={token}"), None)
            .await
            .problem(401),
        "unauthorized"
    );
    assert_eq!(ingress.get(ME, Some(&token)).await.status, StatusCode::OK);
    // The same key, after a restart and in another process.
    ingress.stop().await;
    let again = TestIngress::start(&harness).await;
    assert_eq!(again.get(ME, Some(&token)).await.status, StatusCode::OK);
    let other = harness.dir().join("other-keys").display().to_string();
    let stranger = TestIngress::start_with(&harness, &[("JWT_KEYS_DIR", &other)]).await;
    assert_eq!(
        stranger.get(ME, Some(&token)).await.problem(401),
        "unauthorized"
    );
    stranger.stop().await;

    sqlx::query("update users set is_active = false")
        .execute(&mut harness.admin().await)
        .await
        .unwrap();
    assert_eq!(
        again.get(ME, Some(&token)).await.problem(401),
        "unauthorized"
    );
    again.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn without_postgres_nobody_is_told_that_they_are_wrong() {
    let harness = Harness::start().await;
    let down = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let ingress = TestIngress::start_with(&harness, &down).await;
    for (path, body) in [
        (REGISTER, ada()),
        (LOGIN, json!({ "email": "a@b.org", "password": "x" })),
    ] {
        let answer = ingress.post_json(path, None, &body).await;
        assert_eq!(answer.problem(503), "unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn anybody_may_read_the_public_keys() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let answer = ingress.get("/.well-known/jwks.json", None).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=240"));
    let keys = answer.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&keys["keys"][0]["crv"], keys["keys"][0].get("d")),
        (&json!("Ed25519"), None)
    );
    ingress.stop().await;
    harness.finish().await;
}
