//! What holds for every text.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["Maria López", "Will O'Brien", "李雷"];

#[test]
fn what_looks_like_a_placeholder_comes_back_as_it_was() {
    let mut redactor = Redactor::new(["Maria Lopez"]);
    let text = "[NAME_1] said [NAME_1_2], Maria Lopez [[PHONE_1]] [NAME_x]";
    let redacted = redactor.redact(text);
    assert_eq!(
        redacted,
        "[LITERAL_1] said [LITERAL_2], [NAME_1] [[LITERAL_3]] [NAME_x]"
    );
    assert_eq!(redactor.restore(&redacted), text);
    assert_eq!(
        redactor.restore("[NAME_1] [PHONE_1]"),
        "Maria Lopez [PHONE_1]"
    );
}

#[test]
fn a_value_keeps_its_placeholder_from_text_to_text() {
    let mut redactor = Redactor::new(["Maria López"]);
    assert_eq!(redactor.redact("Maria, 555-0100"), "[NAME_1], [PHONE_1]");
    assert_eq!(
        redactor.redact("555 0199 or 555 0100"),
        "[PHONE_2] or [PHONE_1_2]"
    );
    assert_eq!(
        redactor.redact("maria López: 555-0100"),
        "[NAME_1_2]: [PHONE_1]"
    );
    assert_eq!(redactor.restore("[PHONE_1_2] [NAME_1]"), "555 0100 Maria");
}

#[test]
fn the_places_are_those_of_the_original() {
    let text = "Größe: Maria López, 555-0100!";
    let redacted = Redactor::new(NAMES).redact_with_places(text);
    let replaced = redacted.replaced.iter();
    let shown: Vec<_> = replaced
        .map(|it| (&text[it.bytes.clone()], it.placeholder.as_str()))
        .collect();
    assert_eq!(
        shown,
        [("Maria López", "[NAME_1]"), ("555-0100", "[PHONE_1]")]
    );
}

/// Pieces that detectors stumble over when they stand beside each other.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "[PHONE_1]",
        "[NAME_1_2]",
        "[",
        "]",
        "_1",
        "[CARD_",
        "555",
        " 0100",
        "-",
        "4111 1111 1111 1111",
        "GB29 NWBK 6016 1331 9268 19",
        " double",
        " five",
        " oh",
        " at ",
        " dot com",
        "@",
        "a@b.de",
        " born ",
        "3/5/1984",
        " May 3rd",
        " account ",
        "12 High Street, ",
        "SW1A 1AA",
        "Maria",
        " López",
        "O'Brien",
        "李雷",
        "́",
        "ß",
        "\u{0}",
        "\u{200b}",
        "\n",
        " ",
        ", ",
        ". ",
        "İ",
        "ǅ",
        "٣",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => any::<String>(), 1 => "[0-9 ,.-]{0,24}"]
}

proptest! {
    #[test]
    fn restoring_gives_the_text_back(
        texts in prop::collection::vec(prop::collection::vec(piece(), 0..24), 1..4),
    ) {
        let mut redactor = Redactor::new(NAMES);
        let texts: Vec<_> = texts.iter().map(|pieces| pieces.concat()).collect();
        let redacted: Vec<_> = texts.iter().map(|text| redactor.redact(text)).collect();
        for (text, redacted) in texts.iter().zip(&redacted) {
            prop_assert_eq!(&redactor.restore(redacted), text);
        }
        let mut again = Redactor::new(NAMES);
        let repeated: Vec<_> = texts.iter().map(|text| again.redact(text)).collect();
        prop_assert_eq!(repeated, redacted);
    }
}

#[test]
fn marks_above_digits_hide_nothing() {
    // Glagolitic and Devanagari marks, which stand on a digit as an accent does.
    for mark in ['\u{1e002}', '\u{93e}', '\u{20dd}'] {
        let card = format!("4{mark}111 1111 1111 1111");
        assert_eq!(Redactor::new(NAMES).redact(&card), "[CARD_1]", "{card}");
    }
}

/// Times of texts of one size and of ten times that size: what is quadratic takes a hundred times as
/// long.
#[test]
fn time_grows_with_the_length_on_hostile_text() {
    let shapes = [
        "1 ",
        "1, ",
        "a@",
        "at at dot at ",
        "at-",
        "at dash ",
        "[PHONE_1",
        "[PHONE_1]",
        "g b ",
        "four one ",
        "4111 1111 1111 1111 ",
        "1.1.1.",
        "Flat 4, 12 St. ",
        "12 rue de ",
        "SW1A ",
        "born May 3rd ",
        "account 1, ",
        "m-a-r-i-a ",
        "plus (555-0100 ",
        "x ",
    ];
    let time = |shape: &str, bytes: usize| {
        let text = shape.repeat(bytes / shape.len());
        let mut redactor = Redactor::new(NAMES);
        let begun = Instant::now();
        let redacted = redactor.redact(&text);
        let took = begun.elapsed();
        assert_eq!(redactor.restore(&redacted), text, "{shape}");
        took
    };
    for shape in shapes {
        let (small, large) = (time(shape, 20_000), time(shape, 200_000));
        // A second is far above the time of any text that is linear, in a build without optimisation.
        let is_linear = large < small * 40 || large.as_millis() < 1_000;
        assert!(
            is_linear,
            "{shape:?}: {small:?} for 20 kB, {large:?} for 200 kB"
        );
    }
}
