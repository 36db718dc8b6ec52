//! Access tokens: JSON Web Tokens as [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068) profiles them,
//! signed with Ed25519.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys::{self, KeyError};
use crate::config;
use crate::ids::UserId;

const ISSUER: &str = "aftercall";
const AUDIENCE: &str = "aftercall-api";
/// What tells an access token from other tokens that the same keys might sign.
const TYPE: &str = "at+jwt";
/// How far the clocks of our machines may be apart.
const LEEWAY_S: u64 = 5;

/// Issues and verifies access tokens.
pub struct Tokens {
    key_id: String,
    signing: EncodingKey,
    verifying: BTreeMap<String, DecodingKey>,
    validation: Validation,
    lifetime: Duration,
    jwks: Value,
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
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl Tokens {
    /// Reads the keys; makes one on the first start.
    pub fn load(config: &config::Auth) -> Result<Self, KeyError> {
        let mut keys = keys::load(&config.jwt_keys_dir)?;
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
        let newest = keys.pop().expect("there is at least one key");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        Ok(Self {
            key_id: newest.id,
            signing: newest.signing,
            verifying,
            validation,
            lifetime: config.token_lifetime,
            jwks: json!({ "keys": public }),
        })
    }

    pub fn issue(&self, user: UserId) -> Issued {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.key_id.clone());
        let now = Timestamp::now().as_second();
        let expires_in = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            iat: now,
            exp: now.saturating_add(expires_in),
            jti: Uuid::new_v4(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .expect("claims are JSON and the key was read as Ed25519");
        Issued { token, expires_in }
    }

    /// The user whom a token names.
    pub fn verify(&self, token: &str) -> Result<UserId, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Foreign);
        }
        // Only a key of ours, whatever `jwk`, `jku` or `x5u` in the header say.
        let key = header.kid.as_deref().and_then(|id| self.verifying.get(id));
        let key = key.ok_or(TokenError::Unsigned)?;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &self.validation);
        decoded
            .map(|token| token.claims.sub)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenError::Unsigned,
                ErrorKind::InvalidIssuer
                | ErrorKind::InvalidAudience
                | ErrorKind::ImmatureSignature
                | ErrorKind::MissingRequiredClaim(_) => TokenError::Foreign,
                _ => TokenError::Malformed,
            })
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        self.jwks.clone()
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
