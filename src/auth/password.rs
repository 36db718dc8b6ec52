//! Passwords, kept as argon2id hashes.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Hashes that are computed at once. Each takes 19 MiB and a core for tens of milliseconds; more at
/// once would take the machine from everybody else.
const CONCURRENT: usize = 2;
/// Salt of the hash that stands in for users who do not exist.
const DUMMY_SALT: &[u8] = b"nobody has this.";

/// Why no hash could be made.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    #[error("hashing was ended")]
    Ended(#[from] JoinError),
}

/// Hashes and verifies passwords, a few at a time and off the async threads.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    dummy: SecretString,
}

impl Passwords {
    pub fn new() -> Self {
        let dummy = Argon2::default()
            .hash_password_with_salt(b"nobody", DUMMY_SALT)
            .expect("the default parameters and a salt of 16 bytes are valid");
        Self {
            permits: Arc::new(Semaphore::new(CONCURRENT)),
            dummy: SecretString::from(dummy.to_string()),
        }
    }

    pub async fn hash(&self, password: SecretString) -> Result<SecretString, PasswordError> {
        let hashed = self.run(move || {
            Argon2::default()
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| SecretString::from(hash.to_string()))
        });
        hashed.await?.map_err(PasswordError::Hash)
    }

    /// Whether this is the password of the hash. Without a hash (no such user, or one without a
    /// password) it takes the same time and is false.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<SecretString>,
    ) -> Result<bool, PasswordError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let matches = self.run(move || {
            Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), hash.expose_secret())
        });
        match matches.await? {
            Ok(()) => Ok(exists),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(PasswordError::Hash(error)),
        }
    }

    /// The permit goes with the work: a caller who leaves does not end it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_of_the_hash_matches() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(
            hash.expose_secret()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        assert!(
            passwords
                .verify(secret("correct horse"), Some(hash.clone()))
                .await
                .unwrap()
        );
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert!(
                !passwords
                    .verify(secret(wrong), Some(hash.clone()))
                    .await
                    .unwrap()
            );
        }
        let again = passwords.hash(secret("correct horse")).await.unwrap();
        assert_ne!(
            hash.expose_secret(),
            again.expose_secret(),
            "every hash has its salt"
        );
    }

    #[tokio::test]
    async fn nobody_has_the_dummy_password() {
        let passwords = Passwords::new();
        assert!(!passwords.verify(secret("nobody"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_hash_is_an_error_and_not_a_mismatch() {
        let broken = Passwords::new()
            .verify(secret("x"), Some(secret("plain text")))
            .await;
        assert!(matches!(broken, Err(PasswordError::Hash(_))));
    }
}
