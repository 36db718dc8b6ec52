//! How a sign-in goes on and ends: refresh tokens, cookies, logout, origins, anonymous users.

use std::collections::BTreeSet;

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, sign_ins};
use aftercall::embedded::harness::Harness;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestIngress};

const REFRESH: &str = "/api/v1/auth/refresh?token=body";
const LOGOUT: &str = "/api/v1/auth/logout";
const ME: &str = "/api/v1/auth/me";

/// Registers Ada; answers her access and refresh tokens.
async fn register(ingress: &TestIngress) -> (String, String) {
    let body = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
    let path = "/api/v1/auth/register?token=body";
    tokens(&ingress.post_json(path, None, &body).await)
}

#[track_caller]
fn tokens(answer: &Answer) -> (String, String) {
    assert!(answer.status.is_success(), "{}", answer.text());
    let answer = answer.json();
    let text = |name: &str| answer[name].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(ingress: &TestIngress, token: &str) -> Answer {
    let body = json!({ "refresh_token": token });
    ingress.post_json(REFRESH, None, &body).await
}

async fn sql(harness: &Harness, statement: &'static str) -> u64 {
    let done = sqlx::query(statement)
        .execute(&mut harness.admin().await)
        .await;
    done.expect("a statement").rows_affected()
}

async fn count(harness: &Harness, query: &'static str) -> i64 {
    let count = sqlx::query_scalar(query)
        .fetch_one(&mut harness.admin().await)
        .await;
    count.expect("a count")
}

/// The cookies that an answer sets, by name.
fn cookies(answer: &Answer) -> Vec<(String, String)> {
    let set = answer.headers.get_all("set-cookie").iter();
    let line = |value: &reqwest::header::HeaderValue| {
        let line = value.to_str().expect("ASCII").to_owned();
        let (name, rest) = line.split_once('=').expect("a cookie");
        (name.to_owned(), rest.to_owned())
    };
    set.map(line).collect()
}

/// What a browser sends back.
fn cookie_header(answer: &Answer) -> String {
    let pairs = cookies(answer).into_iter().map(|(name, rest)| {
        let value = rest.split(';').next().unwrap_or_default();
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn twenty_refreshes_at_once_have_one_successor() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let (access, first) = register(&ingress).await;
    let all = futures::future::join_all((0..20).map(|_| refresh(&ingress, &first))).await;
    let successors: BTreeSet<_> = all.iter().map(|answer| tokens(answer).1).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(
        count(&harness, "select count(*) from refresh_tokens").await,
        2
    );
    for answer in &all {
        let (renewed, _) = tokens(answer);
        assert_eq!(ingress.get(ME, Some(&renewed)).await.status, StatusCode::OK);
    }
    assert_eq!(ingress.get(ME, Some(&access)).await.status, StatusCode::OK);
    let stored: Vec<String> = sqlx::query_scalar("select encode(hash, 'hex') from refresh_tokens")
        .fetch_all(&mut harness.admin().await)
        .await
        .unwrap();
    assert!(
        !stored.iter().any(|hash| hash.contains(&first)),
        "only hashes are kept"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_token_that_comes_again_ends_the_sign_in() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let (_, first) = register(&ingress).await;
    let (_, second) = tokens(&refresh(&ingress, &first).await);
    assert_eq!(
        tokens(&refresh(&ingress, &first).await).1,
        second,
        "a lost answer is repeated"
    );
    let (access, third) = tokens(&refresh(&ingress, &second).await);
    // The successor was used: whoever has the parent is a second one.
    assert_eq!(
        refresh(&ingress, &first).await.problem(401),
        "refresh_token_reused"
    );
    assert_eq!(refresh(&ingress, &third).await.problem(401), "unauthorized");
    assert_eq!(
        ingress.get(ME, Some(&access)).await.problem(401),
        "unauthorized"
    );
    let noted = "select count(*) from audit_log where action = 'sign_in.reuse_detected'";
    assert_eq!(count(&harness, noted).await, 1);

    // Another sign-in goes on; and a repeat that comes late is reuse as well.
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let (_, first) = tokens(
        &ingress
            .post_json("/api/v1/auth/login?token=body", None, &login)
            .await,
    );
    tokens(&refresh(&ingress, &first).await);
    sql(
        &harness,
        "update refresh_tokens set used_at = used_at - interval '11 seconds'",
    )
    .await;
    assert_eq!(
        refresh(&ingress, &first).await.problem(401),
        "refresh_token_reused"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_has_expired_or_was_never_given_is_refused() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let (access, first) = register(&ingress).await;
    for token in [
        "",
        "x",
        &"A".repeat(43),
        access.as_str(),
        &format!("{first}A"),
    ] {
        assert_eq!(refresh(&ingress, token).await.problem(401), "unauthorized");
    }
    let wrong = ingress
        .post_json(REFRESH, None, &json!({ "refresh_token": 7 }))
        .await;
    assert_eq!(wrong.wrong_fields(), ["refresh_token"]);
    let wrong = ingress
        .post_json(REFRESH, None, &json!({ "token": "x" }))
        .await;
    assert_eq!(wrong.wrong_fields(), ["token"]);
    let nothing = Answer::of(ingress.request(Method::POST, REFRESH)).await;
    assert_eq!(nothing.problem(401), "unauthorized");
    sql(&harness, "update refresh_tokens set expires_at = now()").await;
    assert_eq!(refresh(&ingress, &first).await.problem(401), "unauthorized");

    // An access token that is good gives a further refresh token of the same sign-in.
    let by_access = ingress.request(Method::POST, REFRESH).bearer_auth(&access);
    let (_, further) = tokens(&Answer::of(by_access).await);
    assert_eq!(count(&harness, "select count(*) from sign_ins").await, 1);
    tokens(&refresh(&ingress, &further).await);
    sql(&harness, "update sign_ins set expires_at = now()").await;
    assert_eq!(
        refresh(&ingress, &further).await.problem(401),
        "unauthorized"
    );
    assert_eq!(
        ingress.get(ME, Some(&access)).await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_logout_holds_everywhere_at_once() {
    let harness = Harness::start().await;
    let (here, there) = (
        TestIngress::start(&harness).await,
        TestIngress::start(&harness).await,
    );
    let (access, first) = register(&here).await;
    assert_eq!(there.get(ME, Some(&access)).await.status, StatusCode::OK);
    let (renewed, second) = tokens(&refresh(&there, &first).await);
    let logout = || here.request(Method::POST, LOGOUT).bearer_auth(&access);
    assert_eq!(Answer::of(logout()).await.status, StatusCode::NO_CONTENT);
    for token in [&access, &renewed] {
        assert_eq!(
            there.get(ME, Some(token)).await.problem(401),
            "unauthorized"
        );
    }
    assert_eq!(refresh(&there, &second).await.problem(401), "unauthorized");
    for again in [logout(), here.request(Method::POST, LOGOUT)] {
        assert_eq!(Answer::of(again).await.status, StatusCode::NO_CONTENT);
    }

    // By a refresh token; and deactivation ends everything as well.
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let sign_in = || here.post_json("/api/v1/auth/login?token=body", None, &login);
    let (access, token) = tokens(&sign_in().await);
    let body = json!({ "refresh_token": token });
    assert_eq!(
        there.post_json(LOGOUT, None, &body).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        here.get(ME, Some(&access)).await.problem(401),
        "unauthorized"
    );
    let (access, token) = tokens(&sign_in().await);
    sql(&harness, "update users set is_active = false").await;
    assert_eq!(
        there.get(ME, Some(&access)).await.problem(401),
        "unauthorized"
    );
    assert_eq!(refresh(&there, &token).await.problem(401), "unauthorized");
    here.stop().await;
    there.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn cookies_sign_in_and_are_removed() {
    let harness = Harness::start().await;
    let settings = [
        ("AUTH_COOKIE_NAME", "session"),
        ("REFRESH_COOKIE_NAME", "renewal"),
        ("AUTH_COOKIE_DOMAIN", "example.org"),
        ("AUTH_COOKIE_SECURE", "true"),
        ("AUTH_COOKIE_SAMESITE", "strict"),
        ("AUTH_COOKIE_PATH", "/api"),
    ];
    let ingress = TestIngress::start_with(&harness, &settings).await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
    let registered = ingress
        .post_json("/api/v1/auth/register", None, &body)
        .await;
    assert_eq!(
        registered.json()["refresh_token"],
        Value::Null,
        "not where scripts can read it"
    );
    let set = cookies(&registered);
    assert_eq!(set.len(), 2);
    for (name, rest) in &set {
        assert!(["session", "renewal"].contains(&name.as_str()), "{name}");
        for attribute in [
            "HttpOnly",
            "Secure",
            "SameSite=Strict",
            "Path=/api",
            "Domain=example.org",
        ] {
            assert!(
                rest.split("; ").any(|given| given == attribute),
                "{name}: {rest}"
            );
        }
        let life = if name == "session" {
            "Max-Age=86400"
        } else {
            "Max-Age=2592000"
        };
        assert!(rest.contains(life), "{name}: {rest}");
    }
    let jar = cookie_header(&registered);
    let with = |method: Method, path: &str| ingress.request(method, path).header("cookie", &jar);
    let same = |request: RequestBuilder| request.header("sec-fetch-site", "same-origin");
    assert_eq!(
        Answer::of(with(Method::GET, ME)).await.status,
        StatusCode::OK
    );

    let session = "/api/v1/sessions";
    assert_eq!(
        Answer::of(same(with(Method::POST, session))).await.status,
        StatusCode::CREATED
    );
    let listed = with(Method::POST, session).header("origin", "http://localhost:3000");
    assert_eq!(Answer::of(listed).await.status, StatusCode::CREATED);
    let origins = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("accept", "*/*"),
    ];
    for (name, value) in origins {
        for path in [session, "/api/v1/auth/refresh", LOGOUT] {
            let answer = Answer::of(with(Method::POST, path).header(name, value)).await;
            assert_eq!(answer.problem(403), "cross_site", "{path} {name}");
        }
    }
    // A header is the caller's own doing, whatever cookies come along; a bad one is not made up for.
    let token = registered.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let by_header = with(Method::POST, session).bearer_auth(&token);
    assert_eq!(Answer::of(by_header).await.status, StatusCode::CREATED);
    for bad in ["Bearer x", "Basic YTpi", "Bearer", ""] {
        let answer = Answer::of(with(Method::GET, ME).header("authorization", bad)).await;
        assert_eq!(answer.problem(401), "unauthorized", "{bad}");
    }

    let renewed = Answer::of(same(with(Method::POST, "/api/v1/auth/refresh"))).await;
    assert_eq!(renewed.status, StatusCode::OK, "{}", renewed.text());
    assert_ne!(cookie_header(&renewed), jar);
    let left = same(
        ingress
            .request(Method::POST, LOGOUT)
            .header("cookie", cookie_header(&renewed)),
    );
    let left = Answer::of(left).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    for (name, rest) in cookies(&left) {
        assert!(
            rest.starts_with(';') && rest.contains("Max-Age=0"),
            "{name}: {rest}"
        );
    }
    assert_eq!(
        Answer::of(with(Method::GET, ME)).await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn without_credentials_the_anonymous_user_acts() {
    let harness = Harness::start().await;
    let settings = [("ANONYMOUS_USER", "Ada@example.org")];
    let ingress = TestIngress::start_with(&harness, &settings).await;
    assert_eq!(
        ingress.get(ME, None).await.problem(401),
        "unauthorized",
        "nobody has this address"
    );
    register(&ingress).await;
    assert_eq!(
        ingress.get(ME, None).await.json()["email"],
        "ada@example.org"
    );
    let post = || ingress.request(Method::POST, "/api/v1/sessions");
    assert_eq!(Answer::of(post()).await.status, StatusCode::CREATED);
    let page = post().header("origin", "http://localhost:5173");
    assert_eq!(Answer::of(page).await.status, StatusCode::CREATED);
    let foreign = post().header("origin", "https://evil.example");
    assert_eq!(Answer::of(foreign).await.problem(403), "cross_site");
    assert_eq!(
        ingress.get(ME, Some("x")).await.problem(401),
        "unauthorized",
        "a bad token is bad"
    );
    sql(&harness, "update users set is_active = false").await;
    assert_eq!(ingress.get(ME, None).await.problem(401), "unauthorized");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let (_, kept) = register(&ingress).await;
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    for _ in 0..2 {
        let path = "/api/v1/auth/login?token=body";
        tokens(&ingress.post_json(path, None, &login).await);
    }
    // One was signed out eight days ago, another has expired then; the first goes on.
    sql(
        &harness,
        "update sign_ins set revoked_at = now() - interval '8 days'
        where id = (select id from sign_ins order by created_at offset 1 limit 1)",
    )
    .await;
    sql(
        &harness,
        "update sign_ins set expires_at = now() - interval '8 days'
        where id = (select id from sign_ins order by created_at offset 2 limit 1)",
    )
    .await;
    let week_ago = Timestamp::now() - SignedDuration::from_hours(7 * 24);
    let principal = Principal::Worker(WorkerRole::Maintenance);
    let mut tx = harness.begin(Process::Maintenance, principal).await;
    assert_eq!(sign_ins::sweep(&mut tx, week_ago).await.unwrap(), 2);
    tx.commit().await.unwrap();
    let left = "select count(*) from sign_ins natural join (select sign_in_id as id from refresh_tokens) t";
    assert_eq!(count(&harness, left).await, 1);
    assert_eq!(
        count(&harness, "select count(*) from refresh_tokens").await,
        1
    );
    tokens(&refresh(&ingress, &kept).await);
    ingress.stop().await;
    harness.finish().await;
}
