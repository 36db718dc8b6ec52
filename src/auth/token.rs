//! Access tokens: JSON Web Tokens as [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068) profiles them,
//! signed with Ed25519.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::keys::{self, Key, KeyError};
use crate::config;
use crate::ids::{SignInId, UserId};

const ISSUER: &str = "aftercall";
const AUDIENCE: &str = "aftercall-api";
/// What tells an access token from other tokens that the same keys might sign.
const TYPE: &str = "at+jwt";
/// How far the clocks of our machines may be apart.
const LEEWAY_S: u64 = 5;
/// A rotation is known everywhere within 5 s.
const RELOAD_EVERY: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Issues and verifies access tokens. The keys are read again while it runs.
pub struct Tokens {
    dir: PathBuf,
    ring: RwLock<Arc<Ring>>,
    /// When an unknown key last made us look for new ones.
    looked_at: Mutex<Option<Instant>>,
    validation: Validation,
    lifetime: Duration,
}

/// The keys of the folder at one time.
struct Ring {
    key_id: String,
    signing: EncodingKey,
    verifying: BTreeMap<String, DecodingKey>,
    jwks: Value,
}

/// What a token that is believed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub user_id: UserId,
    pub sign_in: SignInId,
    pub expires_at: Timestamp,
}

/// A fresh access token.
#[derive(Clone)]
pub struct Issued {
    pub token: String,
    /// In seconds.
    pub expires_in: i64,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("token is malformed")]
    Malformed,
    #[error("token is no access token of this service")]
    Foreign,
    #[error("token has expired")]
    Expired,
    #[error("token is not signed by a key of this service")]
    Unsigned,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    /// The sign-in, which a logout ends.
    sid: SignInId,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl Tokens {
    /// Reads the keys; makes one on the first start.
    pub fn load(config: &config::Auth) -> Result<Self, KeyError> {
        let ring = Ring::of(keys::load(&config.jwt_keys_dir)?);
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        Ok(Self {
            dir: config.jwt_keys_dir.clone(),
            ring: RwLock::new(Arc::new(ring)),
            looked_at: Mutex::new(None),
            validation,
            lifetime: config.token_lifetime,
        })
    }

    /// Reads the keys again; where that fails, those that were read before stay.
    pub fn reload(&self) -> Result<(), KeyError> {
        let ring = Arc::new(Ring::of(keys::load_again(&self.dir)?));
        *self.ring.write().expect("nothing panics with the lock") = ring;
        Ok(())
    }

    /// Reads the keys again and again until the stop, so that a rotation needs no restart.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RELOAD_EVERY) => {}
            }
            let tokens = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || tokens.reload()).await;
            if let Ok(Err(error)) = read {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "the keys of access tokens stay as they were");
            }
        }
    }

    pub fn issue(&self, user: UserId, sign_in: SignInId) -> Issued {
        let ring = self.ring();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(ring.key_id.clone());
        let now = Timestamp::now().as_second();
        let expires_in = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            sid: sign_in,
            iat: now,
            exp: now.saturating_add(expires_in),
            jti: Uuid::new_v4(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &ring.signing)
            .expect("claims are JSON and the key was read as Ed25519");
        Issued { token, expires_in }
    }

    /// Whom a token names.
    pub fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Foreign);
        }
        // Only a key of ours, whatever `jwk`, `jku` or `x5u` in the header say.
        let key_id = header.kid.as_deref().ok_or(TokenError::Unsigned)?;
        let ring = self.ring_with(key_id);
        let key = ring.verifying.get(key_id).ok_or(TokenError::Unsigned)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        let claims = decoded
            .map(|token| token.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenError::Unsigned,
                ErrorKind::InvalidIssuer
                | ErrorKind::InvalidAudience
                | ErrorKind::ImmatureSignature
                | ErrorKind::MissingRequiredClaim(_) => TokenError::Foreign,
                _ => TokenError::Malformed,
            })?;
        Ok(Verified {
            user_id: claims.sub,
            sign_in: claims.sid,
            expires_at: Timestamp::from_second(claims.exp).map_err(|_| TokenError::Malformed)?,
        })
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        self.ring().jwks.clone()
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().expect("nothing panics with the lock"))
    }

    /// The keys; where this one is unknown, read again: another process may have it since a rotation. At
    /// most once a second, as anybody can make up a name.
    fn ring_with(&self, key_id: &str) -> Arc<Ring> {
        let ring = self.ring();
        if ring.verifying.contains_key(key_id) {
            return ring;
        }
        {
            let mut looked_at = self.looked_at.lock().expect("nothing panics with the lock");
            if looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return ring;
            }
            *looked_at = Some(Instant::now());
        }
        match self.reload() {
            Ok(()) => self.ring(),
            Err(_) => ring,
        }
    }
}

impl Ring {
    fn of(keys: Vec<Key>) -> Self {
        let public: Vec<Value> = keys
            .iter()
            .map(|key| {
                json!({
                    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                    "kid": key.id, "x": key.x,
                })
            })
            .collect();
        let verifying = keys
            .iter()
            .map(|key| (key.id.clone(), key.verifying.clone()))
            .collect();
        let signing = keys::signing(keys);
        Self {
            key_id: signing.id,
            signing: signing.signing,
            verifying,
            jwks: json!({ "keys": public }),
        }
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
