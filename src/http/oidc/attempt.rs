//! The cookie that remembers an attempt to sign in while the browser is at the provider.
//!
//! It is encrypted and sealed with `SECRET_KEY`, so no server has to remember anything, and whichever
//! ingress the browser comes back to can finish.

use std::time::Duration;

use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::auth::SecretKey;
use crate::config;
use crate::providers::oidc::{Attempt, Provider};

/// Time to sign in at the provider.
const LIFE: Duration = Duration::from_mins(10);

/// What the cookie holds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sealed {
    pub attempt: Attempt,
    /// An address that was checked.
    pub return_to: Option<String>,
    expires_at: Timestamp,
}

impl Sealed {
    pub fn of(attempt: Attempt, return_to: Option<String>) -> Self {
        Self {
            attempt,
            return_to,
            expires_at: Timestamp::now() + LIFE,
        }
    }
}

/// The key of the seal.
pub fn key(secret: &SecretKey) -> Key {
    let halves = [
        secret.derive("oidc attempt: sign"),
        secret.derive("oidc attempt: encrypt"),
    ];
    Key::from(halves.as_flattened())
}

/// The cookie of an attempt. It is always `Lax`, whatever those of a sign-in are: the provider is another
/// site, and this cookie must come back from there, with nothing but a visit of the callback.
pub fn cookie(
    issuer: &str,
    provider: &Provider,
    config: &config::Cookies,
    sealed: &Sealed,
) -> Cookie<'static> {
    let value = serde_json::to_string(sealed).expect("texts and a time serialize");
    let mut cookie = bare(issuer, provider);
    cookie.set_value(value);
    cookie.set_secure(config.secure);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    if let Ok(max_age) = LIFE.try_into() {
        cookie.set_max_age(Some(max_age));
    }
    cookie
}

/// Removes the cookie of an attempt: browsers want the same path.
pub fn removed(issuer: &str, provider: &Provider) -> Cookie<'static> {
    bare(issuer, provider)
}

/// The attempt that this browser began with this issuer, unless it is too old.
pub fn open(jar: &PrivateCookieJar, issuer: &str) -> Option<Sealed> {
    // The seal covers the name, so the cookie of one issuer is none of another.
    let cookie = jar.get(&name(issuer))?;
    let sealed: Sealed = serde_json::from_str(cookie.value()).ok()?;
    (Timestamp::now() < sealed.expires_at).then_some(sealed)
}

fn bare(issuer: &str, provider: &Provider) -> Cookie<'static> {
    let redirect = provider.redirect_uri().parse::<reqwest::Url>();
    let path = redirect.map_or_else(|_| "/".to_owned(), |url| url.path().to_owned());
    Cookie::build((name(issuer), "")).path(path).build()
}

fn name(issuer: &str) -> String {
    format!("oidc_{issuer}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{COOKIE, SET_COOKIE};
    use axum::response::IntoResponse as _;
    use serde_json::json;

    use super::*;

    fn sealed(expires_at: Timestamp) -> Sealed {
        let attempt = json!({ "state": "s", "nonce": "n", "verifier": "hunter2" });
        let sealed = json!({ "attempt": attempt, "return_to": null, "expires_at": expires_at });
        serde_json::from_value(sealed).unwrap()
    }

    fn provider() -> Provider {
        crate::lifecycle::install_tls();
        let issuer = json!({ "name": "clinic", "issuer": "https://id.example.org", "client_id": "us",
            "client_secret": "secret" });
        let redirect = "https://api.example.org/below/api/v1/auth/oidc/clinic/callback";
        Provider::of(serde_json::from_value(issuer).unwrap(), redirect.to_owned()).unwrap()
    }

    /// What a browser brings back after it was given an attempt.
    fn brought_back(sealed: &Sealed, secret: &str) -> (String, HeaderMap) {
        let config = config::Auth::read(&config::Env::default()).unwrap().cookies;
        let key = key(&SecretKey::new(secret.into()));
        let cookie = cookie("clinic", &provider(), &config, sealed);
        let answer = PrivateCookieJar::new(key).add(cookie).into_response();
        let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        let pair = set.split(';').next().unwrap().parse().unwrap();
        (set, HeaderMap::from_iter([(COOKIE, pair)]))
    }

    #[test]
    fn an_attempt_comes_back_to_its_issuer_in_time() {
        let fresh = sealed(Timestamp::now() + LIFE);
        let (set, headers) = brought_back(&fresh, "one");
        for part in [
            "; HttpOnly",
            "; SameSite=Lax",
            "; Max-Age=600",
            "; Path=/below/api/v1/auth/oidc/clinic/callback",
        ] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set.contains("hunter2"), "it is encrypted");
        let open_with = |headers: &HeaderMap, secret: &str, issuer: &str| {
            let key = key(&SecretKey::new(secret.into()));
            open(&PrivateCookieJar::from_headers(headers, key), issuer)
        };
        assert!(open_with(&headers, "one", "clinic").is_some_and(|it| it.attempt.has_state("s")));
        assert!(open_with(&headers, "two", "clinic").is_none());
        assert!(open_with(&headers, "one", "other").is_none());
        let renamed = headers[COOKIE]
            .to_str()
            .unwrap()
            .replace("oidc_clinic", "oidc_other");
        let renamed = HeaderMap::from_iter([(COOKIE, renamed.parse().unwrap())]);
        assert!(open_with(&renamed, "one", "other").is_none());
        let (_, late) = brought_back(&sealed(Timestamp::now()), "one");
        assert!(open_with(&late, "one", "clinic").is_none());
    }
}
