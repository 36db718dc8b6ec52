//! The text of an API key: `ak_<env>_<id>_<secret><checksum>`.
//!
//! The id finds the key; the secret is 32 random bytes, kept only as a keyed hash of the whole text;
//! the checksum is a CRC-32 of what stands before it, so that a typo, or a scanner's false find, is
//! told without asking anybody. All of it is lower-case hexadecimal.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::SecretKey;
use crate::config::Environment;
use crate::ids::ApiKeyId;

/// What every key begins with, and nothing else that is sent as a bearer token.
pub const PREFIX: &str = "ak_";
/// The use of `SECRET_KEY`.
const PURPOSE: &str = "api-key";
const ID_CHARS: usize = 32;
const SECRET_CHARS: usize = 64;
const CHECKSUM_CHARS: usize = 8;

/// A key as somebody presented it: well formed, and of this kind of installation.
pub struct PresentedKey {
    pub id: ApiKeyId,
    text: SecretString,
}

impl PresentedKey {
    /// Makes a key.
    pub fn generate(environment: Environment) -> Self {
        let id = ApiKeyId::generate();
        let secret = Hex(&rand::random::<[u8; 32]>()).to_string();
        let body = format!("{}_{secret}", public_part(environment, id));
        let text = format!("{body}{:08x}", crc32fast::hash(body.as_bytes()));
        Self {
            id,
            text: text.into(),
        }
    }

    /// The key that this text is; nothing where it cannot be one.
    pub fn parse(text: &str, environment: Environment) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let rest = rest.strip_prefix(word(environment))?.strip_prefix('_')?;
        let (id, secret) = rest.split_once('_')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if id.len() != ID_CHARS
            || secret.len() != SECRET_CHARS + CHECKSUM_CHARS
            || !id.bytes().chain(secret.bytes()).all(is_hex)
        {
            return None;
        }
        let (body, checksum) = text.split_at(text.len() - CHECKSUM_CHARS);
        if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(body.as_bytes()) {
            return None;
        }
        Some(Self {
            id: Uuid::try_parse(id).ok()?.into(),
            text: text.to_owned().into(),
        })
    }

    /// What is kept of it.
    pub fn hash(&self, key: &SecretKey) -> [u8; 32] {
        key.hash(PURPOSE, self.text.expose_secret().as_bytes())
    }

    /// Whether `kept` is the hash of this key; takes as long for every answer.
    pub fn matches(&self, key: &SecretKey, kept: &[u8]) -> bool {
        key.verify(PURPOSE, self.text.expose_secret().as_bytes(), kept)
    }

    /// The whole key, to be shown once.
    pub fn into_text(self) -> SecretString {
        self.text
    }
}

/// What may be shown of a key: enough to find it again.
pub fn public_part(environment: Environment, id: ApiKeyId) -> String {
    format!("{PREFIX}{}_{}", word(environment), id.0.simple())
}

const fn word(environment: Environment) -> &'static str {
    match environment {
        Environment::Development => "test",
        Environment::Production => "live",
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (ApiKeyId, String) {
        let key = PresentedKey::generate(Environment::Development);
        (key.id, key.into_text().expose_secret().to_owned())
    }

    fn is_key(text: &str) -> bool {
        PresentedKey::parse(text, Environment::Development).is_some()
    }

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let (id, text) = made();
        let key = PresentedKey::parse(&text, Environment::Development).unwrap();
        assert_eq!(key.id, id);
        assert!(text.starts_with(&public_part(Environment::Development, id)));
        let secret_key = SecretKey::new("one".into());
        let kept = key.hash(&secret_key);
        assert!(key.matches(&secret_key, &kept));
        assert!(!key.matches(&SecretKey::new("two".into()), &kept));
        assert!(!key.matches(&secret_key, &kept[..31]));
        assert!(!key.matches(&secret_key, b""));
        assert_ne!(made().1, text);
    }

    #[test]
    fn every_changed_character_is_told() {
        let (_, text) = made();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert!(!is_key(std::str::from_utf8(&bytes).unwrap()), "at {at}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_, text) = made();
        assert!(is_key(&text));
        let live = text.replacen("ak_test_", "ak_live_", 1);
        for wrong in [
            "",
            "ak_",
            "ak_test_",
            "ak_test__",
            &live,
            &text.to_uppercase(),
            &text[..text.len() - 1],
            &format!("{text}0"),
            &format!(" {text}"),
            &text.replace('a', "é"),
        ] {
            assert!(!is_key(wrong), "{wrong}");
        }
        assert!(PresentedKey::parse(&text, Environment::Production).is_none());
        let live = PresentedKey::generate(Environment::Production).into_text();
        assert!(live.expose_secret().starts_with("ak_live_"));
    }
}
