//! `compose.yaml` against the code. No container is started here: what is held is that each service
//! finds the settings it needs, under names that the code knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use aftercall::config::{self, Env, VARIABLES};
use aftercall::db::provision::Process;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Set for the file alone: the administrator's password of its Postgres, and the users of its broker.
const OWN: &[&str] = &[
    "NATS_AGENT_ISSUER",
    "NATS_PASSWORD",
    "NATS_PASSWORD_INGEST",
    "NATS_PASSWORD_SYSTEM",
    "POSTGRES_PASSWORD",
];

/// What nobody sets in `.env` for these services, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("AFTERCALL_TOKEN", "the command line of a user"),
    ("AFTERCALL_URL", "the command line of a user"),
    ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3 comes first"),
    ("AWS_PROFILE", "there are no AWS files in the image"),
    ("EMBEDDED_TOOLS_DIR", "development"),
    ("NATS_ALLOW_UNSYNCED", "nats/server.conf syncs always"),
];

/// Stands for a value that has to be given; long enough for a `SECRET_KEY`.
const SAMPLE: &str = "s4mples4mples4mples4mples4mples4mple";

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    command: Option<Vec<String>>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    healthcheck: Option<IgnoredAny>,
    #[serde(default)]
    depends_on: BTreeMap<String, Needed>,
}

#[derive(Deserialize)]
struct Needed {
    condition: String,
}

impl Service {
    fn is_ours(&self) -> bool {
        self.image == "aftercall"
    }

    /// The environment of its process, where only what is demanded was set.
    fn env(&self) -> Env {
        let set = self.environment.iter();
        Env::default().with(set.map(|(name, value)| (name, fill(value))))
    }
}

/// A part of a value.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    /// `${NAME:-default}`
    Optional(&'a str, &'a str),
    /// `${NAME:?}`
    Required(&'a str),
}

fn compose() -> Compose {
    serde_saphyr::from_str(include_str!("../../../compose.yaml")).unwrap()
}

fn parts(mut value: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while let Some((text, rest)) = value.split_once("${") {
        let (inner, rest) = rest.split_once('}').expect("a closing brace");
        parts.push(Part::Text(text));
        parts.push(if let Some((name, default)) = inner.split_once(":-") {
            Part::Optional(name, default)
        } else {
            let name = inner.strip_suffix(":?");
            Part::Required(name.expect("a default, or `:?`: an unset variable must not pass"))
        });
        value = rest;
    }
    parts.push(Part::Text(value));
    parts
}

fn fill(value: &str) -> String {
    let filled = parts(value).into_iter().map(|part| match part {
        Part::Text(text) | Part::Optional(_, text) => text,
        Part::Required(_) => SAMPLE,
    });
    filled.collect()
}

fn is_variable(name: &str) -> bool {
    VARIABLES.iter().any(|(known, _)| *known == name)
}

#[test]
fn values_are_filled_as_the_engine_does() {
    assert_eq!(fill("a ${B:?} c ${D:-e}${F:-}"), format!("a {SAMPLE} c e"));
    assert_eq!(parts("x"), [Part::Text("x")]);
}

#[test]
fn every_process_reads_its_settings() {
    let services = compose().services;
    let env = |name: &str| {
        let service = services
            .get(name)
            .unwrap_or_else(|| panic!("no service {name}"));
        assert_eq!(
            service.command.as_deref(),
            Some(&[name.to_owned()][..]),
            "{name}"
        );
        config::Process::read(&service.env()).expect(name);
        service.env()
    };
    aftercall::http::Config::read(&env("ingress")).expect("ingress");
    aftercall_storage::Config::read(&env("storage")).expect("storage");
    aftercall_transcription::Config::read(&env("transcription")).expect("transcription");
    aftercall_analysis::Config::read(&env("analysis")).expect("analysis");
    aftercall_analytics::Config::read(&env("analytics")).expect("analytics");
    aftercall_maintenance::Config::read(&env("maintenance")).expect("maintenance");
}

#[test]
fn provisioning_makes_every_login_that_is_used() {
    let services = compose().services;
    let provision = services["provision"].env();
    assert_eq!(
        services["provision"].command.as_deref(),
        Some(&["aftercall".to_owned(), "provision".to_owned()][..])
    );
    let passwords = config::Provisioning::read(&provision).unwrap().passwords;
    config::Nats::read(&provision).unwrap();
    config::Maintenance::read(&provision).unwrap();
    let of = [
        (Process::Ingress, "ingress", passwords.ingress),
        (Process::Storage, "storage", passwords.storage),
        (
            Process::Transcription,
            "transcription",
            passwords.transcription,
        ),
        (Process::Analysis, "analysis", passwords.analysis),
        (Process::Analytics, "analytics", passwords.analytics),
        (Process::Maintenance, "maintenance", passwords.maintenance),
    ];
    for (process, name, password) in of {
        assert!(password.is_some(), "{name}");
        let database = config::Database::read(&services[name].env()).unwrap();
        let url: reqwest::Url = database.url.expose_secret().parse().unwrap();
        assert_eq!(url.username(), process.login_role());
        let variable = format!("DATABASE_PASSWORD_{}", name.to_uppercase());
        let written = &services[name].environment["DATABASE_URL"];
        assert!(
            parts(written).contains(&Part::Required(&variable)),
            "{name}"
        );
    }
}

#[test]
fn every_name_is_known_and_no_setting_is_out_of_reach() {
    let services = compose().services;
    let mut reached = BTreeSet::new();
    for (name, service) in &services {
        for (variable, value) in &service.environment {
            if service.is_ours() {
                assert!(is_variable(variable), "{name}: {variable}");
                reached.insert(variable.as_str());
            }
            for part in parts(value) {
                if let Part::Optional(from, _) | Part::Required(from) = part {
                    assert!(OWN.contains(&from) || is_variable(from), "{name}: {from}");
                }
            }
        }
    }
    let elsewhere: BTreeSet<_> = ELSEWHERE.iter().map(|(name, _)| *name).collect();
    let all: BTreeSet<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
    let left: Vec<_> = all.difference(&reached).copied().collect();
    assert_eq!(left, elsewhere.into_iter().collect::<Vec<_>>());
}

#[test]
fn no_secret_is_written_down() {
    for (name, service) in compose().services {
        for (variable, value) in &service.environment {
            let secret = ["PASSWORD", "SECRET", "_KEY"];
            if secret.iter().any(|word| variable.contains(word)) && variable != "JWT_KEYS_DIR" {
                let empty_without_env = fill(value).replace(SAMPLE, "").replace('"', "").is_empty();
                assert!(empty_without_env, "{name}: {variable}");
            }
        }
    }
}

#[test]
fn services_wait_for_services_that_can_tell_that_they_are_ready() {
    let services = compose().services;
    for (name, service) in &services {
        let ends = name == "provision";
        assert_eq!(service.healthcheck.is_some(), !ends, "{name}");
        for (needed, Needed { condition }) in &service.depends_on {
            let possible = if services[needed].healthcheck.is_some() {
                "service_healthy"
            } else {
                "service_completed_successfully"
            };
            assert_eq!(condition, possible, "{name} waits for {needed}");
        }
    }
}
