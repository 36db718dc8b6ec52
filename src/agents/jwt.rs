//! The tokens of NATS: what the broker asks when somebody connects, and what it is answered
//! ([ADR-26](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-26.md)).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nkeys::{KeyPair, KeyPairType};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ACCOUNT, subjects};
use crate::ids::{ApiKeyId, ClientId};

/// What the broker says of somebody who connects. Its signature is not checked: the subject that it
/// comes on is the broker's alone.
#[derive(Deserialize)]
pub struct Request {
    /// When the broker stops waiting, in seconds since 1970.
    exp: i64,
    nats: Asked,
}

#[derive(Deserialize)]
struct Asked {
    server_id: Server,
    user_nkey: String,
    client_info: Connection,
    connect_opts: Credentials,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    host: String,
}

/// What was typed into the client; anything of it may be missing.
#[derive(Default, Deserialize)]
struct Credentials {
    #[serde(default)]
    user: String,
    #[serde(default)]
    pass: SecretString,
    #[serde(default)]
    auth_token: SecretString,
}

/// Whom to let in, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    pub key: ApiKeyId,
    pub client: ClientId,
    pub until: Timestamp,
}

/// Signs answers with the key that the broker trusts.
pub struct Issuer(KeyPair);

/// Why a seed is none. It never shows the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    #[error("is not an nkey seed")]
    Malformed,
    #[error("is not the seed of an account, which begins with SA")]
    NotAnAccount,
}

#[derive(Serialize)]
struct Claims<'a, T> {
    jti: String,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    nats: T,
}

#[derive(Serialize)]
struct User {
    #[serde(rename = "pub")]
    publish: Allowed,
    #[serde(rename = "sub")]
    subscribe: Allowed,
    allowed_connection_types: [&'static str; 2],
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize)]
struct Allowed {
    allow: [String; 1],
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize)]
struct Kind {
    #[serde(rename = "type")]
    name: &'static str,
    version: u8,
}

impl Request {
    pub fn read(token: &[u8]) -> Option<Self> {
        let claims = token.split(|byte| *byte == b'.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    pub fn is_late(&self, now: Timestamp) -> bool {
        self.exp < now.as_second()
    }

    /// The user name, empty where none was given.
    pub fn user(&self) -> &str {
        self.nats.connect_opts.user.trim()
    }

    /// The API key: the password, else the token.
    pub fn secret(&self) -> &str {
        let given = &self.nats.connect_opts;
        let password = given.pass.expose_secret();
        let secret = if password.is_empty() {
            given.auth_token.expose_secret()
        } else {
            password
        };
        secret.trim()
    }

    /// The address of whoever connects.
    pub fn host(&self) -> &str {
        &self.nats.client_info.host
    }
}

impl Issuer {
    pub fn of(seed: &SecretString) -> Result<Self, SeedError> {
        let pair = KeyPair::from_seed(seed.expose_secret().trim());
        let pair = pair.map_err(|_| SeedError::Malformed)?;
        if !matches!(pair.key_pair_type(), KeyPairType::Account) {
            return Err(SeedError::NotAnAccount);
        }
        Ok(Self(pair))
    }

    /// Lets an agent in, under the name of its key, which is how its connection is found again.
    pub fn admit(&self, request: &Request, agent: Admitted) -> String {
        let user = self.sign(&Claims {
            jti: Uuid::new_v4().simple().to_string(),
            iat: Timestamp::now().as_second(),
            exp: Some(agent.until.as_second()),
            iss: &self.0.public_key(),
            sub: &request.nats.user_nkey,
            aud: ACCOUNT,
            name: Some(agent.key.to_string()),
            nats: User {
                publish: Allowed {
                    allow: [subjects::calls_of(agent.client)],
                },
                subscribe: Allowed {
                    allow: [format!("{}.>", subjects::inbox_of(agent.client))],
                },
                allowed_connection_types: ["STANDARD", "WEBSOCKET"],
                kind: Kind {
                    name: "user",
                    version: 2,
                },
            },
        });
        self.answer(request, Some(user), None)
    }

