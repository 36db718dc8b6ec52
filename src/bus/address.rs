//! Where a server is, and who connects there: `nats://user:password@host:4222`, several between commas.

use std::io;

use async_nats::{ConnectOptions, ServerAddr};

/// Addresses without credentials, which the client would leave unused and show in its logs.
pub(super) struct Address {
    pub servers: Vec<ServerAddr>,
    login: Option<Login>,
}

enum Login {
    Password { user: String, password: String },
    Token(String),
}

impl Address {
    /// The credentials of the first address are those of all: they are one cluster.
    pub fn parse(text: &str) -> io::Result<Self> {
        let mut servers = Vec::new();
        let mut login = None;
        for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let address: ServerAddr = part.parse()?;
            login = login.or_else(|| Login::of(&address));
            let mut url = address.into_inner();
            // Refused only where there is no host, and then it names no server either.
            let plain = url.set_username("").and_then(|()| url.set_password(None));
            plain.map_err(|()| io::Error::from(io::ErrorKind::InvalidInput))?;
            servers.push(ServerAddr::from_url(url)?);
        }
        if servers.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { servers, login })
    }

    pub fn sign_in(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.login {
            Some(Login::Password { user, password }) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Some(Login::Token(token)) => options.token(token.clone()),
            None => options,
        }
    }
}

impl Login {
    fn of(address: &ServerAddr) -> Option<Self> {
        let user = decoded(address.username()?);
        Some(match address.password() {
            Some(password) => Self::Password {
                user,
                password: decoded(password),
            },
            None => Self::Token(user),
        })
    }
}

/// Without percent-encoding. The decoder is one of forms, where a plus is a space.
fn decoded(text: &str) -> String {
    let form = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    pairs
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> Option<(String, Option<String>)> {
        match Address::parse(text).unwrap().login? {
            Login::Password { user, password } => Some((user, Some(password))),
            Login::Token(token) => Some((token, None)),
        }
    }

    #[test]
    fn credentials_are_taken_out_of_the_address() {
        let address = Address::parse("nats://user:hunter2@one:4222, nats://two").unwrap();
        let servers: Vec<_> = address.servers.iter().map(ServerAddr::as_url_str).collect();
        assert_eq!(servers.len(), 2);
        assert!(
            servers.iter().all(|it| !it.contains("hunter2")),
            "{servers:?}"
        );
    }

    #[test]
    fn credentials_may_be_percent_encoded() {
        let password = |text: &str| login(text).and_then(|(_, password)| password);
        for (text, expected) in [
            ("nats://u:p@host", "p"),
            ("nats://u:a%2Fb%40@host", "a/b@"),
            ("nats://u:a+b=c&d@host", "a+b=c&d"),
        ] {
            assert_eq!(password(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(login("nats://token@host"), Some(("token".to_owned(), None)));
        assert_eq!(login("nats://host:4222"), None);
        assert_eq!(login("host"), None);
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for text in ["", " , ", "nats://:port", "http://host", "nats://"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
