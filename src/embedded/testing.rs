//! Where the tests of the embedded servers find and put things.

use std::path::PathBuf;

/// The tools of the checkout, so that a run of the tests installs nothing twice.
pub fn tools_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".local/tools")
}
