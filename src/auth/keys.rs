//! The Ed25519 keys of access tokens, one PKCS#8 PEM file each.
//!
//! Every key in the folder verifies. The newest signs, but only once it has been there for as long as
//! others may keep our public keys: whoever verifies elsewhere has seen it by then.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};

/// Name of the key that is made when there is none.
const FIRST: &str = "first.pem";
/// How long others may keep our public keys.
pub const PUBLISHED_FOR: Duration = Duration::from_mins(5);
/// Keys that a rotation leaves: the new one and the one before.
const LIVE: usize = 2;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path} cannot be read or written")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} holds no Ed25519 key as PKCS#8 PEM")]
    Malformed { path: PathBuf },
    #[error("{dir} holds no key")]
    Missing { dir: PathBuf },
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// `kid` of the new key.
    pub made: String,
    /// Those whose tokens are no longer believed.
    pub removed: Vec<String>,
}

/// A key pair.
pub(super) struct Key {
    /// Since when it is in the folder.
    pub since: SystemTime,
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
    make(dir, FIRST)?;
    load_again(dir)
}

/// The keys of a folder that has had some. None is made here: a volume that is away for a moment would
/// otherwise sign everybody out.
pub(super) fn load_again(dir: &Path) -> Result<Vec<Key>, KeyError> {
    let keys = read_all(dir)?;
    if keys.is_empty() {
        return Err(KeyError::Missing {
            dir: dir.to_owned(),
        });
    }
    Ok(keys)
}

/// The key that signs, of all that were read; at least one.
pub(super) fn signing(mut keys: Vec<Key>) -> Key {
    let now = SystemTime::now();
    let published = |key: &Key| {
        now.duration_since(key.since)
            .is_ok_and(|age| age >= PUBLISHED_FOR)
    };
    let newest_published = keys.iter().rposition(published);
    // A single new key, or several that are all new: the oldest is the best known.
    keys.swap_remove(newest_published.unwrap_or(0))
}

/// Adds a key and removes all but the newest two.
///
/// Tokens of the removed keys are refused from then on, so two rotations should be further apart than an
/// access token lives.
pub fn rotate(dir: &Path) -> Result<Rotation, KeyError> {
    load(dir)?;
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = seconds.unwrap_or_default().as_secs();
    let name = format!("{seconds}-{}.pem", uuid::Uuid::new_v4().simple());
    make(dir, &name)?;
    let mut found = read_files(dir)?;
    let made = found.pop().ok_or(KeyError::Missing {
        dir: dir.to_owned(),
    })?;
    let mut removed = Vec::new();
    for (path, key) in found.iter().rev().skip(LIVE - 1) {
        fs::remove_file(path).map_err(io_error(path))?;
        removed.push(key.id.clone());
    }
    sync(dir)?;
    Ok(Rotation {
        made: made.1.id,
        removed,
    })
}

/// The `kid` of each key, the oldest first, and which of them signs.
pub fn list(dir: &Path) -> Result<Vec<(String, bool)>, KeyError> {
    let keys = read_all(dir)?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let signing = signing(keys).id;
    let listed = ids.into_iter().map(|id| {
        let signs = id == signing;
        (id, signs)
    });
    Ok(listed.collect())
}

impl Key {
    pub(super) fn of(pair: &SigningKey, since: SystemTime) -> Self {
        let x = URL_SAFE_NO_PAD.encode(pair.verifying_key().as_bytes());
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let der = version_1(pair)
            .to_pkcs8_der()
            .expect("32 bytes always fit into PKCS#8");
        Self {
            since,
            id: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes())),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_components(&x).expect("encoded above"),
            x,
        }
    }
}

fn read_all(dir: &Path) -> Result<Vec<Key>, KeyError> {
    let found = read_files(dir)?;
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

/// The files and their keys, the oldest first.
fn read_files(dir: &Path) -> Result<Vec<(PathBuf, Key)>, KeyError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(dir)(error)),
    };
    let mut found: Vec<(PathBuf, Key)> = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            let modified = fs::metadata(&path).and_then(|file| file.modified());
            let since = modified.map_err(io_error(&path))?;
            let key = read(&path, since)?;
            found.push((path, key));
        }
    }
    // Files of one age, as a restored backup has them, still have one order everywhere.
    found.sort_by(|(a_path, a), (b_path, b)| (a.since, a_path).cmp(&(b.since, b_path)));
    Ok(found)
}

fn read(path: &Path, since: SystemTime) -> Result<Key, KeyError> {
    let pem = fs::read_to_string(path).map_err(io_error(path))?;
    let pair = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| KeyError::Malformed {
        path: path.to_owned(),
    })?;
    Ok(Key::of(&pair, since))
}

/// Makes a key, unless there is one with this name: readers never see half of it.
fn make(dir: &Path, name: &str) -> Result<(), KeyError> {
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
    let linked = write(&draft, pem.as_bytes()).and_then(|()| fs::hard_link(&draft, dir.join(name)));
    fs::remove_file(&draft).map_err(io_error(&draft))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(dir)(error)),
        _ => sync(dir),
    }
}

fn sync(dir: &Path) -> Result<(), KeyError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error(dir))
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
        assert_eq!(
            ids(dir.path()),
            [old[0].clone(), Key::of(&pair, SystemTime::now()).id]
        );
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
        let pair = SigningKey::from_bytes(&secret.try_into().unwrap());
        let key = Key::of(&pair, SystemTime::now());
        assert_eq!(key.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    fn age(dir: &Path, name: &str, by: Duration) {
        let file = File::open(dir.join(name)).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    #[test]
    fn a_new_key_signs_when_others_have_had_time_to_see_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = ids(dir.path())[0].clone();
        age(dir.path(), FIRST, Duration::from_hours(1));
        let rotation = rotate(dir.path()).unwrap();
        assert_eq!(rotation.removed, [] as [String; 0]);
        let listed = list(dir.path()).unwrap();
        assert_eq!(
            listed,
            [(first.clone(), true), (rotation.made.clone(), false)]
        );
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let by = if name == FIRST {
                Duration::from_hours(1)
            } else {
                PUBLISHED_FOR
            };
            age(dir.path(), &name, by);
        }
        let listed = list(dir.path()).unwrap();
        assert_eq!(
            listed,
            [(first.clone(), false), (rotation.made.clone(), true)]
        );
        let second = rotate(dir.path()).unwrap();
        assert_eq!(second.removed, [first], "two keys live");
        assert_eq!(list(dir.path()).unwrap().len(), 2);
    }
}
