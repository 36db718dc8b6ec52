//! The Ed25519 keys of access tokens, one PKCS#8 PEM file each.
//!
//! To rotate, put another `*.pem` into the folder and restart: the newest file signs, every file
//! verifies. Remove the old one when its last token has expired.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};

/// Name of the key that is made when there is none.
const FIRST: &str = "first.pem";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path} cannot be read or written")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} holds no Ed25519 key as PKCS#8 PEM")]
    Malformed { path: PathBuf },
    #[error("{dir} holds no key, although one was just made")]
    Missing { dir: PathBuf },
}

/// A key pair.
pub(super) struct Key {
    /// Thumbprint of the public key ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    pub id: String,
    /// The public key as a JSON Web Key names it.
    pub x: String,
    pub signing: EncodingKey,
    pub verifying: DecodingKey,
}

/// The keys of a folder, the oldest first and at least one; makes folder and key if need be.
///
/// Processes that start at once agree on the key that is made: it gets its name by a hard link, which
/// only one of them wins, and all of them read it back.
pub(super) fn load(dir: &Path) -> Result<Vec<Key>, KeyError> {
    let keys = read_all(dir)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    make_first(dir)?;
    let keys = read_all(dir)?;
    if keys.is_empty() {
        return Err(KeyError::Missing {
            dir: dir.to_owned(),
        });
    }
    Ok(keys)
}

impl Key {
    pub(super) fn of(pair: &SigningKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(pair.verifying_key().as_bytes());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let der = version_1(pair)
            .to_pkcs8_der()
            .expect("32 bytes always fit into PKCS#8");
        Self {
            id: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes())),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_components(&x).expect("encoded above"),
            x,
        }
    }
}

fn read_all(dir: &Path) -> Result<Vec<Key>, KeyError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(dir)(error)),
    };
    let mut found: Vec<(SystemTime, PathBuf, Key)> = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            let modified = fs::metadata(&path).and_then(|file| file.modified());
            found.push((
                modified.map_err(io_error(&path))?,
                path.clone(),
                read(&path)?,
            ));
        }
    }
    // Files of one age, as a restored backup has them, still have one order everywhere.
    found.sort_by(|(a_time, a_path, _), (b_time, b_path, _)| {
        (a_time, a_path).cmp(&(b_time, b_path))
    });
    Ok(found.into_iter().map(|(_, _, key)| key).collect())
}

fn read(path: &Path) -> Result<Key, KeyError> {
    let pem = fs::read_to_string(path).map_err(io_error(path))?;
    let pair = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| KeyError::Malformed {
        path: path.to_owned(),
    })?;
    Ok(Key::of(&pair))
}

fn make_first(dir: &Path) -> Result<(), KeyError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_error(dir))?;
    let pair = SigningKey::from_bytes(&rand::random());
    let pem = version_1(&pair)
        .to_pkcs8_pem(LineEnding::LF)
        .expect("32 bytes always fit into PKCS#8");
    let draft = dir.join(format!(".{}.draft", uuid::Uuid::new_v4()));
    let linked =
        write(&draft, pem.as_bytes()).and_then(|()| fs::hard_link(&draft, dir.join(FIRST)));
    fs::remove_file(&draft).map_err(io_error(&draft))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(dir)(error)),
        _ => File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io_error(dir)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Without the public half: what `openssl genpkey` writes, and what jsonwebtoken reads.
fn version_1(pair: &SigningKey) -> KeypairBytes {
    KeypairBytes {
        secret_key: pair.to_bytes(),
        public_key: None,
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn ids(dir: &Path) -> Vec<String> {
        load(dir).unwrap().into_iter().map(|key| key.id).collect()
    }

    #[test]
    fn the_first_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("deep/keys");
        let first = ids(&keys);
        assert_eq!(first.len(), 1);
        assert_eq!(first, ids(&keys));
        let mode = fs::metadata(keys.join(FIRST)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| ids(dir.path()))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(found.iter().all(|ids| ids == &found[0]), "{found:?}");
    }

    #[test]
    fn the_newest_key_is_last() {
        let dir = tempfile::tempdir().unwrap();
        let old = ids(dir.path());
        let file = File::open(dir.path().join(FIRST)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let pair = SigningKey::from_bytes(&[7; 32]);
        let pem = version_1(&pair).to_pkcs8_pem(LineEnding::LF).unwrap();
        write(&dir.path().join("0.pem"), pem.as_bytes()).unwrap();
        assert_eq!(ids(dir.path()), [old[0].clone(), Key::of(&pair).id]);
    }

    #[test]
    fn a_file_that_is_no_key_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            fs::write(dir.path().join("x.pem"), text).unwrap();
            assert!(matches!(load(dir.path()), Err(KeyError::Malformed { .. })));
        }
    }

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_8037() {
        let secret = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let key = Key::of(&SigningKey::from_bytes(&secret.try_into().unwrap()));
        assert_eq!(key.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
