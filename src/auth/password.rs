//! Passwords: hashed and verified a few at a time, on threads of their own.

use std::thread::available_parallelism;

use secrecy::{ExposeSecret as _, SecretString};

use super::hash::{self, HashError, NOBODY, Verdict};
use super::pool::{Panicked, Place, Pool};

/// Hashes that may wait for a thread: about a second of work on an idle machine.
const WAITING_PER_THREAD: usize = 32;
/// Longest password in bytes: more only costs time.
const MAX_BYTES: usize = 1024;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many are waiting; another time it will work.
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("hashing panicked")]
    Panicked,
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Why a password cannot be set. None of it holds at sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    #[error("must have at least {min_chars} characters")]
    TooShort { min_chars: usize },
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
}

/// What is asked of a password that somebody sets.
pub fn check_fit(password: &SecretString, min_chars: usize) -> Result<(), UnfitPassword> {
    let password = password.expose_secret();
    if password.chars().count() < min_chars {
        return Err(UnfitPassword::TooShort { min_chars });
    }
    if password.len() > MAX_BYTES {
        return Err(UnfitPassword::TooLong);
    }
    Ok(())
}

/// Hashes and verifies passwords; clones share the threads.
#[derive(Clone)]
pub struct Passwords {
    pool: Pool,
}

/// The certainty that one password will be hashed or verified, before anything is done for it.
pub struct Turn(Place);

impl Passwords {
    /// Starts the threads: half as many as there are cores, and at least one.
    ///
    /// # Panics
    /// If the system gives no thread.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = (cores / 2).max(1);
        Self {
            pool: Pool::start(threads, threads * WAITING_PER_THREAD),
        }
    }

    /// Takes a turn; where too many wait already, whatever else a sign-in costs need not be paid.
    pub fn turn(&self) -> Result<Turn, PasswordError> {
        self.pool.place().map(Turn).ok_or(PasswordError::Busy)
    }

    /// As [`Turn::hash`], on a turn of its own.
    pub async fn hash(&self, password: SecretString) -> Result<SecretString, PasswordError> {
        self.turn()?.hash(password).await
    }
}

impl Turn {
    pub async fn hash(self, password: SecretString) -> Result<SecretString, PasswordError> {
        let work = move |memory: &mut [_]| hash::make(password.expose_secret().as_bytes(), memory);
        let made = self.0.run(work).await??;
        Ok(SecretString::from(made))
    }

    /// Whether this is the password of the hash. Without a hash (no such user, or one who signs in
    /// elsewhere) it takes as long as with one that [`Turn::hash`] has made, and is wrong.
    pub async fn verify(
        self,
        password: SecretString,
        hash: Option<SecretString>,
    ) -> Result<Verdict, PasswordError> {
        let work = move |memory: &mut [_]| {
            let password = password.expose_secret().as_bytes();
            match hash {
                Some(hash) => hash::verify(password, hash.expose_secret(), memory),
                None => hash::verify(password, NOBODY, memory).map(|_| Verdict::Wrong),
            }
        };
        Ok(self.0.run(work).await??)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Panicked> for PasswordError {
    fn from(_: Panicked) -> Self {
        Self::Panicked
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    impl Passwords {
        async fn verify(
            &self,
            password: SecretString,
            hash: Option<SecretString>,
        ) -> Result<Verdict, PasswordError> {
            self.turn()?.verify(password, hash).await
        }
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        let short = UnfitPassword::TooShort { min_chars: 8 };
        assert_eq!(check_fit(&secret("éééé"), 8), Err(short));
        assert_eq!(check_fit(&secret("éééééééé"), 8), Ok(()));
        let long = secret(&"é".repeat(513));
        assert_eq!(check_fit(&long, 8), Err(UnfitPassword::TooLong));
    }

    #[tokio::test]
    async fn what_was_hashed_is_verified() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        for (password, verdict) in [
            ("correct horse", Verdict::Right),
            ("correct hors", Verdict::Wrong),
        ] {
            let verified = passwords.verify(secret(password), Some(hash.clone())).await;
            assert_eq!(verified, Ok(verdict));
        }
        let broken = passwords.verify(secret("x"), Some(secret("plain text")));
        assert_eq!(broken.await, Err(PasswordError::Hash(HashError::Malformed)));
    }

    #[tokio::test]
    async fn an_outdated_hash_is_replaced_by_one_that_is_not() {
        let passwords = Passwords::new();
        let old = secret(&bcrypt::hash("correct horse", 4).unwrap());
        let verified = passwords.verify(secret("correct horse"), Some(old)).await;
        assert_eq!(verified, Ok(Verdict::RightButOutdated));
        let new = passwords.hash(secret("correct horse")).await.unwrap();
        let verified = passwords.verify(secret("correct horse"), Some(new)).await;
        assert_eq!(verified, Ok(Verdict::Right));
    }

    /// The bench compares medians; this only catches an answer without any hashing.
    #[tokio::test]
    async fn nobody_is_verified_as_long_as_somebody() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..5 {
            for (shortest, hash) in shortest.iter_mut().zip([None, Some(hash.clone())]) {
                let started = Instant::now();
                let verified = passwords.verify(secret("wrong"), hash).await;
                assert_eq!(verified, Ok(Verdict::Wrong));
                *shortest = started.elapsed().min(*shortest);
            }
        }
        let [nobody, somebody] = shortest;
        assert!(nobody > somebody / 4, "{nobody:?} is far from {somebody:?}");
    }

    #[tokio::test]
    async fn a_crowd_is_refused_beyond_the_queue() {
        let passwords = Passwords {
            pool: Pool::start(1, 2),
        };
        let crowd = (0..20).map(|_| passwords.verify(secret("x"), None));
        let answers = futures::future::join_all(crowd).await;
        let busy = answers
            .iter()
            .filter(|answer| **answer == Err(PasswordError::Busy));
        assert!(busy.count() >= 10, "{answers:?}");
        assert!(answers.contains(&Ok(Verdict::Wrong)), "{answers:?}");
    }
}
