//! Tokens that must not be believed, each one step away from one that is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

use super::*;
use crate::config::Env;

struct Forge {
    tokens: Tokens,
    pair: SigningKey,
    user: UserId,
    sign_in: SignInId,
    _dir: TempDir,
}

fn settings(dir: &TempDir) -> config::Auth {
    let env = Env::default().with([
        ("JWT_KEYS_DIR", dir.path().display().to_string()),
        ("JWT_EXPIRATION_MINUTES", "1".to_owned()),
    ]);
    config::Auth::read(&env).unwrap()
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
            sign_in: SignInId::generate(),
            _dir: dir,
        }
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.tokens.ring().key_id })
    }

    fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": self.user, "sid": self.sign_in, "iat": now, "exp": now + 60,
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
    let issued = forge.tokens.issue(forge.user, forge.sign_in);
    assert_eq!(issued.expires_in, 60);
    let by_hand = forge.sign(&forge.header(), &forge.claims());
    // The forgeries differ from it in one thing.
    for token in [issued.token, by_hand] {
        let verified = forge.tokens.verify(&token).unwrap();
        assert_eq!(
            (verified.user_id, verified.sign_in),
            (forge.user, forge.sign_in)
        );
        let lives_s = verified.expires_at.as_second() - Timestamp::now().as_second();
        assert!((55..=60).contains(&lives_s), "{lives_s}");
    }
}

#[test]
fn keys_of_a_rotation_verify_before_they_sign_and_need_no_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (user, sign_in) = (UserId::generate(), SignInId::generate());
    let running = Tokens::load(&settings(&dir)).unwrap();
    let old = running.issue(user, sign_in).token;
    let first = running.ring().key_id.clone();
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(1);
    let file = std::fs::File::open(dir.path().join("first.pem")).unwrap();
    file.set_modified(long_ago).unwrap();
    let made = keys::rotate(dir.path()).unwrap().made;

    running.reload().unwrap();
    assert_eq!(
        running.ring().key_id,
        first,
        "the new key is not known to everybody yet"
    );
    assert_eq!(running.jwks()["keys"].as_array().unwrap().len(), 2);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "first.pem" {
            let published = std::time::SystemTime::now() - keys::PUBLISHED_FOR;
            let file = std::fs::File::open(entry.path()).unwrap();
            file.set_modified(published).unwrap();
        }
    }
    let other = Tokens::load(&settings(&dir)).unwrap();
    assert_eq!(other.ring().key_id, made);
    for token in [&old, &other.issue(user, sign_in).token] {
        assert!(other.verify(token).is_ok());
        assert!(running.verify(token).is_ok());
    }
}

#[test]
fn a_key_that_is_not_known_yet_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let running = Tokens::load(&settings(&dir)).unwrap();
    std::fs::remove_file(dir.path().join("first.pem")).unwrap();
    let other = Tokens::load(&settings(&dir)).unwrap();
    let token = other.issue(UserId::generate(), SignInId::generate()).token;
    assert!(running.verify(&token).is_ok());
    std::fs::remove_file(dir.path().join("first.pem")).unwrap();
    assert!(running.reload().is_err(), "an empty folder");
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert!(running.reload().is_err(), "no folder");
    assert!(!dir.path().exists(), "none is made");
    std::fs::write(dir.path(), "no folder").unwrap();
    assert!(running.reload().is_err(), "a file");
    assert!(running.verify(&token).is_ok(), "the keys stay as they were");
}

#[test]
fn public_keys_show_nothing_private() {
    let forge = Forge::open();
    let key = &forge.tokens.jwks()["keys"][0];
    assert_eq!(key["kid"], forge.tokens.ring().key_id);
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
    let mut symmetric = forge.header();
    symmetric["alg"] = json!("HS256");
    let public = forge.pair.verifying_key();
    let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
    let keyed = |key: &[u8]| {
        let message = format!("{}.{}", encode(&symmetric), encode(&forge.claims()));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        )
    };
    let cases = [
        ("alg none", unsigned),
        ("alg none, signed", forge.sign(&none, &forge.claims())),
        ("alg HS256", forge.with_header("alg", json!("HS256"))),
        ("HS256 keyed with the public key", keyed(public.as_bytes())),
        ("HS256 keyed with its PEM", keyed(pem.as_bytes())),
        ("HS256 keyed with nothing", keyed(b"")),
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
        ("no sign-in", forge.without("claims", "sid")),
        ("sign-in is no id", forge.with_claim("sid", json!("all"))),
        ("sign-in is null", forge.with_claim("sid", Value::Null)),
        (
            "expires beyond all time",
            forge.with_claim("exp", json!(i64::MAX)),
        ),
    ];
    for (what, token) in cases {
        assert!(forge.tokens.verify(&token).is_err(), "{what}");
    }
}

#[test]
fn what_says_a_thing_twice_is_refused() {
    let forge = Forge::open();
    let (header, claims) = (forge.header().to_string(), forge.claims().to_string());
    let twice = |text: &str, more: &str| format!("{},{more}}}", text.trim_end_matches('}'));
    let own = serde_json::to_string(&forge.user).unwrap();
    let cases = [
        (twice(&header, r#""alg":"EdDSA""#), claims.clone()),
        (twice(&header, r#""kid":"other""#), claims.clone()),
        (twice(&header, r#""typ":"at+jwt""#), claims.clone()),
        (header.clone(), twice(&claims, &format!(r#""sub":{own}"#))),
        (header.clone(), twice(&claims, &format!(r#""sid":{own}"#))),
        (header.clone(), twice(&claims, r#""exp":9999999999"#)),
    ];
    for (header, claims) in cases {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&header),
            URL_SAFE_NO_PAD.encode(&claims)
        );
        let signature = forge.pair.sign(message.as_bytes()).to_bytes();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(forge.tokens.verify(&token).is_err(), "{header} {claims}");
    }
}

#[test]
fn mangled_tokens_are_refused() {
    let forge = Forge::open();
    let token = forge.tokens.issue(forge.user, forge.sign_in).token;
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
