//! `aftercall-all up`: its walkthrough works as it is printed, its data is found again, and nothing
//! outlives it.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use crate::account::{Account, Running, recorded_pids, remembered_ports, terminate};

/// A running program and the lines to paste that it printed.
struct Up {
    running: Running,
    walkthrough: String,
}

impl Up {
    fn start(account: &Account, port: u16) -> Self {
        let mut command = account.command("up", &[]);
        let mut process = command.env("PORT", port.to_string()).spawn().unwrap();
        let walkthrough = read_walkthrough(&mut process);
        let mut ports = remembered_ports(&account.data_dir());
        ports.push(port);
        Self {
            running: Running {
                process,
                environment: std::collections::BTreeMap::new(),
                pids: recorded_pids(&account.data_dir()),
                ports,
            },
            walkthrough,
        }
    }
}

fn read_walkthrough(process: &mut Child) -> String {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut text = String::new();
    for line in lines.by_ref().map(Result::unwrap) {
        if line.starts_with("Or, with a progress display") {
            break;
        }
        if !text.is_empty() || line.starts_with("export ") {
            text.push_str(&line);
            text.push('\n');
        }
    }
    assert!(!text.is_empty(), "it printed no walkthrough");
    text
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn shell(script: &str) -> String {
    let output = Command::new("bash").args(["-c", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[test]
fn its_walkthrough_works_and_its_data_survives_a_kill() {
    let account = Account::own();
    let port = free_port();
    let mut first = Up::start(&account, port);
    let text = shell(&first.walkthrough);
    assert!(text.contains("event: analysis.completed"), "{text}");
    assert!(text.contains("Riverside Clinic"), "{text}");
    let password = account.data_dir().join("demo-password");
    let mode = std::fs::metadata(password).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    first.running.process.kill().unwrap();
    first.running.process.wait().unwrap();
    first.running.assert_gone();

    let mut second = Up::start(&account, port);
    let exports: Vec<_> = second.walkthrough.lines().take(3).collect();
    let list = r#"curl -sS -H "$AUTH" "$API/sessions?status=completed""#;
    let text = shell(&format!("{}\n{list}", exports.join("\n")));
    assert!(text.contains(r#""status":"completed""#), "{text}");

    terminate(&second.running.process);
    assert!(second.running.process.wait().unwrap().success());
    assert!(second.running.is_gone());
    assert!(recorded_pids(&account.data_dir()).is_empty());
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_starts() {
    let account = Account::own();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = account
        .command("up", &[])
        .env("PORT", port.to_string())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("choose another with PORT"), "{errors}");
    assert!(!account.data_dir().join("pids").exists());
}
