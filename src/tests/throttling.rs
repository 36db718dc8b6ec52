//! Failed sign-ins, outdated hashes and limits, as a client sees them.

use aftercall::embedded::harness::{Harness, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestIngress};

const LOGIN: &str = "/api/v1/auth/login";
const REGISTER: &str = "/api/v1/auth/register";
const ME: &str = "/api/v1/auth/me";
/// Tests speak for clients of many addresses.
const PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.0/8");

async fn post_from(ingress: &TestIngress, address: &str, path: &str, body: &Value) -> Answer {
    let request = ingress.request(Method::POST, path).json(body);
    Answer::of(request.header("x-forwarded-for", address)).await
}

async fn log_in(ingress: &TestIngress, address: &str, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    post_from(ingress, address, LOGIN, &body).await
}

/// Lets time pass for whoever has to wait.
async fn pass(harness: &Harness, seconds: i32) {
    sqlx::query(
        "update throttles set since = since - make_interval(secs => $1),
            blocked_until = blocked_until - make_interval(secs => $1)",
    )
    .bind(f64::from(seconds))
    .execute(&mut harness.admin().await)
    .await
    .expect("moved");
}

#[track_caller]
fn assert_must_wait(answer: &Answer) {
    assert_eq!(answer.problem(429), "too_many_attempts");
    let wait: u32 = answer
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
}

#[tokio::test]
async fn ten_failures_with_an_address_make_everybody_wait_who_uses_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, &[PROXY]).await;
    ingress.register("ada@example.org").await;
    let mut refusals = Vec::new();
    for email in ["ada@example.org", "nobody@example.org"] {
        for number in 0..10 {
            // Other letters, other networks: still one address.
            let email = if number % 2 == 0 {
                email.to_uppercase()
            } else {
                format!(" {email}")
            };
            let from = format!("192.0.2.{number}");
            let answer = log_in(&ingress, &from, &email, "wrong").await;
            assert_eq!(answer.problem(401), "wrong_credentials", "{number}");
        }
        let answer = log_in(&ingress, "198.51.100.1", email, PASSWORD).await;
        assert_must_wait(&answer);
        refusals.push(answer.json()["code"].clone());
    }
    assert_eq!(refusals[0], refusals[1], "known and unknown are the same");
    // A process that starts anew knows as well.
    let other = TestIngress::start_with(&harness, &[PROXY]).await;
    assert_must_wait(&log_in(&other, "198.51.100.2", "ada@example.org", PASSWORD).await);
    // After the wait the password counts again, and a success clears the count.
    pass(&harness, 5).await;
    let right = log_in(&ingress, "198.51.100.1", "ada@example.org", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text());
    for _ in 0..9 {
        let answer = log_in(&ingress, "198.51.100.3", "ada@example.org", "wrong").await;
        assert_eq!(answer.problem(401), "wrong_credentials");
    }
    // Nothing in the table tells whose it is.
    let rows: Vec<String> = sqlx::query_scalar("select throttles::text from throttles")
        .fetch_all(&mut harness.admin().await)
        .await
        .expect("rows");
    assert!(rows.len() > 2);
    for row in rows {
        assert!(
            !row.contains("example") && !row.contains("192.0.2"),
            "{row}"
        );
    }
    other.stop().await;
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn ten_failures_from_a_network_make_it_wait() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, &[PROXY]).await;
    ingress.register("ada@example.org").await;
    for number in 0..10 {
        let (from, email) = (
            format!("2001:db8::{number}"),
            format!("u{number}@example.org"),
        );
        let answer = log_in(&ingress, &from, &email, PASSWORD).await;
        assert_eq!(answer.problem(401), "wrong_credentials");
    }
    assert_must_wait(&log_in(&ingress, "2001:db8::ffff", "ada@example.org", PASSWORD).await);
    let elsewhere = log_in(&ingress, "2001:db8:1::1", "ada@example.org", PASSWORD).await;
    assert_eq!(elsewhere.status, StatusCode::OK, "{}", elsewhere.text());
    // A success of somebody does not help whoever tries many.
    pass(&harness, 5).await;
    let right = log_in(&ingress, "2001:db8::1", "ada@example.org", PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text());
    assert_eq!(
        log_in(&ingress, "2001:db8::1", "x@example.org", "x")
            .await
            .problem(401),
        "wrong_credentials"
    );
    assert_must_wait(&log_in(&ingress, "2001:db8::1", "ada@example.org", PASSWORD).await);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn registrations_of_one_address_are_slowed_down() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, &[PROXY]).await;
    let body = |name: u32| json!({ "email": format!("u{name}@example.org"), "password": PASSWORD, "name": "U" });
    for number in 0..60 {
        // What is wrong in itself costs no hash and is not counted.
        let invalid = post_from(&ingress, "192.0.2.1", REGISTER, &json!({ "email": "x" })).await;
        assert_eq!(invalid.status, StatusCode::UNPROCESSABLE_ENTITY);
        let answer = post_from(&ingress, "192.0.2.1", REGISTER, &body(number % 3)).await;
        assert!(
            [201, 409].contains(&answer.status.as_u16()),
            "{}",
            answer.text()
        );
    }
    assert_must_wait(&post_from(&ingress, "192.0.2.1", REGISTER, &body(100)).await);
    let elsewhere = post_from(&ingress, "192.0.2.2", REGISTER, &body(100)).await;
    assert_eq!(
        elsewhere.status,
        StatusCode::CREATED,
        "{}",
        elsewhere.text()
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_hash_of_another_system_is_taken_once_and_replaced() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    ingress.register("ada@example.org").await;
    let old = bcrypt::hash(PASSWORD, 4).expect("a hash");
    let mut admin = harness.admin().await;
    sqlx::query("update users set password_hash = $1")
        .bind(&old)
        .execute(&mut admin)
        .await
        .expect("set");
    let hash = async || {
        sqlx::query_scalar::<_, String>("select password_hash from users")
            .fetch_one(&mut harness.admin().await)
            .await
            .expect("a hash")
    };
    let log_in = async |password| log_in(&ingress, "", "ada@example.org", password).await;
    assert_eq!(log_in("wrong").await.problem(401), "wrong_credentials");
    assert_eq!(hash().await, old);
    assert_eq!(log_in(PASSWORD).await.status, StatusCode::OK);
    eventually("the hash is replaced", async || {
        hash().await.starts_with("$argon2id$")
    })
    .await;
    let new = hash().await;
    assert_eq!(log_in(PASSWORD).await.status, StatusCode::OK);
    assert_eq!(log_in("wrong").await.problem(401), "wrong_credentials");
    ingress.stop().await;
    assert_eq!(hash().await, new, "once");
    harness.finish().await;
}

