//! Refresh tokens: opaque to whoever holds them, kept only as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::SecretKey;

/// What the successors of tokens are keyed for.
const PURPOSE: &str = "refresh token";

/// A refresh token: 32 bytes that nobody can guess.
#[derive(Clone)]
pub struct RefreshToken([u8; 32]);

impl RefreshToken {
    /// The first of a family.
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// Reads a token; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What it is given out as.
    pub fn expose(&self) -> SecretString {
        SecretString::from(URL_SAFE_NO_PAD.encode(self.0))
    }

    /// What it is known by in the database. The token has 256 random bits, so a plain hash suffices.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The token that follows. It is derived, so that a repeated request gets the same one although no
    /// token is kept; without the secret key nobody can tell it from its parent.
    #[must_use]
    pub fn successor(&self, key: &SecretKey) -> Self {
        Self(key.hash(PURPOSE, &self.0))
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(_)")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_read_back_and_its_successor_is_always_the_same() {
        let key = SecretKey::new("a secret of a test".into());
        let token = RefreshToken::generate();
        let read = RefreshToken::parse(token.expose().expose_secret()).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert_eq!(read.successor(&key).hash(), token.successor(&key).hash());
        assert_ne!(token.successor(&key).hash(), token.hash());
        let other = SecretKey::new("another secret".into());
        assert_ne!(token.successor(&key).hash(), token.successor(&other).hash());
        assert!(!format!("{token:?}").contains(token.expose().expose_secret()));
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let token = RefreshToken::generate();
        let longer = format!("{}AA", token.expose().expose_secret());
        for text in ["", "x", "é", longer.as_str(), "a.b.c", &"A".repeat(10_000)] {
            assert!(RefreshToken::parse(text).is_none(), "{text}");
        }
    }
}
