//! `docs/agents.md`: every code block is run as it stands there.

use std::path::{Path, PathBuf};
use std::process::Output;

use aftercall::embedded::install;
use serde_json::Value;
use tokio::process::Command;

use super::scene::{Scene, lines};

const PAGE: &str = include_str!("../../../docs/agents.md");
const EXAMPLE: &str = include_str!("../../../docs/agent.rs");

/// Language and text of each code block.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut blocks = Vec::new();
    let mut rest = PAGE;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').expect("a line after the fence");
        let (text, after) = block.split_once("```").expect("the end of the block");
        blocks.push((language, text));
        rest = after;
    }
    blocks
}

fn of(language: &str) -> Vec<&'static str> {
    let found = blocks().into_iter().filter(|(it, _)| *it == language);
    found.map(|(_, text)| text).collect()
}

/// Runs a program with the settings that the page names.
async fn run(scene: &Scene, mut command: Command) -> String {
    let output: Output = command
        .env("AFTERCALL_URL", format!("http://{}", scene.ingress.address))
        .env("AFTERCALL_NATS_URL", &scene.url)
        .env("AFTERCALL_CLIENT_ID", scene.ours.client.to_string())
        .env("AFTERCALL_API_KEY", &scene.ours.key)
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The one call that is stored, after `accepted ID` was printed.
async fn assert_stored(scene: Scene, printed: &str) {
    let id = printed
        .trim()
        .strip_prefix("accepted ")
        .expect(printed)
        .to_owned();
    let stored = lines(&scene.harness).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0]["id"], id.as_str());
    assert_eq!(stored[0]["client_id"], scene.ours.client.to_string());
    scene.finish().await;
}

#[test]
fn there_is_no_block_that_no_test_runs() {
    let found: Vec<_> = blocks().into_iter().map(|(language, _)| language).collect();
    assert_eq!(found, ["sh", "sh", "python", "rust"]);
}

#[tokio::test]
async fn curl_sends_calls() {
    let scene = Scene::start().await;
    let blocks = of("sh");
    let mut shell = Command::new("sh");
    shell.args(["-euc", blocks[0]]);
    let answer: Value = serde_json::from_str(&run(&scene, shell).await).expect("JSON");
    assert_eq!(answer["status"], "accepted", "{answer}");
    let stored = lines(&scene.harness).await;
    assert_eq!(stored[0]["id"], answer["id"]);
    assert_eq!(stored[0]["call"]["duration_seconds"], 45.5);

    let mut shell = Command::new("sh");
    shell.args(["-euc", blocks[1]]);
    let answer: Value = serde_json::from_str(&run(&scene, shell).await).expect("JSON");
    assert_eq!(
        (&answer["accepted"], &answer["rejected"]),
        (&2.into(), &0.into()),
        "{answer}"
    );
    assert_eq!(lines(&scene.harness).await.len(), 3);
    scene.finish().await;
}

#[tokio::test]
async fn an_agent_in_python_publishes_a_call() {
    let scene = Scene::start().await;
    let python = install::agent(&tools_dir(&scene)).await.expect("nats-py");
    let mut command = Command::new(&python.python);
    command
        .env("PYTHONPATH", &python.dir)
        .args(["-c", of("python")[0]]);
    let printed = run(&scene, command).await;
    assert_stored(scene, &printed).await;
}

#[tokio::test]
async fn an_agent_in_rust_publishes_a_call() {
    assert!(
        EXAMPLE.ends_with(of("rust")[0]),
        "docs/agent.rs is another agent"
    );
    let scene = Scene::start().await;
    let tests = std::env::current_exe().expect("a path");
    let debug = tests.ancestors().nth(2).expect("target/debug/deps");
    let program = debug.join("examples/agent");
    assert!(
        program.exists(),
        "build it with `cargo build --example agent`"
    );
    let printed = run(&scene, Command::new(program)).await;
    assert_stored(scene, &printed).await;
}

fn tools_dir(scene: &Scene) -> PathBuf {
    let env = scene
        .harness
        .env(aftercall::db::provision::Process::Ingress);
    let dir = env
        .text("EMBEDDED_TOOLS_DIR")
        .expect("checked by the harness");
    Path::new(&dir).to_owned()
}
