//! Where a browser may be sent once it is signed in.

use reqwest::Url;

use crate::config;
use crate::http::problem::ApiError;

/// Longest address in bytes: it travels in a cookie.
const MAX_BYTES: usize = 1024;

/// The address as a whole, if it is a path of ours or lies below an origin in `CORS_ORIGINS`.
pub fn check(target: &str, config: &config::Http) -> Result<String, ApiError> {
    resolve(target, config).ok_or_else(|| {
        ApiError::bad_request(
            "return_to_refused",
            "return_to must be a path of this server or an address below an origin in CORS_ORIGINS",
        )
    })
}

/// What is sent is what was parsed: browsers read odd addresses in odd ways.
fn resolve(target: &str, config: &config::Http) -> Option<String> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if target.len() > MAX_BYTES || target.contains(odd) {
        return None;
    }
    let url = if target.starts_with('/') {
        let url = Url::parse(&config.own_origin).ok()?.join(target).ok()?;
        Some(url).filter(|url| url.origin().ascii_serialization() == config.own_origin)
    } else {
        let url = Url::parse(target).ok()?;
        let origin = url.origin().ascii_serialization();
        let is_listed = config
            .cors_origins
            .iter()
            .any(|listed| *listed == origin.as_str());
        Some(url).filter(|_| is_listed)
    }?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    is_plain.then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn only_places_of_ours_are_returned_to() {
        let env = Env::default().with([
            ("PUBLIC_URL", "https://api.example.org"),
            (
                "CORS_ORIGINS",
                r#"["https://app.example.org", "http://localhost:3000"]"#,
            ),
        ]);
        let config = config::Http::read(&env).unwrap();
        for (given, whole) in [
            ("/", "https://api.example.org/"),
            ("/docs?x=1#top", "https://api.example.org/docs?x=1#top"),
            ("/a/../b", "https://api.example.org/b"),
            ("https://app.example.org", "https://app.example.org/"),
            (
                "https://app.example.org/sessions",
                "https://app.example.org/sessions",
            ),
            ("http://localhost:3000/", "http://localhost:3000/"),
        ] {
            assert_eq!(resolve(given, &config).as_deref(), Some(whole), "{given}");
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for refused in [
            "",
            "docs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "https://app.example.org.evil.example/",
            "https://app.example.org@evil.example/",
            "https://user:secret@app.example.org/",
            "https://app.example.org:8443/",
            "http://app.example.org/",
            "https://app.example.org\\@evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "null",
            long.as_str(),
        ] {
            assert_eq!(resolve(refused, &config), None, "{refused}");
        }
    }
}
