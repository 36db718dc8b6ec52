//! What pages of other sites make a browser send.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::{Answer, PASSWORD, TestIngress};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const LOGOUT: &str = "/api/v1/auth/logout";

/// Headers of a browser, and whether the page is one of ours.
const PAGES: [(&[(&str, &str)], bool); 9] = [
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("origin", "https://api.example.org")], true),
    (&[("origin", "http://localhost:3000")], true),
    (
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "http://localhost:3000"),
        ],
        true,
    ),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("origin", "https://evil.example")], false),
    (&[("origin", "null")], false),
    (
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://api.example.org"),
        ],
        false,
    ),
];

fn from_page(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    let add = |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
    headers.iter().fold(request, add)
}

/// The value of a cookie that was set.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let mut lines = set.map(|line| line.to_str().expect("ASCII"));
    let line = lines.find(|line| line.starts_with(&format!("{name}=")));
    let pair = line.and_then(|line| line.split(';').next());
    pair.expect("this cookie").to_owned()
}

async fn start(harness: &Harness) -> TestIngress {
    let settings = [("PUBLIC_URL", "https://api.example.org")];
    TestIngress::start_with(harness, &settings).await
}

#[tokio::test]
async fn no_other_site_signs_a_visitor_in() {
    let harness = Harness::start().await;
    let ingress = start(&harness).await;
    ingress.register("ada@example.org").await;
    let form = format!("username=ada@example.org&password={PASSWORD}");
    for (headers, is_ours) in PAGES {
        let login = ingress
            .request(Method::POST, LOGIN)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.clone());
        let answer = Answer::of(from_page(login, headers)).await;
        if is_ours {
            assert_eq!(answer.status, StatusCode::OK, "{headers:?}");
            continue;
        }
        assert_eq!(answer.problem(403), "cross_site", "{headers:?}");
        assert_eq!(answer.header("set-cookie"), None);
        let body = json!({ "email": "eve@example.org", "password": PASSWORD, "name": "Eve" });
        let register = ingress.request(Method::POST, "/api/v1/auth/register");
        let answer = Answer::of(from_page(register.json(&body), headers)).await;
        assert_eq!(answer.problem(403), "cross_site", "{headers:?}");
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn cookies_change_nothing_for_other_sites() {
    let harness = Harness::start().await;
    let ingress = start(&harness).await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
    let registered = ingress
        .post_json("/api/v1/auth/register", None, &body)
        .await;
    let access = cookie(&registered, "auth_token");
    let with = |method: Method, path: &str| ingress.request(method, path).header("cookie", &access);
    for (headers, is_ours) in PAGES {
        let made = Answer::of(from_page(with(Method::POST, "/api/v1/sessions"), headers)).await;
        // A handshake is a GET: what it opens is not.
        let handshake = with(Method::GET, ME).header("upgrade", "websocket");
        let handshake = Answer::of(from_page(handshake, headers)).await;
        if is_ours {
            assert_eq!(made.status, StatusCode::CREATED, "{headers:?}");
            assert_eq!(handshake.status, StatusCode::OK, "{headers:?}");
        } else {
            assert_eq!(made.problem(403), "cross_site", "{headers:?}");
            assert_eq!(handshake.problem(403), "cross_site", "{headers:?}");
        }
        let read = Answer::of(from_page(with(Method::GET, ME), headers)).await;
        assert_eq!(read.status, StatusCode::OK, "reading is for CORS to allow");
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_cookie_ends_no_sign_in_for_other_sites_whatever_else_is_shown() {
    let harness = Harness::start().await;
    let ingress = start(&harness).await;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD, "name": "Ada" });
    let registered = ingress
        .post_json("/api/v1/auth/register", None, &body)
        .await;
    let token = registered.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let renewal = cookie(&registered, "refresh_token");
    let logout = || {
        let request = ingress.request(Method::POST, LOGOUT);
        request.header("cookie", &renewal)
    };
    let bare = Answer::of(logout()).await;
    assert_eq!(bare.problem(403), "cross_site");
    // A credential that is no good does not make up for the missing origin.
    for request in [
        logout().bearer_auth("x"),
        logout().header("authorization", "Basic YTpi"),
        logout().json(&json!({ "refresh_token": "x" })),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(ingress.get(ME, Some(&token)).await.status, StatusCode::OK);
    }
    let refresh = ingress.request(Method::POST, "/api/v1/auth/refresh");
    let refresh = refresh
        .header("cookie", &renewal)
        .header("sec-fetch-site", "same-origin")
        .header("authorization", "Basic YTpi");
    let refused = Answer::of(refresh).await;
    assert_eq!(
        refused.problem(401),
        "unauthorized",
        "what is presented and no good is not made up for"
    );
    let own = logout().header("sec-fetch-site", "same-origin");
    assert_eq!(Answer::of(own).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        ingress.get(ME, Some(&token)).await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}
