//! Whether a request that a browser authenticated by itself may do what it asks.
//!
//! A browser sends cookies with requests that other sites make it send. So what changes something, and
//! what opens a WebSocket, must come from our own origin or from one in `CORS_ORIGINS`. Browsers say so
//! in `Sec-Fetch-Site` and `Origin`, which pages cannot set; where neither is there, it is refused.
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html>)

use axum::http::header::{ORIGIN, UPGRADE};
use axum::http::{HeaderMap, Method};

use super::problem::ApiError;
use crate::config;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// For a request with a cookie.
pub fn check(method: &Method, headers: &HeaderMap, config: &config::Http) -> Result<(), ApiError> {
    if is_safe(method, headers) || is_own(headers, config) || is_listed(headers, config) {
        return Ok(());
    }
    Err(ApiError::CrossSite)
}

/// For a request that needs no credential: one that acts as `ANONYMOUS_USER`, or that signs in.
///
/// Programs send neither header. No other site may act through a visitor's browser, nor sign the visitor
/// in as somebody else, who would get what the visitor then uploads; a form needs no preflight for that.
pub fn check_anonymous(headers: &HeaderMap, config: &config::Http) -> Result<(), ApiError> {
    let from_browser = headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
    let typed = headers
        .get(SEC_FETCH_SITE)
        .is_some_and(|site| site == "none");
    if !from_browser || typed || is_own(headers, config) || is_listed(headers, config) {
        return Ok(());
    }
    Err(ApiError::CrossSite)
}

fn is_safe(method: &Method, headers: &HeaderMap) -> bool {
    let upgrades = headers.get_all(UPGRADE).iter().any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.windows(9).any(|nine| nine == b"websocket")
    });
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    reads && !upgrades
}

fn is_own(headers: &HeaderMap, config: &config::Http) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => headers
            .get(ORIGIN)
            .is_some_and(|origin| origin == config.own_origin.as_str()),
    }
}

fn is_listed(headers: &HeaderMap, config: &config::Http) -> bool {
    let origin = headers.get(ORIGIN);
    origin.is_some_and(|origin| config.cors_origins.contains(origin))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::config::Env;

    fn settings() -> config::Http {
        let env = Env::default().with([
            ("PUBLIC_URL", "https://api.example.org/below"),
            ("CORS_ORIGINS", r#"["https://app.example.org"]"#),
        ]);
        config::Http::read(&env).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_changes_something_comes_from_a_known_origin() {
        let config = settings();
        let allowed: [&[(&str, &str)]; 5] = [
            &[("sec-fetch-site", "same-origin")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://api.example.org"),
            ],
            &[("origin", "https://api.example.org")],
            &[("origin", "https://app.example.org")],
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://app.example.org"),
            ],
        ];
        let refused: [&[(&str, &str)]; 11] = [
            &[],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://api.example.org"),
            ],
            &[("origin", "null")],
            &[("origin", "https://example.org")],
            &[("origin", "http://api.example.org")],
            &[("origin", "https://api.example.org:8443")],
            &[("origin", "https://app.example.org.evil.example")],
            &[("referer", "https://app.example.org/page")],
        ];
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            for given in allowed {
                assert!(
                    check(&method, &headers(given), &config).is_ok(),
                    "{given:?}"
                );
            }
            for given in refused {
                assert!(
                    check(&method, &headers(given), &config).is_err(),
                    "{given:?}"
                );
            }
        }
    }

    #[test]
    fn reading_is_free_and_a_web_socket_is_not() {
        let config = settings();
        assert!(check(&Method::GET, &headers(&[]), &config).is_ok());
        for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
            let given = headers(&[("upgrade", upgrade)]);
            assert!(check(&Method::GET, &given, &config).is_err(), "{upgrade}");
            let given = headers(&[("upgrade", upgrade), ("origin", "https://app.example.org")]);
            assert!(check(&Method::GET, &given, &config).is_ok(), "{upgrade}");
        }
    }

    #[test]
    fn only_programs_and_known_pages_are_anonymous() {
        let config = settings();
        let allowed: [&[(&str, &str)]; 4] = [
            &[],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://app.example.org"),
            ],
        ];
        for given in allowed {
            assert!(
                check_anonymous(&headers(given), &config).is_ok(),
                "{given:?}"
            );
        }
        let refused: [&[(&str, &str)]; 3] = [
            &[("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
        ];
        for given in refused {
            assert!(
                check_anonymous(&headers(given), &config).is_err(),
                "{given:?}"
            );
        }
    }
}
