use std::io::{Cursor, Write};

use super::*;

/// So many seconds at 8 kHz, each channel from a function of the frame's number.
fn recording(seconds: u32, channels: &[fn(u32) -> i16]) -> File {
    let spec = WavSpec {
        channels: u16::try_from(channels.len()).unwrap(),
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    for frame in 0..seconds * 8_000 {
        for channel in channels {
            writer.write_sample(channel(frame)).unwrap();
        }
    }
    writer.finalize().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes.into_inner()).unwrap();
    file
}

fn silence(_: u32) -> i16 {
    0
}

/// A buzz.
fn loud(frame: u32) -> i16 {
    if frame % 80 < 40 { 9_000 } else { -9_000 }
}

fn shape(channels: u16, max_ms: i64) -> Shape {
    Shape {
        channels,
        max_ms,
        min_ms: 500,
        max_audio: Duration::from_secs(60),
    }
}

/// Start, length in milliseconds and channels of each part.
async fn parts(file: File, shape: Shape) -> Vec<(i64, u32, u16)> {
    let mut parts = start(file, shape).await.unwrap();
    let mut found = Vec::new();
    while let Some(part) = parts.recv().await {
        let part = part.unwrap();
        let reader = hound::WavReader::open(&part.path).unwrap();
        assert_eq!(reader.spec().sample_rate, SAMPLE_RATE_HZ);
        let length_ms = reader.duration() / 16;
        found.push((part.start_ms, length_ms, reader.spec().channels));
    }
    found
}

#[tokio::test]
async fn parts_follow_each_other_within_the_limit() {
    let found = parts(recording(25, &[silence, loud]), shape(2, 10_000)).await;
    let mut next_ms = 0;
    for (start_ms, length_ms, channels) in &found {
        assert_eq!((*start_ms, *channels), (next_ms, 2));
        assert!(*length_ms <= 10_000);
        next_ms += i64::from(*length_ms);
    }
    // The last frame is filled up.
    assert!((25_000..25_016).contains(&next_ms), "{next_ms}");
    assert!(found.len() >= 3);
    let again = parts(recording(25, &[silence, loud]), shape(2, 10_000)).await;
    assert_eq!(found, again);
}

#[tokio::test]
async fn a_pause_is_where_a_part_ends() {
    let found = parts(recording(12, &[silence]), shape(1, 10_000)).await;
    // Looked for in the last quarter, found after 304 ms.
    assert_eq!(found[0], (0, 7_792, 1));
}

#[tokio::test]
async fn more_channels_than_two_are_mixed() {
    let found = parts(recording(2, &[silence, loud, silence]), shape(1, 10_000)).await;
    assert_eq!(found, [(0, 2_000, 1)]);
}

#[tokio::test]
async fn what_is_too_short_is_filled_up() {
    fn click(frame: u32) -> i16 {
        i16::from(frame == 7) * 9_000
    }
    let mut file = recording(1, &[click]);
    file = {
        // The first tenth of a second of it.
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).unwrap();
        io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        bytes.truncate(44 + 1_600);
        let mut short = tempfile::tempfile().unwrap();
        short.write_all(&bytes).unwrap();
        short
    };
    let found = parts(file, shape(1, 10_000)).await;
    assert_eq!(found, [(0, 512, 1)]);
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let shape = Shape {
        max_audio: Duration::from_secs(3),
        ..shape(1, 10_000)
    };
    let mut parts = start(recording(5, &[loud]), shape).await.unwrap();
    let error = parts
        .recv()
        .await
        .expect("an answer")
        .expect_err("too long");
    assert!(matches!(error, CutError::Audio(AudioError::TooLong { .. })));
}

#[test]
fn parts_fit_the_service() {
    let day = Duration::from_hours(24);
    let minutes = |kind, channels| Shape::of(&Limits::SERVICE, kind, channels, day).max_ms / 60_000;
    assert_eq!(minutes(JobKind::Standard, 2), 240);
    assert_eq!(minutes(JobKind::Standard, 1), 240);
    assert_eq!(minutes(JobKind::CallAnalytics, 2), 130);
}
