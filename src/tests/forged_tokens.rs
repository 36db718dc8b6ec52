//! Forged access tokens over HTTP: in the header and in the cookie.

use std::path::PathBuf;

use aftercall::config::jwt_keys_dir;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Answer, TestIngress};

const ME: &str = "/api/v1/auth/me";

/// A token that is good, taken apart, and the key that signed it.
struct Forge {
    good: String,
    header: Value,
    claims: Value,
    pair: SigningKey,
}

impl Forge {
    fn open(harness: &Harness, good: &str) -> Self {
        let dir: PathBuf = jwt_keys_dir(&harness.env(Process::Ingress)).expect("a folder");
        let pem = std::fs::read_to_string(dir.join("first.pem")).expect("a key");
        let part = |index: usize| {
            let part = good.split('.').nth(index).expect("three parts");
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
        };
        Self {
            good: good.to_owned(),
            header: part(0),
            claims: part(1),
            pair: SigningKey::from_pkcs8_pem(&pem).expect("an Ed25519 key"),
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(&self.pair, header, claims)
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        self.sign(&with(&self.header, name, value), &self.claims)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        self.sign(&self.header, &with(&self.claims, name, value))
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let stranger = SigningKey::from_bytes(&[9; 32]);
        let x = URL_SAFE_NO_PAD.encode(stranger.verifying_key().as_bytes());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let none = with(&self.header, "alg", json!("none"));
        let own_kid = with(&self.header, "kid", json!("stranger"));
        let symmetric = with(&self.header, "alg", json!("HS256"));
        let public = self.pair.verifying_key();
        let pem = public.to_public_key_pem(LineEnding::LF).expect("PEM");
        let keyed = |key: &[u8]| {
            let message = message(&symmetric, &self.claims);
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
            mac.update(message.as_bytes());
            format!(
                "{message}.{}",
                URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
            )
        };
        vec![
            ("none", format!("{}.", message(&none, &self.claims))),
            ("none, signed", self.sign(&none, &self.claims)),
            ("None", self.with_header("alg", json!("None"))),
            ("HS256 by the public key", keyed(public.as_bytes())),
            ("HS256 by its PEM", keyed(pem.as_bytes())),
            ("HS256 by nothing", keyed(b"")),
            ("HS256 in name", self.with_header("alg", json!("HS256"))),
            ("RS256", self.with_header("alg", json!("RS256"))),
            ("ES256", self.with_header("alg", json!("ES256"))),
            ("no alg", self.with_header("alg", Value::Null)),
            ("typ JWT", self.with_header("typ", json!("JWT"))),
            ("no typ", self.with_header("typ", Value::Null)),
            (
                "typ of an id token",
                self.with_header("typ", json!("id+jwt")),
            ),
            ("no kid", self.with_header("kid", Value::Null)),
            ("foreign kid", self.with_header("kid", json!("other"))),
            ("empty kid", self.with_header("kid", json!(""))),
            (
                "kid as a path",
                self.with_header("kid", json!("../keys/first.pem")),
            ),
            (
                "kid as a device",
                self.with_header("kid", json!("/dev/null")),
            ),
            ("kid as SQL", self.with_header("kid", json!("' or 1=1 --"))),
            (
                "kid with a zero",
                self.with_header("kid", json!("first\0.pem")),
            ),
            ("kid as a number", self.with_header("kid", json!(0))),
            (
                "kid as a list",
                self.with_header("kid", json!([self.header["kid"]])),
            ),
            ("crit", self.with_header("crit", json!(["exp"]))),
            ("another key", signed(&stranger, &self.header, &self.claims)),
            (
                "another key and kid",
                signed(&stranger, &own_kid, &self.claims),
            ),
            (
                "brings its key",
                signed(&stranger, &with(&self.header, "jwk", jwk), &self.claims),
            ),
            (
                "says where its key is",
                signed(
                    &stranger,
                    &with(&self.header, "jku", json!("http://127.0.0.1:1/jwks.json")),
                    &self.claims,
                ),
            ),
        ]
    }

    fn claims(&self) -> Vec<(&'static str, String)> {
        let now_s = self.claims["iat"].as_i64().expect("seconds");
        let other = json!("00000000-0000-7000-8000-000000000000");
        let own = self.claims["sub"].clone();
        vec![
            ("expired", self.with_claim("exp", json!(now_s - 60))),
            ("no exp", self.with_claim("exp", Value::Null)),
            ("exp as text", self.with_claim("exp", json!("tomorrow"))),
            ("negative exp", self.with_claim("exp", json!(-1))),
            ("not yet", self.with_claim("nbf", json!(now_s + 600))),
            (
                "issuer",
                self.with_claim("iss", json!("https://evil.example")),
            ),
            ("no issuer", self.with_claim("iss", Value::Null)),
            ("audience", self.with_claim("aud", json!("other"))),
            ("no audience", self.with_claim("aud", Value::Null)),
            ("no subject", self.with_claim("sub", Value::Null)),
            ("subject is no id", self.with_claim("sub", json!("admin"))),
            ("nobody", self.with_claim("sub", other.clone())),
            ("no sign-in", self.with_claim("sid", Value::Null)),
            ("unknown sign-in", self.with_claim("sid", other)),
            ("sign-in is the user", self.with_claim("sid", own)),
        ]
    }

    fn mangled(&self) -> Vec<(&'static str, String)> {
        let parts: Vec<&str> = self.good.split('.').collect();
        let of =
            |header: &str, claims: &str, signature: &str| format!("{header}.{claims}.{signature}");
        let mut flipped = URL_SAFE_NO_PAD.decode(parts[2]).expect("base64");
        flipped[5] ^= 1;
        let flipped = URL_SAFE_NO_PAD.encode(flipped);
        let later = with(&self.claims, "exp", json!(9_999_999_999_i64));
        let later = URL_SAFE_NO_PAD.encode(later.to_string());
        let header = URL_SAFE_NO_PAD.encode(with(&self.header, "x", json!(1)).to_string());
        vec![
            ("other claims", of(parts[0], &later, parts[2])),
            ("other header", of(&header, parts[1], parts[2])),
            ("flipped bit", of(parts[0], parts[1], &flipped)),
            ("no signature", of(parts[0], parts[1], "")),
            ("two parts", format!("{}.{}", parts[0], parts[1])),
            ("four parts", format!("{}.{}", self.good, parts[2])),
            ("padding", format!("{}=", self.good)),
            ("dots", "..".to_owned()),
            ("a word", "token".to_owned()),
        ]
    }
}

fn with(part: &Value, name: &str, value: Value) -> Value {
    let mut part = part.clone();
    if value.is_null() {
        part.as_object_mut().expect("an object").remove(name);
    } else {
        part[name] = value;
    }
    part
}

fn message(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

fn signed(pair: &SigningKey, header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = pair.sign(message.as_bytes()).to_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn forged_tokens_let_nobody_in() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let good = ingress.register("ada@example.org").await;
    let forge = Forge::open(&harness, &good);
    // What is forged below differs in one thing from a token by hand that is believed.
    let by_hand = forge.sign(&forge.header, &forge.claims);
    assert_eq!(ingress.get(ME, Some(&by_hand)).await.status, StatusCode::OK);

    let forged = [forge.headers(), forge.claims(), forge.mangled()].concat();
    assert!(forged.len() >= 40, "{}", forged.len());
    for (what, token) in forged {
        let in_header = ingress.get(ME, Some(&token)).await;
        let cookie = format!("auth_token={token}");
        let in_cookie = ingress.request(Method::GET, ME).header("cookie", cookie);
        for answer in [in_header, Answer::of(in_cookie).await] {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
            assert_eq!(answer.problem(401), "unauthorized", "{what}");
        }
    }
    assert_eq!(ingress.get(ME, Some(&good)).await.status, StatusCode::OK);
    ingress.stop().await;
    harness.finish().await;
}

/// The sign-in of one user is of no use to another, whoever signed the token.
#[tokio::test]
async fn a_sign_in_belongs_to_its_user() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = Forge::open(&harness, &ingress.register("ada@example.org").await);
    let eve = Forge::open(&harness, &ingress.register("eve@example.org").await);
    let mixed = ada.with_claim("sid", eve.claims["sid"].clone());
    assert_eq!(
        ingress.get(ME, Some(&mixed)).await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}