#[tokio::test]
async fn whoever_has_no_password_cannot_sign_in_with_one() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    ingress.register("ada@example.org").await;
    sqlx::query(
        "update users set password_hash = null, oauth_provider = 'example', oauth_id = '1'",
    )
    .execute(&mut harness.admin().await)
    .await
    .expect("set");
    for password in ["", PASSWORD, "nobody has this."] {
        let answer = log_in(&ingress, "", "ada@example.org", password).await;
        assert_eq!(answer.problem(401), "wrong_credentials");
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_user_has_an_allowance_wherever_they_are() {
    let harness = Harness::start().await;
    let settings = [PROXY, ("RATE_LIMIT_USER_PER_MINUTE", "5")];
    let ingress = TestIngress::start_with(&harness, &settings).await;
    let (ada, ben) = (
        ingress.register("ada@example.org").await,
        ingress.register("ben@example.org").await,
    );
    let mut statuses = Vec::new();
    for number in 0..6 {
        let request = ingress.request(Method::GET, ME).bearer_auth(&ada);
        let from = format!("192.0.2.{number}");
        let answer = Answer::of(request.header("x-forwarded-for", from)).await;
        statuses.push(answer.status.as_u16());
        if answer.status != StatusCode::OK {
            assert_eq!(answer.problem(429), "rate_limited");
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    assert_eq!(ingress.get(ME, Some(&ben)).await.status, StatusCode::OK);
    ingress.stop().await;
    harness.finish().await;
}
