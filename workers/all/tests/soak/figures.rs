//! Figures: the highest memory of a process, and a line for each measurement.

use std::fmt::Display;

use rustix::process::Pid;

pub const MIB: u64 = 1024 * 1024;

/// The most memory that a process had resident so far (`VmHWM`), in bytes.
pub fn peak_bytes(pid: Pid) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("it runs");
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .expect("Linux tells it");
    kibibytes.trim().parse::<u64>().expect("a number") * 1024
}

/// Prints a line of the table that `make soak` shows.
pub fn report(what: impl Display, figure: impl Display) {
    println!("| {what} | {figure} |");
}