    /// Refuses. The broker logs why, and tells the agent nothing.
    pub fn refuse(&self, request: &Request, why: &'static str) -> String {
        self.answer(request, None, Some(why))
    }

    fn answer(
        &self,
        request: &Request,
        jwt: Option<String>,
        error: Option<&'static str>,
    ) -> String {
        self.sign(&Claims {
            jti: Uuid::new_v4().simple().to_string(),
            iat: Timestamp::now().as_second(),
            exp: None,
            iss: &self.0.public_key(),
            sub: &request.nats.user_nkey,
            aud: &request.nats.server_id.id,
            name: None,
            nats: Answer {
                jwt,
                error,
                kind: Kind {
                    name: "authorization_response",
                    version: 2,
                },
            },
        })
    }

    fn sign<T: Serialize>(&self, claims: &Claims<'_, T>) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are text and numbers");
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.0.sign(signed.as_bytes());
        let signature = signature.expect("a pair that was made of a seed signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request() -> Request {
        let claims = json!({
            "exp": 1_000, "iss": "N1", "nats": {
                "server_id": { "id": "N1", "name": "n" }, "user_nkey": "U1",
                "client_info": { "host": "10.0.0.1", "id": 9 },
                "connect_opts": { "user": " c1 ", "auth_token": "ak_x", "protocol": 1 },
                "type": "authorization_request", "version": 2,
            },
        });
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()));
        Request::read(token.as_bytes()).unwrap()
    }

    fn claims(token: &str) -> Value {
        let claims = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_read_with_what_it_lacks() {
        let request = request();
        assert_eq!(
            (request.user(), request.secret(), request.host()),
            ("c1", "ak_x", "10.0.0.1")
        );
        assert!(request.is_late("1970-01-01T00:16:41Z".parse().unwrap()));
        assert!(!request.is_late("1970-01-01T00:16:40Z".parse().unwrap()));
        for wrong in ["", "a.b", "a.e30.c", "a.!.c"] {
            assert!(Request::read(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_names_what_an_agent_may_and_is_signed() {
        let pair = KeyPair::new_account();
        let issuer = Issuer::of(&pair.seed().unwrap().into()).unwrap();
        let agent = Admitted {
            key: ApiKeyId(Uuid::from_u128(1)),
            client: ClientId(Uuid::from_u128(2)),
            until: "1970-01-01T00:01:40Z".parse().unwrap(),
        };
        let token = issuer.admit(&request(), agent);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(pair.verify(signed.as_bytes(), &signature).is_ok());
        let answer = claims(&token);
        assert_eq!(
            (&answer["aud"], &answer["sub"]),
            (&json!("N1"), &json!("U1"))
        );
        let user = claims(answer["nats"]["jwt"].as_str().unwrap());
        assert_eq!(user["name"], agent.key.to_string());
        assert_eq!(user["exp"], 100);
        let client = agent.client;
        let expected = json!([format!("ingest.v1.{client}.call-ended")]);
        assert_eq!(user["nats"]["pub"]["allow"], expected);
        let expected = json!([format!("_INBOX.agent.{client}.>")]);
        assert_eq!(user["nats"]["sub"]["allow"], expected);

        let refused = claims(&issuer.refuse(&request(), "no"));
        assert_eq!(refused["nats"]["error"], "no");
        assert!(refused["nats"].get("jwt").is_none());
    }

    #[test]
    fn only_the_seed_of_an_account_signs() {
        let of = |seed: String| Issuer::of(&seed.into()).err();
        assert_eq!(of(String::new()), Some(SeedError::Malformed));
        assert_eq!(of("SAAAA".to_owned()), Some(SeedError::Malformed));
        let user = KeyPair::new_user().seed().unwrap();
        assert_eq!(of(user), Some(SeedError::NotAnAccount));
        assert_eq!(of(KeyPair::new_account().seed().unwrap()), None);
    }
}
