//! Signing keys that are rotated while two ingresses run.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use aftercall::auth::{PUBLISHED_FOR, list_keys, rotate_keys};
use aftercall::config::jwt_keys_dir;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestIngress};

const ME: &str = "/api/v1/auth/me";
/// In which a running process must know what changed.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes all keys of the folder older, as if time had passed.
fn age(dir: &Path, by: Duration) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let file = File::open(entry.expect("an entry").path()).expect("a key");
        let since = file
            .metadata()
            .and_then(|file| file.modified())
            .expect("a time");
        file.set_modified(since - by).expect("ours");
    }
}

async fn published(ingress: &TestIngress) -> Vec<String> {
    let keys = ingress.get("/.well-known/jwks.json", None).await.json();
    let ids = keys["keys"].as_array().expect("keys").iter();
    ids.map(|key| key["kid"].as_str().expect("an id").to_owned())
        .collect()
}

async fn log_in(ingress: &TestIngress) -> String {
    let login = json!({ "email": "ada@example.org", "password": PASSWORD });
    let answer = ingress.post_json("/api/v1/auth/login", None, &login).await;
    answer.json()["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

fn key_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap_or_default());
    let header: Value = serde_json::from_slice(&header.expect("base64")).expect("JSON");
    header["kid"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_rotation_needs_no_restart_and_signs_nobody_out() {
    let harness = Harness::start().await;
    let (here, there) = (
        TestIngress::start(&harness).await,
        TestIngress::start(&harness).await,
    );
    let dir = jwt_keys_dir(&harness.env(Process::Ingress)).unwrap();
    let old = here.register("ada@example.org").await;
    let first = key_of(&old);
    age(&dir, Duration::from_hours(1));

    let begun = Instant::now();
    let made = rotate_keys(&dir).unwrap().made;
    eventually("both publish the new key", || async {
        published(&here).await.contains(&made) && published(&there).await.contains(&made)
    })
    .await;
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let token = log_in(&here).await;
    assert_eq!(key_of(&token), first, "others may not know the new key yet");

    age(&dir, PUBLISHED_FOR);
    assert!(list_keys(&dir).unwrap().contains(&(made.clone(), true)));
    eventually("the new key signs", || async {
        key_of(&log_in(&here).await) == made
    })
    .await;
    let new = log_in(&here).await;
    for ingress in [&here, &there] {
        for token in [&old, &token, &new] {
            let answer = ingress.get(ME, Some(token)).await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }

    // The second rotation ends the first key.
    assert_eq!(rotate_keys(&dir).unwrap().removed, [first]);
    eventually("both refuse its tokens", || async {
        let answers = [
            here.get(ME, Some(&old)).await,
            there.get(ME, Some(&old)).await,
        ];
        answers
            .iter()
            .all(|answer| answer.status == StatusCode::UNAUTHORIZED)
    })
    .await;
    assert_eq!(there.get(ME, Some(&new)).await.status, StatusCode::OK);
    here.stop().await;
    there.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_folder_that_is_away_signs_nobody_out() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let dir = jwt_keys_dir(&harness.env(Process::Ingress)).unwrap();
    let token = ingress.register("ada@example.org").await;
    std::fs::rename(&dir, dir.with_extension("away")).unwrap();
    // A token of an unknown key makes the process look again.
    let other = tempfile::tempdir().unwrap();
    let settings = [("JWT_KEYS_DIR", other.path().to_str().unwrap())];
    let stranger = TestIngress::start_with(&harness, &settings).await;
    let foreign = log_in(&stranger).await;
    assert_eq!(
        ingress.get(ME, Some(&foreign)).await.problem(401),
        "unauthorized"
    );
    assert_eq!(ingress.get(ME, Some(&token)).await.status, StatusCode::OK);
    assert_eq!(key_of(&log_in(&ingress).await), key_of(&token));
    assert!(!dir.exists(), "no other key is made");
    stranger.stop().await;
    ingress.stop().await;
    harness.finish().await;
}
