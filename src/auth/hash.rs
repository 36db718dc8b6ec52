//! How passwords are kept: argon2id, and bcrypt hashes that another system has made.
//!
//! Invariant: what a stored hash may cost is bounded, whatever it asks for.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Stands in for users who do not exist or have no password. Nobody can find its password: the output
/// was not computed from any.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Dearest bcrypt hash that is verified, about a second of a core; each step doubles it.
const MAX_BCRYPT_COST: u32 = 14;
/// Dearest argon2 hash that is verified.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// bcrypt reads no more of a password.
const BCRYPT_BYTES: usize = 72;

/// What a password is to a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but hashed as nobody would today: hash it again.
    RightButOutdated,
}

/// Why a hash cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("hash is malformed or of an unknown kind")]
    Malformed,
    #[error("hash costs more than is accepted")]
    TooCostly,
    #[error("argon2: {0}")]
    Argon2(argon2::Error),
}

/// What new hashes are made with: the least that OWASP recommends
/// (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
fn present() -> Params {
    let (memory_kib, passes, lanes) = (19 * 1024, 2, 1);
    Params::new(memory_kib, passes, lanes, Some(Params::DEFAULT_OUTPUT_LEN))
        .expect("within what argon2 allows")
}

/// Memory for one hash with the present parameters.
pub(super) fn memory() -> Vec<Block> {
    vec![Block::new(); present().block_count()]
}

/// A new hash, in the format of
/// [PHC](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
pub(super) fn make(password: &[u8], memory: &mut [Block]) -> Result<String, HashError> {
    let (params, salt) = (present(), Salt::generate());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password, &salt, &mut output, memory)
        .map_err(HashError::Argon2)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|_| HashError::Malformed)?,
        salt: Some(salt),
        hash: Some(Output::new(&output).map_err(|_| HashError::Malformed)?),
    };
    Ok(hash.to_string())
}

/// Compares in constant time.
pub(super) fn verify(
    password: &[u8],
    hash: &str,
    memory: &mut [Block],
) -> Result<Verdict, HashError> {
    if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|kind| hash.starts_with(kind))
    {
        verify_bcrypt(password, hash)
    } else {
        verify_argon2(password, hash, memory)
    }
}

fn verify_argon2(password: &[u8], hash: &str, memory: &mut [Block]) -> Result<Verdict, HashError> {
    let hash = PasswordHash::new(hash).map_err(|_| HashError::Malformed)?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str());
    let algorithm = algorithm.map_err(|_| HashError::Malformed)?;
    // A hash that names no version is from before there were two.
    let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from);
    let version = version.map_err(|_| HashError::Malformed)?;
    let params = Params::try_from(&hash).map_err(|_| HashError::Malformed)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(HashError::Malformed);
    };
    if params.m_cost() > MAX_MEMORY_KIB
        || params.t_cost() > MAX_PASSES
        || params.p_cost() > MAX_LANES
    {
        return Err(HashError::TooCostly);
    }
    let is_present =
        (algorithm, version) == (Algorithm::Argon2id, Version::V0x13) && params == present();
    let argon2 = Argon2::new(algorithm, version, params);
    let mut output = [0; Output::MAX_LENGTH];
    let output = &mut output[..expected.len()];
    let computed = if is_present {
        argon2.hash_password_into_with_memory(password, &salt, output, memory)
    } else {
        argon2.hash_password_into(password, &salt, output)
    };
    computed.map_err(HashError::Argon2)?;
    // `Output` compares in constant time.
    if Output::new(output) != Ok(expected) {
        Ok(Verdict::Wrong)
    } else if is_present {
        Ok(Verdict::Right)
    } else {
        Ok(Verdict::RightButOutdated)
    }
}

