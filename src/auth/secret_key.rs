//! `SECRET_KEY`: what the hashes and seals of this installation are keyed with.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The installation's secret. Each use has a key of its own, derived from it, so that what one use
/// gives away tells nothing of another.
#[derive(Clone)]
pub struct SecretKey(SecretString);

impl SecretKey {
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The key of one use, for example `api-key`.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        mac(self.0.expose_secret().as_bytes(), &[purpose.as_bytes()])
    }

    /// HMAC-SHA256 of `data` under the key of one use.
    pub fn hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        mac(&self.derive(purpose), &[data])
    }

    /// Whether `kept` is the hash of `data`; how long it takes tells nothing of either.
    pub fn verify(&self, purpose: &str, data: &[u8], kept: &[u8]) -> bool {
        let mut mac = keyed(&self.derive(purpose));
        mac.update(data);
        mac.verify_slice(kept).is_ok()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_key_of_its_own() {
        let key = SecretKey::new(SecretString::from("one"));
        let other = SecretKey::new(SecretString::from("two"));
        assert_eq!(key.hash("a", b"x"), key.hash("a", b"x"));
        assert_ne!(key.hash("a", b"x"), key.hash("b", b"x"));
        assert_ne!(key.hash("a", b"x"), other.hash("a", b"x"));
    }
}
