//! A transcript as plain text, SubRip and WebVTT.

use std::fmt::Write as _;

use super::transcript::{Transcript, Turn};

/// One line a turn: `[00:01:02] speaker_0: text`.
pub fn text(transcript: &Transcript) -> String {
    let mut out = String::new();
    for turn in &transcript.turns {
        let (speaker, line) = (one_line(&turn.speaker), one_line(&turn.text));
        let _ = writeln!(out, "[{}] {speaker}: {line}", time(turn.start_ms));
    }
    out
}

/// [SubRip](https://en.wikipedia.org/wiki/SubRip): numbered cues, comma before the milliseconds.
pub fn srt(transcript: &Transcript) -> String {
    let mut out = String::new();
    for (number, turn) in (1..).zip(&transcript.turns) {
        let (start, end) = times(turn, ',');
        let line = one_line(&format!("{}: {}", turn.speaker, turn.text)).replace("-->", "→");
        let _ = writeln!(out, "{number}\n{start} --> {end}\n{line}\n");
    }
    out
}

/// [WebVTT](https://www.w3.org/TR/webvtt1/): speakers as voice spans; markup in the text is escaped.
pub fn vtt(transcript: &Transcript) -> String {
    let mut out = String::from("WEBVTT\n");
    for turn in &transcript.turns {
        let (start, end) = times(turn, '.');
        let line = escape(&one_line(&turn.text));
        let speaker = escape(&one_line(&turn.speaker));
        let _ = write!(out, "\n{start} --> {end}\n<v {speaker}>{line}\n");
    }
    out
}

/// A time of a recording in full seconds: `00:01:02`.
pub fn time(ms: i64) -> String {
    let (h, m, s, _) = clock(ms);
    format!("{h:02}:{m:02}:{s:02}")
}

fn times(turn: &Turn, mark: char) -> (String, String) {
    let time = |ms| {
        let (h, m, s, ms) = clock(ms);
        format!("{h:02}:{m:02}:{s:02}{mark}{ms:03}")
    };
    // A cue must end after it starts.
    (
        time(turn.start_ms),
        time(turn.end_ms.max(turn.start_ms + 1)),
    )
}

/// Hours, minutes, seconds and milliseconds.
fn clock(ms: i64) -> (i64, i64, i64, i64) {
    let ms = ms.max(0);
    (
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000,
    )
}

/// The text in one line: an empty line would end a cue.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RecordingId, SessionId};

    fn transcript(texts: &[&str]) -> Transcript {
        let turn = |(index, text): (u32, &&str)| Turn {
            index,
            speaker: "speaker_0".to_owned(),
            channel: 0,
            start_ms: 3_723_004,
            end_ms: 3_724_500,
            text: (*text).to_owned(),
            confidence: None,
            words: None,
            recording_id: RecordingId::generate(),
        };
        Transcript {
            session_id: SessionId::generate(),
            generation: 1,
            language: None,
            engine: "test".to_owned(),
            duration_ms: 4_000_000,
            note: None,
            turns: (0..).zip(texts).map(turn).collect(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            correction: None,
        }
    }

    #[test]
    fn times_have_hours_and_milliseconds() {
        let one = transcript(&["Hello."]);
        assert_eq!(text(&one), "[01:02:03] speaker_0: Hello.\n");
        assert_eq!(
            srt(&one),
            "1\n01:02:03,004 --> 01:02:04,500\nspeaker_0: Hello.\n\n"
        );
        assert_eq!(
            vtt(&one),
            "WEBVTT\n\n01:02:03.004 --> 01:02:04.500\n<v speaker_0>Hello.\n"
        );
    }

    #[test]
    fn nothing_that_was_said_breaks_a_cue() {
        let hostile = transcript(&["a\n\n2\n00:00 --> 00:01\n<b>b</b> & c"]);
        assert_eq!(srt(&hostile).matches("-->").count(), 1);
        assert_eq!(srt(&hostile).lines().count(), 4);
        assert!(vtt(&hostile).contains("a 2 00:00 --&gt; 00:01 &lt;b&gt;b&lt;/b&gt; &amp; c"));
    }

    #[test]
    fn no_name_breaks_a_cue() {
        let mut hostile = transcript(&["Hello."]);
        "Dr >\n\n1\n00:00 --> <i>".clone_into(&mut hostile.turns[0].speaker);
        assert_eq!(text(&hostile).lines().count(), 1);
        assert_eq!(srt(&hostile).matches("-->").count(), 1);
        assert_eq!(srt(&hostile).lines().count(), 4);
        assert!(vtt(&hostile).contains("<v Dr &gt; 1 00:00 --&gt; &lt;i&gt;>Hello."));
    }

    #[test]
    fn nobody_spoke() {
        let empty = transcript(&[]);
        assert_eq!(
            (text(&empty), srt(&empty), vtt(&empty)),
            (String::new(), String::new(), "WEBVTT\n".to_owned())
        );
    }
}
