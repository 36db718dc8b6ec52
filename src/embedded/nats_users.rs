//! The users of an embedded nats-server, as `nats/users.conf` names them.

use std::ffi::OsString;
use std::path::Path;

use nkeys::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::error::Result;
use super::secrets;

/// The file of a deployed server, word for word.
pub(super) const USERS_CONF: &str = include_str!("../../nats/users.conf");

/// Passwords of the users, and the key that lets agents in.
#[derive(Debug, Clone)]
pub struct NatsUsers {
    password: SecretString,
    ingest_password: SecretString,
    system_password: SecretString,
    issuer_seed: SecretString,
    issuer: String,
}

impl NatsUsers {
    /// Users for a server that lives as long as this process.
    pub fn generate() -> Self {
        let secret = || SecretString::from(Uuid::new_v4().simple().to_string());
        let issuer = KeyPair::new_account();
        Self {
            password: secret(),
            ingest_password: secret(),
            system_password: secret(),
            issuer_seed: seed_of(&issuer).into(),
            issuer: issuer.public_key(),
        }
    }

    /// The users of a data directory, made once.
    pub fn load_or_make(dir: &Path) -> Result<Self> {
        let secret = |name: &str| secrets::load_or_make(&dir.join(name)).map(SecretString::from);
        let file = dir.join("nats-issuer");
        let seed = secrets::load_or_make_with(&file, || seed_of(&KeyPair::new_account()))?;
        // What is no seed was cut short or put there by somebody; another one does as well.
        let issuer = if let Ok(issuer) = KeyPair::from_seed(&seed) {
            issuer
        } else {
            let issuer = KeyPair::new_account();
            secrets::write(&file, &seed_of(&issuer))?;
            issuer
        };
        Ok(Self {
            password: secret("nats-password")?,
            ingest_password: secret("nats-password-ingest")?,
            system_password: secret("nats-password-system")?,
            issuer_seed: seed_of(&issuer).into(),
            issuer: issuer.public_key(),
        })
    }

    /// What `nats/users.conf` reads from the environment of the server.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let quoted = |text: &str| OsString::from(format!("\"{text}\""));
        vec![
            ("NATS_PASSWORD", quoted(self.password.expose_secret())),
            (
                "NATS_PASSWORD_INGEST",
                quoted(self.ingest_password.expose_secret()),
            ),
            (
                "NATS_PASSWORD_SYSTEM",
                quoted(self.system_password.expose_secret()),
            ),
            ("NATS_AGENT_ISSUER", quoted(&self.issuer)),
        ]
    }

    /// The settings of an ingress on a server that listens on this port.
    pub(super) fn variables(&self, port: u16) -> [(&'static str, String); 4] {
        [
            ("NATS_URL", self.url(port)),
            (
                "NATS_INGEST_URL",
                url("ingest", &self.ingest_password, port),
            ),
            (
                "NATS_SYSTEM_URL",
                url("system", &self.system_password, port),
            ),
            (
                "NATS_AGENT_ISSUER_SEED",
                self.issuer_seed.expose_secret().to_owned(),
            ),
        ]
    }

    pub(super) fn url(&self, port: u16) -> String {
        url("aftercall", &self.password, port)
    }
}

fn url(user: &str, password: &SecretString, port: u16) -> String {
    format!(
        "nats://{user}:{}@127.0.0.1:{port}",
        password.expose_secret()
    )
}

fn seed_of(pair: &KeyPair) -> String {
    pair.seed().expect("a pair that was made here has its seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_of_a_directory_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = NatsUsers::load_or_make(dir.path()).unwrap();
        let again = NatsUsers::load_or_make(dir.path()).unwrap();
        assert_eq!(first.variables(4222), again.variables(4222));
        assert_eq!(first.issuer, again.issuer);
        assert!(first.issuer.starts_with('A'), "{}", first.issuer);
    }

    #[test]
    fn a_seed_that_was_cut_short_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        secrets::write(&dir.path().join("nats-issuer"), "SAA").unwrap();
        let users = NatsUsers::load_or_make(dir.path()).unwrap();
        let again = NatsUsers::load_or_make(dir.path()).unwrap();
        assert_eq!(users.issuer, again.issuer);
    }

    #[test]
    fn every_name_in_the_file_has_a_value() {
        let names = NatsUsers::generate().environment();
        for word in USERS_CONF.split_whitespace() {
            if let Some(name) = word.strip_prefix('$') {
                assert!(names.iter().any(|(known, _)| *known == name), "{name}");
            }
        }
    }
}
