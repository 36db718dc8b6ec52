//! Decoding and probing: every kind, damaged files, and files that are none.

use std::io::Cursor;
use std::time::Duration;

use super::*;

const MP3: &[u8] = include_bytes!("fixtures/tone.mp3");
const BARE_MP3: &[u8] = include_bytes!("fixtures/tone-bare.mp3");
const FLAC: &[u8] = include_bytes!("fixtures/tone.flac");
const OPUS: &[u8] = include_bytes!("fixtures/tone.opus");
const CHAINED_OPUS: &[u8] = include_bytes!("fixtures/chained.opus");
const VORBIS: &[u8] = include_bytes!("fixtures/tone-vorbis.ogg");
const M4A: &[u8] = include_bytes!("fixtures/tone.m4a");
const VIDEO: &[u8] = include_bytes!("fixtures/video.mp4");
const WEBM: &[u8] = include_bytes!("fixtures/tone.webm");
const MKA: &[u8] = include_bytes!("fixtures/tone.mka");

fn probed(bytes: &[u8]) -> Result<Probe, AudioError> {
    probe(Cursor::new(bytes.to_vec()), DEFAULT_MAX_LENGTH)
}

/// `seconds` of a rising ramp at 8 kHz, 16 bit.
fn wav(channels: u16, seconds: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for frame in 0..8_000 * seconds {
        for _ in 0..channels {
            writer
                .write_sample(i16::try_from(frame % 1_000).unwrap())
                .unwrap();
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

#[test]
fn every_kind_has_its_real_length() {
    let cases = [
        (MP3, "mp3", 16_000),
        (BARE_MP3, "mp3", 16_000),
        (FLAC, "flac", 16_000),
        (OPUS, "opus", 48_000),
        (VORBIS, "vorbis", 16_000),
        (M4A, "aac", 16_000),
        (VIDEO, "aac", 16_000),
        (WEBM, "opus", 48_000),
        (MKA, "opus", 48_000),
    ];
    for (bytes, codec, sample_rate_hz) in cases {
        let found = probed(bytes).unwrap_or_else(|error| panic!("{codec}: {error}"));
        assert_eq!(
            (found.codec, found.channels, found.sample_rate_hz),
            (codec, 2, sample_rate_hz)
        );
        // Lossy encoders pad by up to two of their packets.
        assert!(
            (1_000..=1_150).contains(&found.duration_ms),
            "{codec}: {found:?}"
        );
    }
}

#[test]
fn the_tone_is_on_the_left() {
    // Not the Opus files: at their bit rate the encoder makes both channels one.
    for bytes in [MP3, FLAC, VORBIS, M4A, VIDEO] {
        let mut decoder = Decoder::open(Cursor::new(bytes)).unwrap();
        let mut power = [0.0_f32; 2];
        while let Some(block) = decoder.next_block().unwrap() {
            for (power, plane) in power.iter_mut().zip(block.planes) {
                *power += plane.iter().map(|sample| sample * sample).sum::<f32>();
            }
        }
        assert!(
            power[0] > 100.0 * power[1],
            "{:?}: {power:?}",
            decoder.kind()
        );
    }
}

#[test]
fn a_header_that_claims_4_gib_does_not_count() {
    for claim in [u32::MAX, u32::MAX - 1, 4_000_000_000] {
        let mut bytes = wav(2, 3);
        bytes[4..8].copy_from_slice(&claim.to_le_bytes());
        bytes[40..44].copy_from_slice(&claim.to_le_bytes());
        assert_eq!(probed(&bytes).unwrap().duration_ms, 3_000, "{claim}");
    }
}

#[test]
fn rf64_is_a_wave() {
    let mut bytes = wav(1, 2);
    bytes[..8].copy_from_slice(b"RF64\xff\xff\xff\xff");
    bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    let sizes = [b"ds64".as_slice(), &28_u32.to_le_bytes(), &[0; 28]].concat();
    bytes.splice(12..12, sizes);
    assert_eq!(probed(&bytes).unwrap().duration_ms, 2_000);
}

#[test]
fn files_that_were_cut_off_keep_what_they_have() {
    // The Ogg stream has a page for each second, and a page that is cut is lost.
    for (bytes, least_ms, most_ms) in [
        (MP3, 300, 950),
        (BARE_MP3, 300, 950),
        (FLAC, 200, 950),
        (CHAINED_OPUS, 950, 1_950),
        (M4A, 200, 950),
        (WEBM, 200, 950),
    ] {
        let found = probed(&bytes[..bytes.len() * 8 / 10])
            .unwrap_or_else(|error| panic!("{} bytes: {error}", bytes.len()));
        assert!(
            (least_ms..most_ms).contains(&found.duration_ms),
            "{found:?} of {} bytes",
            bytes.len()
        );
    }
    let whole = wav(2, 2);
    assert_eq!(
        probed(&whole[..44 + 32_000]).unwrap().duration_ms,
        1_000,
        "half of a WAV"
    );
}

#[test]
fn bytes_that_were_overwritten_do_not_end_it() {
    for (bytes, name) in [(MP3, "mp3"), (FLAC, "flac"), (CHAINED_OPUS, "opus")] {
        let mut damaged = bytes.to_vec();
        let at = damaged.len() * 3 / 4;
        damaged[at..at + 40].fill(0x55);
        let found = probed(&damaged).unwrap();
        assert!(
            (500..=1_150).contains(&found.duration_ms),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_chained_stream_is_one_recording() {
    let single = probed(OPUS).unwrap().duration_ms;
    let chained = probed(CHAINED_OPUS).unwrap().duration_ms;
    assert!((2 * single - chained).abs() <= 20, "{single} and {chained}");
}

#[test]
fn joined_mp3_files_are_heard_to_the_end() {
    let joined = probed(&[MP3, MP3].concat()).unwrap();
    assert!((1_950..=2_250).contains(&joined.duration_ms), "{joined:?}");
}

#[test]
fn what_is_no_audio_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"hello, this is text that somebody named .wav",
        b"PK\x03\x04\x14\0\0\0\x08\0",
    ] {
        assert!(matches!(probed(bytes), Err(AudioError::NotAudio)));
    }
    let header_only = &wav(1, 1)[..44];
    let nothing_decodes = [
        header_only,
        b"RIFF\xff\xff\xff\xffWAVE",
        &FLAC[..42],
        &OPUS[..60],
        &M4A[..40],
    ];
    for bytes in nothing_decodes {
        let error = probed(bytes).unwrap_err();
        assert!(!matches!(error, AudioError::Io(_)), "{error:?}");
    }
}

#[test]
fn many_channels_are_channels_up_to_a_bound() {
    assert_eq!(
        probed(&wav(MAX_CHANNELS, 1)).unwrap().channels,
        MAX_CHANNELS
    );
    let error = probed(&wav(MAX_CHANNELS + 1, 1)).unwrap_err();
    assert!(
        matches!(error, AudioError::TooManyChannels { channels: 9 }),
        "{error:?}"
    );
}

#[test]
fn the_length_is_capped() {
    let cap = Duration::from_secs(2);
    assert!(probe(Cursor::new(wav(1, 2)), cap).is_ok());
    let error = probe(Cursor::new(wav(1, 3)), cap).unwrap_err();
    assert!(matches!(error, AudioError::TooLong { .. }), "{error:?}");
}
