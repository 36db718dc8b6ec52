//! Login roles of an embedded Postgres, with passwords that need no file.
//!
//! A password is derived from the administrator's, so that every process which shares the server
//! agrees on it. Not for a server of one's own: there each role has a password that was chosen.

use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::db::provision::{self, Process, ProvisionError};

/// The login roles and their passwords.
pub fn logins(admin_url: &SecretString) -> Result<Vec<(Process, SecretString)>, ProvisionError> {
    Process::ALL
        .into_iter()
        .map(|process| Ok((process, login_password(admin_url, process)?)))
        .collect()
}

/// The address at which a process logs in to the administrator's database.
pub fn login_url(
    admin_url: &SecretString,
    process: Process,
) -> Result<SecretString, ProvisionError> {
    let password = login_password(admin_url, process)?;
    provision::login_url(admin_url, process, &password)
}

fn login_password(
    admin_url: &SecretString,
    process: Process,
) -> Result<SecretString, ProvisionError> {
    let url: reqwest::Url = admin_url
        .expose_secret()
        .parse()
        .map_err(|_| ProvisionError::Url)?;
    let admin_password = url.password().unwrap_or_default();
    let digest = Sha256::digest(format!("{admin_password}/{}", process.login_role()));
    let mut password = String::new();
    for byte in digest {
        write!(password, "{byte:02x}").expect("a string takes all");
    }
    Ok(SecretString::from(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(admin_url: &str) -> Vec<String> {
        let admin_url = SecretString::from(admin_url);
        Process::ALL
            .into_iter()
            .map(|process| login_url(&admin_url, process).unwrap())
            .map(|url| url.expose_secret().to_owned())
            .collect()
    }

    #[test]
    fn each_process_has_a_password_of_its_own_that_is_always_the_same() {
        let first = urls("postgres://postgres:secret@127.0.0.1:5432/postgres");
        assert_eq!(
            first,
            urls("postgres://postgres:secret@127.0.0.1:5432/postgres")
        );
        for (index, url) in first.iter().enumerate() {
            assert!(!first[..index].contains(url));
            assert!(url.contains("_login:") && !url.contains("secret"), "{url}");
        }
        let other = urls("postgres://postgres:another@127.0.0.1:5432/postgres");
        assert!(first.iter().all(|url| !other.contains(url)));
    }

    #[test]
    fn what_is_no_address_is_an_error() {
        let admin_url = SecretString::from("127.0.0.1");
        assert!(matches!(logins(&admin_url), Err(ProvisionError::Url)));
    }
}
