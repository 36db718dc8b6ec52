//! Tokens that must not be believed, each one step away from one that is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use tempfile::TempDir;

use super::*;
use crate::config::Registration;

struct Forge {
    tokens: Tokens,
    pair: SigningKey,
    user: UserId,
    _dir: TempDir,
}

fn settings(dir: &TempDir) -> config::Auth {
    config::Auth {
        environment: config::Environment::Development,
        jwt_keys_dir: dir.path().to_owned(),
        token_lifetime: Duration::from_mins(1),
        registration: Registration::Open,
        password_min_length: 8,
        secret_key: "a secret of a test".into(),
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

impl Forge {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::load(&settings(&dir)).unwrap();
        let pem = std::fs::read_to_string(dir.path().join("first.pem")).unwrap();
        let pair = SigningKey::from_pkcs8_pem(&pem).unwrap();
        Self {
            tokens,
            pair,
            user: UserId::generate(),
            _dir: dir,
        }
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.tokens.key_id })
    }

    fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": self.user, "iat": now, "exp": now + 60,
            "jti": Uuid::new_v4(),
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        sign_with(&self.pair, header, claims)
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        self.sign(&header, &self.claims())
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[name] = value;
        self.sign(&self.header(), &claims)
    }

    fn without(&self, part: &str, name: &str) -> String {
        let (mut header, mut claims) = (self.header(), self.claims());
        let part = if part == "header" {
            &mut header
        } else {
            &mut claims
        };
        part.as_object_mut().unwrap().remove(name).unwrap();
        self.sign(&header, &claims)
    }
}

