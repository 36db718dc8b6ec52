//! Outside identity providers that people may sign in with.

use std::collections::BTreeSet;

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;

use super::{ConfigError, Env};

const NAME: &str = "OIDC_ISSUERS";
const MAX_NAME_CHARS: usize = 32;

/// The identity providers, in the order given.
#[derive(Clone, Debug)]
pub struct Oidc {
    pub issuers: Vec<Issuer>,
}

/// One identity provider, and us as its client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What it is called in paths and in `users.oauth_provider`.
    pub name: String,
    /// Its issuer identifier, exactly as it writes it itself.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: SecretString,
    /// What is asked for besides `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
}

impl Oidc {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let wrong = |expected: &str| ConfigError::Wrong {
            name: NAME,
            expected: expected.to_owned(),
        };
        let issuers: Vec<Issuer> = serde_json::from_str(&env.text(NAME)?).map_err(|_| {
            wrong(r#"a JSON list of {"name", "issuer", "client_id", "client_secret", "scopes"?}"#)
        })?;
        let mut names = BTreeSet::new();
        for issuer in &issuers {
            issuer.check().map_err(wrong)?;
            if !names.insert(&issuer.name) {
                return Err(wrong("a list with each name once"));
            }
        }
        Ok(Self { issuers })
    }
}

impl Issuer {
    fn check(&self) -> Result<(), &'static str> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=MAX_NAME_CHARS).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return Err("a list with names of 1 to 32 of a-z, 0-9 and -");
        }
        let url: Option<Url> = self.issuer.parse().ok();
        let usable = |url: &Url| is_safe(url) && url.query().is_none() && url.fragment().is_none();
        if !url.as_ref().is_some_and(usable) {
            return Err("a list with issuers on https, or on http of this machine");
        }
        if self.client_id.is_empty() {
            return Err("a list with a client_id for each issuer");
        }
        // https://www.rfc-editor.org/rfc/rfc6749#section-3.3
        let is_scope = |scope: &String| {
            let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            !scope.is_empty() && scope.bytes().all(legal)
        };
        if !self.scopes.iter().all(is_scope) {
            return Err("a list with scopes that hold no spaces");
        }
        Ok(())
    }
}

/// Whether what is sent there stays between us and the server: https, or this very machine.
pub fn is_safe(url: &Url) -> bool {
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse();
            host == "localhost" || address.is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        _ => false,
    }
}

fn default_scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Oidc, ConfigError> {
        Oidc::read(&Env::default().with([(NAME, list)]))
    }

    fn issuer(name: &str, issuer: &str) -> String {
        format!(
            r#"{{"name": "{name}", "issuer": "{issuer}", "client_id": "us", "client_secret": "hunter2"}}"#
        )
    }

    #[test]
    fn issuers_are_read_with_their_scopes() {
        let clinic = r#"{"name": "clinic", "issuer": "http://127.0.0.1:9/realm", "client_id": "us",
            "client_secret": "hunter2", "scopes": ["email"]}"#;
        let other = issuer("other-1", "https://id.example.org");
        let oidc = read(&format!("[{clinic}, {other}]")).unwrap();
        assert_eq!(oidc.issuers[0].scopes, ["email"]);
        assert_eq!(oidc.issuers[1].scopes, ["email", "profile"]);
        assert!(!format!("{oidc:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_refused_without_showing_it() {
        let safe = "https://id.example.org";
        let twice = format!("{0}, {0}", issuer("a", safe));
        let wrong = [
            "hunter2".to_owned(),
            "{}".to_owned(),
            r#"[{"name": "a"}]"#.to_owned(),
            format!("[{twice}]"),
            format!("[{}]", issuer("", safe)),
            format!("[{}]", issuer("Clinic", safe)),
            format!("[{}]", issuer("a/b", safe)),
            format!("[{}]", issuer(&"a".repeat(33), safe)),
            format!("[{}]", issuer("a", "http://id.example.org")),
            format!("[{}]", issuer("a", "http://localhost.example.org")),
            format!("[{}]", issuer("a", "https://id.example.org?x=1")),
            format!("[{}]", issuer("a", "id.example.org")),
        ];
        for list in wrong {
            let error = read(&list).expect_err(&list).to_string();
            assert!(error.starts_with("OIDC_ISSUERS must be "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
