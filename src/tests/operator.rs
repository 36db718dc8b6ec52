//! `aftercall user`: the program itself, on the database of a test.

use std::process::{Output, Stdio};

use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use reqwest::Url;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::clinics::{found, log_in};
use crate::support::TestIngress;

const PROGRAM: &str = env!("CARGO_BIN_EXE_aftercall");

/// The administrator's address of the test's database.
pub fn admin_url(harness: &Harness) -> String {
    let env = harness.env(Process::Ingress);
    let of = |name: &str| -> Url {
        let (_, value) = env.iter().find(|(known, _)| *known == name).expect(name);
        value.parse().expect("an address")
    };
    let mut url = of("DATABASE_ADMIN_URL");
    url.set_path(of("DATABASE_URL").path());
    url.into()
}

async fn user(url: &str, args: &[&str], stdin: &str) -> Output {
    run(url, &[&["user"], args].concat(), stdin).await
}

/// Runs the program with nothing in its environment but the administrator's address.
pub async fn run(url: &str, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .env_clear()
        .env("DATABASE_ADMIN_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let mut input = child.stdin.take().expect("a pipe");
    // A program that reads nothing may be gone already.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    child.wait_with_output().await.expect("an end")
}

#[track_caller]
pub fn printed(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(err, "");
    out
}

#[track_caller]
pub fn refused(output: &Output, code: i32, message: &str) {
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(err.contains(message), "{err}");
    assert_eq!(text(&output.stdout), "");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_first_admin_is_made_on_the_command_line() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let url = admin_url(&harness);
    let create = [
        "create",
        "--email",
        "Root@example.org",
        "--name",
        "Root",
        "--role",
        "admin",
    ];
    let made = printed(&user(&url, &create, "").await);
    let password = made
        .lines()
        .find_map(|line| line.strip_prefix("password, shown only now: "))
        .expect("a password");
    assert_eq!(password.len(), 20);
    let root = log_in(&ingress, "root@example.org", password).await;
    let me = root.get("/auth/me").await.json();
    assert_eq!(
        (&me["role"], &me["email"]),
        (&json!("admin"), &json!("root@example.org"))
    );
    assert_eq!(root.get("/clinics").await.status, 200);

    let clinic = found(&harness).await.to_string();
    let given = [
        "create",
        "--email",
        "ada@example.org",
        "--name",
        "Ada",
        "--clinic",
        &clinic,
        "--password-stdin",
    ];
    let made = printed(&user(&url, &given, "correct horse\n").await);
    assert!(!made.contains("password"), "{made}");
    let ada = log_in(&ingress, "ada@example.org", "correct horse").await;
    assert_eq!(ada.get("/auth/me").await.json()["clinic_id"], json!(clinic));

    let listed = printed(&user(&url, &["list"], "").await);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[1].contains("ada@example.org") && lines[1].contains(&clinic));
    assert!(lines[2].contains("admin"));

    let off = printed(&user(&url, &["deactivate", "ADA@example.org"], "").await);
    assert!(off.contains("signed out everywhere"), "{off}");
    assert_eq!(ada.get("/auth/me").await.problem(401), "unauthorized");
    let again = printed(&user(&url, &["deactivate", "ada@example.org"], "").await);
    assert!(again.contains("inactive already"), "{again}");
    let log = root.get("/audit").await.json();
    let entries = log["items"].as_array().unwrap();
    let operator = entries.iter().filter(|entry| entry["actor"].is_null());
    let mut actions: Vec<_> = operator
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    actions.sort_unstable();
    assert_eq!(
        actions,
        ["user.created", "user.created", "user.deactivated"]
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let harness = Harness::start().await;
    let url = admin_url(&harness);
    let create = [
        "create",
        "--email",
        "root@example.org",
        "--name",
        "Root",
        "--role",
        "admin",
    ];
    printed(&user(&url, &create, "").await);
    refused(
        &user(&url, &create, "").await,
        1,
        "somebody has this e-mail address already",
    );
    refused(
        &user(&url, &["deactivate", "root@example.org"], "").await,
        1,
        "last active admin",
    );
    refused(
        &user(&url, &["deactivate", "no@example.org"], "").await,
        1,
        "nobody has the e-mail",
    );
    let with = |args: &[&'static str]| {
        [&["create", "--name", "A", "--email", "a@example.org"], args].concat()
    };
    let nowhere = with(&["--clinic", "01980000-0000-7000-8000-000000000001"]);
    refused(&user(&url, &nowhere, "").await, 1, "the id of no clinic");
    refused(
        &user(&url, &with(&["--role", "boss"]), "").await,
        2,
        "counselor, manager, admin",
    );
    refused(
        &user(&url, &with(&["--password-stdin"]), "short\n").await,
        1,
        "at least 8 characters",
    );
    refused(
        &user(&url, &with(&["--password-stdin"]), "").await,
        1,
        "at least 8 characters",
    );
    let unnamed = ["create", "--name", " ", "--email", "a@example.org"];
    refused(&user(&url, &unnamed, "").await, 1, "--name must have");
    refused(
        &user(&url, &["create", "--name", "A", "--email", "nobody"], "").await,
        2,
        "e-mail address",
    );
    let closed = "postgres://postgres:x@127.0.0.1:1/aftercall";
    refused(
        &user(closed, &["list"], "").await,
        1,
        "Postgres does not answer",
    );
    let mut empty: Url = url.parse().expect("an address");
    empty.set_path("template1");
    refused(
        &user(empty.as_str(), &["list"], "").await,
        1,
        "run `aftercall provision` first",
    );
    harness.finish().await;
}