fn sign_with(pair: &SigningKey, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = pair.sign(message.as_bytes()).to_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn what_is_issued_is_believed() {
    let forge = Forge::open();
    let issued = forge.tokens.issue(forge.user);
    assert_eq!(issued.expires_in, 60);
    assert_eq!(forge.tokens.verify(&issued.token), Ok(forge.user));
    let by_hand = forge.sign(&forge.header(), &forge.claims());
    assert_eq!(
        forge.tokens.verify(&by_hand),
        Ok(forge.user),
        "the forgeries differ in one thing"
    );
}

#[test]
fn a_key_that_no_longer_signs_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let user = UserId::generate();
    let old = Tokens::load(&settings(&dir)).unwrap();
    let (first, second) = (dir.path().join("first.pem"), dir.path().join("second.pem"));
    let other = tempfile::tempdir().unwrap();
    Tokens::load(&settings(&other)).unwrap();
    std::fs::File::open(&first)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    std::fs::copy(other.path().join("first.pem"), second).unwrap();
    let new = Tokens::load(&settings(&dir)).unwrap();
    assert_eq!(new.verify(&old.issue(user).token), Ok(user));
    assert_ne!(new.key_id, old.key_id);
    assert_eq!(
        old.verify(&new.issue(user).token),
        Err(TokenError::Unsigned)
    );
    assert_eq!(new.jwks()["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn public_keys_show_nothing_private() {
    let forge = Forge::open();
    let key = &forge.tokens.jwks()["keys"][0];
    assert_eq!(key["kid"], forge.tokens.key_id);
    let mut names: Vec<_> = key
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
}

#[test]
fn forged_headers_are_refused() {
    let forge = Forge::open();
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let x = URL_SAFE_NO_PAD.encode(stranger.verifying_key().as_bytes());
    let mut own_key = forge.header();
    own_key["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    let mut short_key = forge.header();
    short_key["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" });
    let mut none = forge.header();
    none["alg"] = json!("none");
    let unsigned = format!("{}.{}.", encode(&none), encode(&forge.claims()));
    let cases = [
        ("alg none", unsigned),
        ("alg none, signed", forge.sign(&none, &forge.claims())),
        ("alg HS256", forge.with_header("alg", json!("HS256"))),
        ("alg RS256", forge.with_header("alg", json!("RS256"))),
        ("alg ES256", forge.with_header("alg", json!("ES256"))),
        (
            "alg in lower case",
            forge.with_header("alg", json!("eddsa")),
        ),
        ("no alg", forge.without("header", "alg")),
        ("typ JWT", forge.with_header("typ", json!("JWT"))),
        ("no typ", forge.without("header", "typ")),
        (
            "typ of a refresh token",
            forge.with_header("typ", json!("rt+jwt")),
        ),
        ("no kid", forge.without("header", "kid")),
        ("unknown kid", forge.with_header("kid", json!("other"))),
        (
            "kid as a path",
            forge.with_header("kid", json!("../first.pem")),
        ),
        ("kid as a number", forge.with_header("kid", json!(7))),
        (
            "critical extension",
            forge.with_header("crit", json!(["b64"])),
        ),
        (
            "another key",
            sign_with(&stranger, &forge.header(), &forge.claims()),
        ),
        (
            "brings its key",
            sign_with(&stranger, &own_key, &forge.claims()),
        ),
        (
            "brings a short key",
            sign_with(&stranger, &short_key, &forge.claims()),
        ),
    ];
    for (what, token) in cases {
        assert!(forge.tokens.verify(&token).is_err(), "{what}");
    }
}

#[test]
fn forged_claims_are_refused() {
    let forge = Forge::open();
    let now = Timestamp::now().as_second();
    let cases = [
        ("expired", forge.with_claim("exp", json!(now - 60))),
        ("no exp", forge.without("claims", "exp")),
        ("exp as text", forge.with_claim("exp", json!("tomorrow"))),
        ("negative exp", forge.with_claim("exp", json!(-1))),
        ("not yet", forge.with_claim("nbf", json!(now + 600))),
        (
            "another issuer",
            forge.with_claim("iss", json!("https://example.org")),
        ),
        ("no issuer", forge.without("claims", "iss")),
        ("another audience", forge.with_claim("aud", json!("other"))),
        ("no audience", forge.without("claims", "aud")),
        ("no subject", forge.without("claims", "sub")),
        ("subject is no id", forge.with_claim("sub", json!("admin"))),
        ("subject is null", forge.with_claim("sub", Value::Null)),
    ];
    for (what, token) in cases {
        assert!(forge.tokens.verify(&token).is_err(), "{what}");
    }
}

#[test]
fn mangled_tokens_are_refused() {
    let forge = Forge::open();
    let token = forge.tokens.issue(forge.user).token;
    let parts: Vec<&str> = token.split('.').collect();
    let mut other = forge.claims();
    other["sub"] = json!(UserId::generate());
    let swapped = format!("{}.{}.{}", parts[0], encode(&other), parts[2]);
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let mut flipped = signature.clone();
    flipped[0] ^= 1;
    let resigned = |bytes: &[u8]| {
        format!(
            "{}.{}.{}",
            parts[0],
            parts[1],
            URL_SAFE_NO_PAD.encode(bytes)
        )
    };
    let cases = [
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("words", "not a token".to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{token}.x")),
        ("other claims under the signature", swapped),
        ("a flipped bit", resigned(&flipped)),
        ("a short signature", resigned(&signature[..63])),
        (
            "a long signature",
            resigned(&[&signature[..], &[0]].concat()),
        ),
        (
            "claims that are no JSON",
            format!("{}.AAAA.{}", parts[0], parts[2]),
        ),
        (
            "header that is no JSON",
            format!("AAAA.{}.{}", parts[1], parts[2]),
        ),
        ("padding", format!("{token}=")),
        ("a space", format!("{token} ")),
        ("huge", "A".repeat(1 << 20)),
    ];
    for (what, token) in cases {
        assert!(forge.tokens.verify(&token).is_err(), "{what}");
    }
    let expired = forge.with_claim("exp", json!(Timestamp::now().as_second() - 60));
    assert_eq!(forge.tokens.verify(&expired), Err(TokenError::Expired));
}
