//! `aftercall-all demo`: what it shows, and that it leaves nothing running.

use std::process::Stdio;

use crate::account::{Account, recorded_pids};

#[test]
fn the_demo_shows_a_transcript_an_analysis_and_its_marks() {
    let account = Account::own();
    let output = account
        .command("demo", &[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{errors}");
    for expected in [
        "speaker_0  Good morning, Riverside Clinic",
        "Word errors     0.0",
        "Analysis: ",
        "  Sentiment ",
        "  transcription ",
        "everything is stopped",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest.unwrap() <= 80, "{text}");
    // Not a terminal: one line for each step, and no control characters.
    assert!(errors.contains("\nanalysis: done\n"), "{errors}");
    assert!(
        !errors.contains('\u{1b}') && !text.contains('\u{1b}'),
        "{errors}"
    );
    assert!(recorded_pids(&account.data_dir()).is_empty());
}

#[test]
fn a_demo_that_cannot_start_says_why() {
    let account = Account::own();
    let output = account
        .command("demo", &[])
        .env("NATS_URL", "nats://127.0.0.1:9")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("error: the demo failed"), "{errors}");
    assert!(errors.contains("NATS could not be provisioned"), "{errors}");
    assert!(recorded_pids(&account.data_dir()).is_empty());
}
