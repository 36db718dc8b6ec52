//! What the client got, for a plain terminal of 80 columns.
//!
//! Pure text, except for [`PipelineProgress`], which draws on standard error.
//!
//! Invariant: what a server sent never controls the terminal; see [`printable`].

mod analysis;
mod progress;
mod transcript;

pub use analysis::analysis;
pub use progress::PipelineProgress;
pub use transcript::transcript;

/// Columns that lines are broken to.
pub const WIDTH: usize = 80;

/// Text without the characters that would move the cursor or change colours.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Breaks text between words into lines of [`WIDTH`] columns. The first line begins with `first`, the
/// others are indented as far.
pub fn wrap(first: &str, text: &str) -> String {
    let text = printable(text);
    let indent = first.chars().count();
    let room = WIDTH.saturating_sub(indent).max(20);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line from the start");
        let used = line.chars().count();
        if used == 0 {
            line.push_str(word);
        } else if used + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let between = format!("\n{:indent$}", "");
    format!("{first}{}", lines.join(&between))
        .trim_end()
        .to_owned()
}

/// Milliseconds as `m:ss`, or `h:mm:ss` from an hour on.
pub fn clock(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A share as whole per cent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_hang_below_their_text() {
        let text = "word ".repeat(30);
        let wrapped = wrap("  - ", &text);
        let lines: Vec<_> = wrapped.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[0].starts_with("  - word") && lines[1].starts_with("    word"));
        assert_eq!(wrapped.matches("word").count(), 30);
    }

    #[test]
    fn a_word_longer_than_a_line_stands_alone() {
        let long = "x".repeat(100);
        assert_eq!(wrap("", &format!("a {long} b")), format!("a\n{long}\nb"));
        assert_eq!(wrap("> ", ""), ">");
    }

    #[test]
    fn text_of_a_server_cannot_control_the_terminal() {
        assert_eq!(wrap("", "\u{1b}[2Jred\u{7}\u{9b}31m"), "[2Jred 31m");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(clock(-5), "0:00");
        assert_eq!(clock(74_480), "1:14");
        assert_eq!(clock(3_600_000), "1:00:00");
    }
}
