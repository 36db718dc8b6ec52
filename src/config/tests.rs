use std::collections::BTreeMap;

use super::*;

/// `.env.example` as name and value; comments and blank lines left out.
fn example() -> BTreeMap<String, String> {
    let text = include_str!("../../.env.example");
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("# "))
        .map(|line| {
            line.trim_start_matches('#')
                .split_once('=')
                .expect("NAME=value")
        })
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        .collect()
}

#[test]
fn the_example_lists_every_variable_with_its_default() {
    let code: BTreeMap<_, _> = VARIABLES
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(example(), code);
}

#[test]
fn the_defaults_are_valid() {
    let env = Env::default().with([
        ("NATS_URL", "nats://127.0.0.1:4222"),
        ("DATABASE_URL", "postgres://127.0.0.1/aftercall"),
        ("TRANSCRIPTION_BASE_URL", "http://127.0.0.1:9000"),
    ]);
    Process::read(&env).expect("process");
    let http = Http::read(&env).expect("http");
    assert_eq!(http.public_url, "http://127.0.0.1:8000");
    assert_eq!(http.cors_origins.len(), 2);
    assert!(http.trusted_proxies.is_empty());
    RateLimits::read(&env).expect("rate limits");
    Auth::read(&env).expect("auth");
    assert!(Oidc::read(&env).expect("issuers").issuers.is_empty());
    Sessions::read(&env).expect("sessions");
    let redaction = Redaction::read(&env).expect("redaction");
    assert_eq!(redaction.redact_pii, RedactPii::Off);
    Nats::read(&env).expect("nats");
    assert!(Agents::read(&env).expect("agents").is_none());
    Database::read(&env).expect("database");
    ObjectStore::read(&env).expect("object store");
    Worker::read(&env).expect("worker");
    Transcription::read(&env).expect("transcription");
    AwsTranscribe::read(&env).expect("amazon transcribe");
    Analysis::read(&env).expect("analysis");
    Maintenance::read(&env).expect("maintenance");
}

#[test]
fn a_wrong_value_names_its_variable_and_hides_it() {
    for (name, value) in [
        ("PORT", "80000"),
        ("HOST", "localhost"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", r#"["*"]"#),
        ("CORS_ORIGINS", r#"["https://app.example.org/"]"#),
        ("PUBLIC_URL", "ftp://example.org"),
        ("HEADER_TIMEOUT_SECONDS", "0"),
        ("MAX_UPLOAD_BYTES", "many"),
        ("MIN_UPLOAD_BYTES_PER_SECOND", "-1"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 fd00::/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
    ] {
        let error = Http::read(&Env::default().with([(name, value)]))
            .expect_err(value)
            .to_string();
        assert!(error.starts_with(&format!("{name} must be ")), "{error}");
        assert!(!error.contains(value), "{error}");
    }
    let missing = Nats::read(&Env::default())
        .expect_err("no address")
        .to_string();
    assert_eq!(missing, "NATS_URL is not set");
}

#[test]
fn a_part_of_what_agents_need_is_a_mistake() {
    let all = [
        ("NATS_INGEST_URL", "nats://ingest:x@127.0.0.1:4222"),
        ("NATS_SYSTEM_URL", "nats://system:x@127.0.0.1:4222"),
        ("NATS_AGENT_ISSUER_SEED", "SAA"),
    ];
    assert!(Agents::read(&Env::default().with(all)).unwrap().is_some());
    for (missing, _) in all {
        let rest = all.into_iter().filter(|(name, _)| *name != missing);
        let error = Agents::read(&Env::default().with(rest)).unwrap_err();
        assert_eq!(error, ConfigError::Missing(missing));
    }
}

#[test]
fn proxies_are_networks_or_addresses() {
    let env = Env::default().with([("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,fd00::/8, ::1,")]);
    let proxies = Http::read(&env).expect("networks").trusted_proxies;
    let written: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    assert_eq!(
        written,
        ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8", "::1/128"]
    );
}

#[test]
fn an_empty_value_is_unset() {
    let env = Env::default().with([("PORT", " "), ("APP_NAME", "")]);
    assert_eq!(Http::read(&env).expect("defaults").address.port(), 8000);
}

#[test]
fn the_endpoint_of_s3_comes_before_the_common_one() {
    let env = Env::default().with([("AWS_ENDPOINT_URL", "http://127.0.0.1:1/")]);
    let endpoint = |env: &Env| ObjectStore::read(env).expect("object store").endpoint_url;
    assert_eq!(endpoint(&env).as_deref(), Some("http://127.0.0.1:1"));
    let env = env.with([("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")]);
    assert_eq!(endpoint(&env).as_deref(), Some("http://127.0.0.1:2"));
}

#[test]
fn debug_output_shows_names_only() {
    let env = Env::default().with([("DATABASE_URL", "postgres://user:hunter2@db/x")]);
    assert_eq!(format!("{env:?}"), r#"{"DATABASE_URL"}"#);
}

#[test]
fn production_refuses_what_is_only_for_development() {
    let read = |pairs: &[(&str, &str)]| {
        let env = Env::default().with([("ENVIRONMENT", "production")]);
        Auth::read(&env.with(pairs.iter().copied()))
    };
    let key = ("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    assert!(read(&[key]).is_ok());
    for wrong in [
        "",
        "aftercall development secret",
        "0123456789abcdef0123456789abcde",
    ] {
        let error = read(&[("SECRET_KEY", wrong)]).unwrap_err().to_string();
        assert!(error.starts_with("SECRET_KEY"), "{error}");
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
    let error = read(&[key, ("ANONYMOUS_USER", "a@example.org")]).unwrap_err();
    assert!(error.to_string().starts_with("ANONYMOUS_USER"), "{error}");
}

#[test]
fn cookies_that_browsers_would_drop_are_refused() {
    let read = |pairs: &[(&str, &str)]| Auth::read(&Env::default().with(pairs.iter().copied()));
    let https = ("PUBLIC_URL", "https://api.example.org");
    assert!(!read(&[]).unwrap().cookies.secure);
    assert!(read(&[https]).unwrap().cookies.secure);
    assert!(read(&[https, ("AUTH_COOKIE_SAMESITE", "None")]).is_ok());
    assert!(read(&[https, ("AUTH_COOKIE_NAME", "__Host-token")]).is_ok());
    let wrong: [&[(&str, &str)]; 10] = [
        &[("AUTH_COOKIE_SAMESITE", "none")],
        &[("AUTH_COOKIE_SAMESITE", "sometimes")],
        &[("AUTH_COOKIE_NAME", "two words")],
        &[("AUTH_COOKIE_NAME", "refresh_token")],
        &[("AUTH_COOKIE_NAME", "__Secure-token")],
        &[
            https,
            ("AUTH_COOKIE_NAME", "__Host-token"),
            ("AUTH_COOKIE_PATH", "/api"),
        ],
        &[("REFRESH_COOKIE_NAME", "__HOST-token")],
        &[
            https,
            ("REFRESH_COOKIE_NAME", "__Host-token"),
            ("AUTH_COOKIE_DOMAIN", "example.org"),
        ],
        &[("AUTH_COOKIE_PATH", "api")],
        &[("AUTH_COOKIE_DOMAIN", "example.org; Secure")],
    ];
    for settings in wrong {
        assert!(read(settings).is_err(), "{settings:?}");
    }
}
