//! Headers that keep browsers from doing more with an answer than read it.
//!
//! Invariant: every answer has them, be it an error, a page or a stream.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::Response;

/// Answers of an API are nothing to show; pages of ours bring a policy of their own.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Binds what other sites embed without asking (`<img>`, `<audio>`), and not what they read by CORS.
/// Front ends on another host of the same site can play recordings.
const RESOURCE_POLICY: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("same-site"),
);
/// For a year, as <https://hstspreload.org> asks. Other hosts of the domain are not ours to decide on.
const TRANSPORT: &str = "max-age=31536000";

/// Adds the headers. With `is_https`, browsers are held to it: only then do they heed that one.
pub fn add(mut response: Response, is_https: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let (name, value) = RESOURCE_POLICY;
    headers.insert(name, value);
    if is_https {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(TRANSPORT),
        );
    }
    unless_set(headers, CONTENT_SECURITY_POLICY, POLICY);
    unless_set(headers, CACHE_CONTROL, "no-store");
    response
}

fn unless_set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn an_answer_is_not_sniffed_framed_or_kept() {
        let answer = add(().into_response(), false);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-site"),
            ("content-security-policy", POLICY),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value, "{name}");
        }
        assert!(!answer.headers().contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn https_is_kept_to() {
        let answer = add(().into_response(), true);
        assert_eq!(answer.headers()[STRICT_TRANSPORT_SECURITY], TRANSPORT);
    }

    #[test]
    fn a_page_keeps_its_own_policy_and_age() {
        let page = [
            (CONTENT_SECURITY_POLICY, "default-src 'self'"),
            (CACHE_CONTROL, "max-age=60"),
        ];
        let answer = add(page.clone().into_response(), false);
        for (name, value) in page {
            assert_eq!(answer.headers()[name], value);
        }
    }
}
