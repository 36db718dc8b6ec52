//! Ports of 127.0.0.1, kept from one start to the next.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::error::{Error, Result};

/// Below the range from which the kernel gives ports to outgoing connections: a client that
/// reconnects to a server that is down could otherwise connect to itself and hold the port.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// The ports that servers of one data directory had last time.
#[derive(Debug)]
pub(super) struct Ports {
    file: PathBuf,
    by_name: BTreeMap<String, u16>,
}

impl Ports {
    /// A missing or damaged file means that nothing is remembered.
    pub fn load(data_dir: &Path) -> Self {
        let file = data_dir.join("ports.json");
        let by_name = fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self { file, by_name }
    }

    /// The remembered port if it is free now, else another.
    pub fn pick(&self, name: &str) -> Result<u16> {
        match self.by_name.get(name) {
            Some(&port) if is_free(port) => Ok(port),
            _ => free(),
        }
    }

    pub fn remember(&mut self, name: &str, port: u16) {
        self.by_name.insert(name.to_owned(), port);
    }

    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.by_name).expect("a map of numbers serializes");
        fs::write(&self.file, text).map_err(Error::io("write", &self.file))
    }
}

/// A port that is free now. Another process may take it before its server listens: whoever starts a
/// server tries again with another.
pub(super) fn free() -> Result<u16> {
    (0..200)
        .map(|_| rand::random_range(RANGE))
        .find(|port| is_free(*port))
        .ok_or(Error::NoFreePort)
}

pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_remembered_and_a_taken_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut ports = Ports::load(dir.path());
        let port = ports.pick("nats").unwrap();
        ports.remember("nats", port);
        ports.save().unwrap();

        let ports = Ports::load(dir.path());
        assert_eq!(ports.pick("nats").unwrap(), port);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(ports.pick("nats").unwrap(), port);
    }

    #[test]
    fn a_damaged_file_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ports.json"), "{\"nats\": 99999").unwrap();
        assert!(Ports::load(dir.path()).by_name.is_empty());
    }
}
