//! Contractions written out, and one spelling where there are two.
//!
//! A small table of what callers say, not a dictionary.

/// The words that stand for one written word, which is in lower case.
pub fn written_out(word: &str) -> Vec<String> {
    if let Some((_, spelling)) = SPELLINGS.iter().find(|(from, _)| *from == word) {
        return spelling.split_whitespace().map(str::to_owned).collect();
    }
    for (ending, expansion) in CONTRACTIONS {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            return vec![stem.replace('\'', ""), expansion.to_owned()];
        }
    }
    match word.strip_suffix("'s") {
        Some(stem) if BEFORE_IS.contains(&stem) => vec![stem.to_owned(), "is".to_owned()],
        _ => vec![word.replace('\'', "")],
    }
}

const SPELLINGS: [(&str, &str); 24] = [
    ("dr", "doctor"),
    ("mr", "mister"),
    ("mrs", "missus"),
    ("ok", "okay"),
    ("alright", "all right"),
    ("o'clock", ""),
    ("won't", "will not"),
    ("can't", "can not"),
    ("cannot", "can not"),
    ("shan't", "shall not"),
    ("let's", "let us"),
    ("y'all", "you all"),
    ("apologise", "apologize"),
    ("behaviour", "behavior"),
    ("cancelled", "canceled"),
    ("centre", "center"),
    ("colour", "color"),
    ("favour", "favor"),
    ("favourite", "favorite"),
    ("grey", "gray"),
    ("neighbour", "neighbor"),
    ("organise", "organize"),
    ("programme", "program"),
    ("realise", "realize"),
];

const CONTRACTIONS: [(&str, &str); 6] = [
    ("n't", "not"),
    ("'ll", "will"),
    ("'ve", "have"),
    ("'re", "are"),
    ("'m", "am"),
    ("'d", "would"),
];

/// After these `'s` is "is"; after anything else it is taken for a possessive.
const BEFORE_IS: [&str; 11] = [
    "he", "she", "it", "that", "there", "here", "what", "who", "where", "how", "when",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_written_out() {
        for (written, said) in [
            ("don't", "do not"),
            ("won't", "will not"),
            ("can't", "can not"),
            ("it's", "it is"),
            ("anna's", "annas"),
            ("we'll", "we will"),
            ("she'd", "she would"),
            ("shouldn't've", "shouldnt have"),
            ("let's", "let us"),
            ("mrs", "missus"),
            ("alright", "all right"),
            ("o'clock", ""),
            ("programme", "program"),
            ("word", "word"),
            ("n't", "nt"),
        ] {
            assert_eq!(written_out(written).join(" "), said, "from {written:?}");
        }
    }
}
