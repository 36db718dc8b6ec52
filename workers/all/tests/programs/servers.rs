//! `aftercall-all servers`: what it leaves behind, however it ends.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::geteuid;

use crate::account::{Account, recorded_pids, terminate};

/// Kills the program twice, the second time with data to find again, then stops it.
fn leaves_nothing_behind(account: &Account) {
    let mut environment = None;
    for _ in 0..2 {
        let mut running = account.start();
        running.assert_serving();
        assert_eq!(
            environment.get_or_insert(running.environment.clone()),
            &running.environment
        );
        running.process.kill().unwrap();
        running.process.wait().unwrap();
        running.assert_gone();
    }
    let mut running = account.start();
    running.assert_serving();
    terminate(&running.process);
    assert!(running.process.wait().unwrap().success());
    assert!(running.is_gone());
    assert!(recorded_pids(&account.data_dir()).is_empty());
}

#[test]
fn a_killed_program_leaves_nothing_behind() {
    leaves_nothing_behind(&Account::own());
}

/// Only root can become somebody else; anybody else has run the test above as an ordinary user.
#[test]
fn a_killed_program_of_an_ordinary_user_leaves_nothing_behind() {
    if geteuid().is_root() {
        leaves_nothing_behind(&Account::nobody());
    }
}

#[test]
fn a_second_program_on_the_same_data_is_refused() {
    let account = Account::own();
    let mut running = account.start_by(&mut account.quick_servers(&[]), "S3_BUCKET");
    let second = account
        .servers(&[])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let expected = format!("is in use by process {}", running.process.id());
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(message.contains(&expected), "{message}");
    assert!(!running.is_gone());
    terminate(&running.process);
    running.process.wait().unwrap();
}

#[test]
fn a_command_runs_with_the_servers_and_gives_its_code() {
    let account = Account::own();
    let script = r#"echo "$NATS_URL $S3_BUCKET"; exit 7"#;
    let output = account
        .servers(&["--exec", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with("nats://aftercall:") && text.ends_with(" aftercall\n"),
        "{text}"
    );
    assert!(recorded_pids(&account.data_dir()).is_empty());
}

#[test]
fn a_command_is_asked_to_stop_when_the_program_is() {
    let account = Account::own();
    let script = "trap 'exit 5' TERM; echo running; while :; do sleep 0.1; done";
    let mut process = account
        .servers(&["--exec", "sh", "-c", script])
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "running\n");
    terminate(&process);
    assert_eq!(process.wait().unwrap().code(), Some(5));
}
