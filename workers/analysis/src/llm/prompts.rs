//! What the model is told, from the files in `prompts/`, and the fence around what it is to read.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::schema;

pub const ANALYZE: &str = include_str!("../../prompts/analyze.md");
pub const REDUCE: &str = include_str!("../../prompts/reduce.md");
pub const REPAIR: &str = include_str!("../../prompts/repair.md");

/// Changes with every word that the model is told: the prompts, and the schemas of its answers.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for text in [ANALYZE, REDUCE, REPAIR] {
        hash.update(text);
        hash.update([0]);
    }
    hash.update(schema::findings(&[]).to_string());
    hash.update(schema::reduction().to_string());
    format!("sha256:{}", hex(&hash.finalize()))
});

/// Puts `data` between fence lines that carry a word which nobody who wrote it could know.
pub fn fenced(data: &str) -> String {
    let mut word = random_word();
    while data.contains(&word) {
        word = random_word();
    }
    format!("=== BEGIN {word} ===\n{data}\n=== END {word} ===")
}

fn random_word() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_new_each_time_and_holds_the_data() {
        let (one, other) = (fenced("said"), fenced("said"));
        assert_ne!(one, other);
        let word = one.split_whitespace().nth(2).expect("a word");
        assert_eq!(word.len(), 32);
        assert_eq!(
            one,
            format!("=== BEGIN {word} ===\nsaid\n=== END {word} ===")
        );
    }

    #[test]
    fn the_version_is_a_hash() {
        assert_eq!(VERSION.len(), "sha256:".len() + 64);
    }
}
