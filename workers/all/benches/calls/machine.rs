//! What the kernel says of processes: processor time and the most memory (proc(5)).

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;

/// Of `/proc/<pid>/stat`, which on Linux is always this for programs.
const TICKS_PER_S: f64 = 100.0;

/// A process as `/proc/<pid>/stat` has it.
struct Stat {
    parent: i32,
    /// Of the process alone.
    own_ticks: u64,
    /// Of its children that ended.
    ended_ticks: u64,
}

/// Processor seconds of a process, of those it started, and of those of them that ended.
pub fn cpu_s(pid: i32) -> anyhow::Result<f64> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        if let Ok(stat) = stat(pid) {
            parents.insert(pid, stat);
        }
    }
    anyhow::ensure!(parents.contains_key(&pid), "process {pid} has ended");
    let of = |stat: &Stat| stat.own_ticks + stat.ended_ticks;
    let ticks: u64 = parents
        .iter()
        .filter(|(each, _)| is_of(&parents, **each, pid))
        .map(|(_, stat)| of(stat))
        .sum();
    Ok(crate::figures::real(ticks) / TICKS_PER_S)
}

/// Processor seconds of this process.
pub fn own_cpu_s() -> anyhow::Result<f64> {
    let own = i32::try_from(std::process::id())?;
    Ok(crate::figures::real(stat(own)?.own_ticks) / TICKS_PER_S)
}

/// The most memory that a process, or one that it started, had resident (`VmHWM`), in bytes.
pub fn peak_bytes(pid: i32) -> anyhow::Result<u64> {
    let mut most = peak_of_one(pid)?;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if stat(child).is_ok_and(|stat| stat.parent == pid) {
            most = most.max(peak_of_one(child).unwrap_or_default());
        }
    }
    Ok(most)
}

/// The parent of a process.
pub fn parent(pid: i32) -> anyhow::Result<i32> {
    Ok(stat(pid)?.parent)
}

fn is_of(all: &BTreeMap<i32, Stat>, pid: i32, ancestor: i32) -> bool {
    let mut at = pid;
    loop {
        if at == ancestor {
            return true;
        }
        match all.get(&at) {
            Some(stat) if stat.parent > 0 => at = stat.parent,
            _ => return false,
        }
    }
}

fn peak_of_one(pid: i32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
        .context("no memory")?;
    Ok(kibibytes.trim().parse::<u64>()? * 1_024)
}

/// The name stands in parentheses and may hold anything: fields are counted behind it.
fn stat(pid: i32) -> anyhow::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("malformed")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let field = |number: usize| fields.get(number - 3).context("malformed");
    Ok(Stat {
        parent: field(4)?.parse()?,
        own_ticks: field(14)?.parse::<u64>()? + field(15)?.parse::<u64>()?,
        ended_ticks: field(16)?.parse::<u64>()? + field(17)?.parse::<u64>()?,
    })
}
