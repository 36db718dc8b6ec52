//! Passwords of the embedded servers: random, made once for a data directory, for their owner only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use uuid::Uuid;

use super::error::{Error, Result};

/// The secret in this file, made if there is none. Letters and digits only.
pub fn load_or_make(file: &Path) -> Result<String> {
    // 122 random bits.
    load_or_make_with(file, || Uuid::new_v4().simple().to_string())
}

/// The secret in this file, made in a way of its own if there is none.
pub(super) fn load_or_make_with(file: &Path, make: impl FnOnce() -> String) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(secret) if !secret.is_empty() => return Ok(secret),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("read", file)(error));
        }
        _ => {}
    }
    let secret = make();
    write(file, &secret)?;
    Ok(secret)
}

/// Writes a secret so that only its owner ever reads it, and never half of it.
pub(super) fn write(file: &Path, secret: &str) -> Result<()> {
    let partial = file.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut open| open.write_all(secret.as_bytes()))
        .and_then(|()| fs::rename(&partial, file));
    written.map_err(Error::io("write", file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let secret = load_or_make(&file).unwrap();
        assert_eq!(secret.len(), 32);
        assert_eq!(load_or_make(&file).unwrap(), secret);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