/// What is longer than bcrypt reads is compared as far as bcrypt reads, as the system did that made
/// the hash; the new hash covers all of it. Behind a NUL that system may have read nothing at all, so
/// a password with one is never right.
fn verify_bcrypt(password: &[u8], hash: &str) -> Result<Verdict, HashError> {
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| HashError::Malformed)?;
    if parts.get_cost() > MAX_BCRYPT_COST {
        return Err(HashError::TooCostly);
    }
    let read = &password[..password.len().min(BCRYPT_BYTES)];
    let matches = bcrypt::verify(read, hash).map_err(|_| HashError::Malformed)?;
    if matches && !password.contains(&0) {
        Ok(Verdict::RightButOutdated)
    } else {
        Ok(Verdict::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: u32 = 4;

    fn verdict(password: impl AsRef<[u8]>, hash: &str) -> Result<Verdict, HashError> {
        verify(password.as_ref(), hash, &mut memory())
    }

    fn argon2_with(algorithm: Algorithm, version: Version, params: Params) -> String {
        use argon2::PasswordHasher as _;
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password(b"correct horse").unwrap().to_string()
    }

    #[test]
    fn only_the_password_of_the_hash_is_right() {
        let mut memory = memory();
        let hash = make(b"correct horse", &mut memory).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(
            verify(b"correct horse", &hash, &mut memory),
            Ok(Verdict::Right)
        );
        for wrong in [
            "",
            "correct hors",
            "Correct horse",
            "correct horse ",
            "correct horse\0",
        ] {
            assert_eq!(
                verify(wrong.as_bytes(), &hash, &mut memory),
                Ok(Verdict::Wrong)
            );
        }
        let again = make(b"correct horse", &mut memory).unwrap();
        assert_ne!(hash, again, "each hash has a salt of its own");
    }

    #[test]
    fn nobody_costs_as_much_as_somebody_and_has_no_password() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&hash).unwrap(), present());
        for password in ["", "nobody", "nobody has this."] {
            assert_eq!(verdict(password, NOBODY), Ok(Verdict::Wrong));
        }
    }

    #[test]
    fn other_parameters_are_outdated() {
        let of = |m, t, p| Params::new(m, t, p, None).unwrap();
        for hash in [
            argon2_with(Algorithm::Argon2id, Version::V0x13, of(64, 2, 1)),
            argon2_with(Algorithm::Argon2id, Version::V0x13, of(19 * 1024, 3, 1)),
            argon2_with(Algorithm::Argon2i, Version::V0x13, of(19 * 1024, 2, 1)),
            argon2_with(Algorithm::Argon2id, Version::V0x10, of(64, 1, 2)),
        ] {
            assert_eq!(
                verdict("correct horse", &hash),
                Ok(Verdict::RightButOutdated),
                "{hash}"
            );
            assert_eq!(verdict("correct hors", &hash), Ok(Verdict::Wrong), "{hash}");
        }
    }

    #[test]
    fn bcrypt_hashes_are_right_but_outdated() {
        let hash = bcrypt::hash_with_salt("correct horse", CHEAP, *b"nobody has this.").unwrap();
        for version in [
            bcrypt::Version::TwoA,
            bcrypt::Version::TwoB,
            bcrypt::Version::TwoY,
        ] {
            let hash = hash.format_for_version(version);
            assert_eq!(
                verdict("correct horse", &hash),
                Ok(Verdict::RightButOutdated),
                "{hash}"
            );
            assert_eq!(verdict("correct hors", &hash), Ok(Verdict::Wrong), "{hash}");
            assert_eq!(verdict("", &hash), Ok(Verdict::Wrong), "{hash}");
        }
        let broken = hash.format_for_version(bcrypt::Version::TwoX);
        assert_eq!(verdict("correct horse", &broken), Err(HashError::Malformed));
    }

    #[test]
    fn bcrypt_reads_72_bytes_and_no_nul() {
        let long = "é".repeat(40);
        let hash = bcrypt::hash(&long, CHEAP).unwrap();
        assert_eq!(verdict(&long, &hash), Ok(Verdict::RightButOutdated));
        assert_eq!(verdict(&long[..72], &hash), Ok(Verdict::RightButOutdated));
        assert_eq!(verdict(&long[..70], &hash), Ok(Verdict::Wrong));
        let short = bcrypt::hash("abc", CHEAP).unwrap();
        assert_eq!(verdict("abc\0def", &short), Ok(Verdict::Wrong));
        let with_nul = bcrypt::hash("abc\0def", CHEAP).unwrap();
        assert_eq!(verdict("abc\0def", &with_nul), Ok(Verdict::Wrong));
    }

    #[test]
    fn what_would_take_minutes_is_refused_at_once() {
        let cheap = bcrypt::hash("x", CHEAP).unwrap();
        for cost in ["15", "31"] {
            let dear = cheap.replacen("$04$", &format!("${cost}$"), 1);
            assert_eq!(verdict("x", &dear), Err(HashError::TooCostly), "{dear}");
        }
        for params in [
            "m=4194304,t=2,p=1",
            "m=19456,t=1000000,p=1",
            "m=19456,t=2,p=64",
        ] {
            let dear = NOBODY.replacen("m=19456,t=2,p=1", params, 1);
            assert_eq!(verdict("x", &dear), Err(HashError::TooCostly), "{dear}");
        }
    }

    #[test]
    fn a_broken_hash_is_an_error_and_not_a_mismatch() {
        for broken in [
            "",
            "plain text",
            "$2b$04$short",
            "$2b$xx$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg",
            "$argon2x$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAA",
            "$scrypt$ln=1,r=1,p=1$bm9ib2R5IGhhcyB0aGlzLg$AAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(verdict("x", broken), Err(HashError::Malformed), "{broken}");
        }
    }
}
