//! The kinds of recording that are accepted, told by their first bytes.
//!
//! Not a decoder: a file of a known kind may still hold nothing that decodes (`audio` finds out).
//! The claimed content type and file name never count.

use serde::{Deserialize, Serialize};

/// [`MediaKind::detect`] needs this many bytes of the file, or all of a shorter file.
pub const PREFIX_BYTES: usize = 4096;

/// A container that recordings come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// RIFF, RF64 or BW64 WAVE.
    Wav,
    /// MPEG audio layer III, with or without an ID3v2 tag.
    Mp3,
    Flac,
    /// Ogg with Opus, Vorbis or FLAC.
    Ogg,
    /// MP4, M4A, 3GP and QuickTime, with or without video.
    Mp4,
    Webm,
    Matroska,
}

impl MediaKind {
    /// The kind of a file that starts with `prefix`, or `None` if it is not one of these.
    pub fn detect(prefix: &[u8]) -> Option<Self> {
        if is_wave(prefix) {
            Some(Self::Wav)
        } else if is_flac(prefix) {
            Some(Self::Flac)
        } else if is_ogg_audio(prefix) {
            Some(Self::Ogg)
        } else if is_mp4(prefix) {
            Some(Self::Mp4)
        } else if let Some(kind) = ebml_kind(prefix) {
            Some(kind)
        } else if id3v2_len(prefix).is_some() || is_mp3_frames(prefix) {
            Some(Self::Mp3)
        } else {
            None
        }
    }

    /// The content type that playback answers with.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Flac => "audio/flac",
            Self::Ogg => "audio/ogg",
            Self::Mp4 => "audio/mp4",
            Self::Webm => "audio/webm",
            Self::Matroska => "audio/matroska",
        }
    }

    /// The usual file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp4 => "m4a",
            Self::Webm => "webm",
            Self::Matroska => "mka",
        }
    }
}

/// The length of the ID3v2 tag that `prefix` starts with, header and footer included.
///
/// <https://id3.org/id3v2.4.0-structure>, section 3.1.
pub fn id3v2_len(prefix: &[u8]) -> Option<u64> {
    let &[
        b'I',
        b'D',
        b'3',
        version @ 2..=4,
        revision,
        flags,
        a,
        b,
        c,
        d,
    ] = prefix.get(..10)?
    else {
        return None;
    };
    if revision == 0xff || [a, b, c, d].iter().any(|byte| byte & 0x80 != 0) {
        return None;
    }
    let body = [a, b, c, d]
        .iter()
        .fold(0_u64, |len, &byte| len << 7 | u64::from(byte));
    let footer = if version == 4 && flags & 0x10 != 0 {
        10
    } else {
        0
    };
    Some(10 + body + footer)
}

fn is_wave(prefix: &[u8]) -> bool {
    matches!(prefix.get(..4), Some(b"RIFF" | b"RF64" | b"BW64"))
        && prefix.get(8..12) == Some(b"WAVE")
}

/// The marker and the STREAMINFO block that must follow it (RFC 9639, section 8).
fn is_flac(prefix: &[u8]) -> bool {
    prefix.starts_with(b"fLaC")
        && prefix
            .get(4)
            .is_some_and(|block| block.trailing_zeros() >= 7)
        && prefix.get(5..8) == Some(&[0, 0, 34])
}

/// A first page (RFC 3533, section 6) with an audio codec that decodes, on this page or, where the
/// file carries video too, on one of the next.
fn is_ogg_audio(prefix: &[u8]) -> bool {
    const CODECS: [&[u8]; 3] = [b"OpusHead", b"\x01vorbis", b"\x7fFLAC"];
    prefix.starts_with(b"OggS\0")
        && prefix.get(5).is_some_and(|flags| flags & 0x02 != 0)
        && CODECS.iter().any(|codec| contains(prefix, codec))
}

/// A file type box (ISO/IEC 14496-12, section 4.3) that is not that of a still image.
fn is_mp4(prefix: &[u8]) -> bool {
    const IMAGES: [&[u8]; 7] = [
        b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx ",
    ];
    prefix.get(4..8) == Some(b"ftyp")
        && prefix
            .get(8..12)
            .is_some_and(|brand| !IMAGES.contains(&brand))
}

/// An EBML header (RFC 8794, section 11.2) with the document type of one of the two.
fn ebml_kind(prefix: &[u8]) -> Option<MediaKind> {
    /// The header is a few dozen bytes; its document type stands within these.
    const HEADER_BYTES: usize = 128;
    if !prefix.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return None;
    }
    let header = &prefix[..prefix.len().min(HEADER_BYTES)];
    if contains(header, b"\x42\x82\x84webm") {
        Some(MediaKind::Webm)
    } else if contains(header, b"\x42\x82\x88matroska") {
        Some(MediaKind::Matroska)
    } else {
        None
    }
}

/// Two MPEG layer III frame headers, the second where the first says that it is: one alone occurs
/// in other files by chance.
fn is_mp3_frames(prefix: &[u8]) -> bool {
    let Some(first) = mp3_frame(prefix) else {
        return false;
    };
    prefix
        .get(first.len..)
        .and_then(mp3_frame)
        .is_some_and(|second| second.shape == first.shape)
}

struct Mp3Frame {
    len: usize,
    /// Version and sample rate, the same for all frames of a file.
    shape: (u8, u8),
}

/// ISO/IEC 11172-3, section 2.4.1.3, and 13818-3 for the lower sample rates.
fn mp3_frame(bytes: &[u8]) -> Option<Mp3Frame> {
    const KBITS_V1: [usize; 14] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ];
    const KBITS_V2: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let &[0xff, second, third, fourth] = bytes.get(..4)? else {
        return None;
    };
    let (version, layer) = (second >> 3 & 0b11, second >> 1 & 0b11);
    let (bitrate, rate) = (usize::from(third >> 4), third >> 2 & 0b11);
    let reserved = second & 0xe0 != 0xe0 || version == 0b01 || layer != 0b01 || rate == 0b11;
    if reserved || fourth & 0b11 == 0b10 {
        return None;
    }
    let base_hz = [44_100, 48_000, 32_000][usize::from(rate)];
    let (table, slots, rate_hz) = match version {
        0b11 => (KBITS_V1, 144, base_hz),
        0b10 => (KBITS_V2, 72, base_hz / 2),
        _ => (KBITS_V2, 72, base_hz / 4),
    };
    let kbits = *table.get(bitrate.checked_sub(1)?)?;
    let padding = usize::from(third >> 1 & 1);
    Some(Mp3Frame {
        len: slots * kbits * 1000 / rate_hz + padding,
        shape: (version, rate),
    })
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MP3: &[u8] = include_bytes!("audio/fixtures/tone.mp3");

    fn detect_fixture(bytes: &[u8]) -> Option<MediaKind> {
        MediaKind::detect(&bytes[..bytes.len().min(PREFIX_BYTES)])
    }

    #[test]
    fn real_files_are_recognised() {
        let cases: [(&[u8], MediaKind); 8] = [
            (MP3, MediaKind::Mp3),
            (include_bytes!("audio/fixtures/tone.flac"), MediaKind::Flac),
            (include_bytes!("audio/fixtures/tone.opus"), MediaKind::Ogg),
            (
                include_bytes!("audio/fixtures/tone-vorbis.ogg"),
                MediaKind::Ogg,
            ),
            (include_bytes!("audio/fixtures/tone.m4a"), MediaKind::Mp4),
            (include_bytes!("audio/fixtures/video.mp4"), MediaKind::Mp4),
            (include_bytes!("audio/fixtures/tone.webm"), MediaKind::Webm),
            (
                include_bytes!("audio/fixtures/tone.mka"),
                MediaKind::Matroska,
            ),
        ];
        for (bytes, kind) in cases {
            assert_eq!(detect_fixture(bytes), Some(kind));
        }
    }

    #[test]
    fn wave_in_its_three_spellings() {
        for id in ["RIFF", "RF64", "BW64"] {
            let header = format!("{id}\u{1}\u{1}\u{1}\u{1}WAVEfmt ");
            assert_eq!(
                MediaKind::detect(header.as_bytes()),
                Some(MediaKind::Wav),
                "{id}"
            );
        }
        assert_eq!(MediaKind::detect(b"RIFF\x01\x01\x01\x01AVI LIST"), None);
    }

    #[test]
    fn other_files_are_not_audio() {
        let cases: [&[u8]; 14] = [
            b"",
            b"R",
            b"hello, this is text that somebody named .wav",
            b"PK\x03\x04\x14\0\0\0\x08\0",
            b"#EXTM3U\nhttp://example.com/a.mp3\n",
            b"[playlist]\nFile1=http://example.com/a.mp3\n",
            b"ID3 is the name of a tag format",
            b"%PDF-1.7\n",
            b"\x89PNG\r\n\x1a\n",
            b"\0\0\0\x18ftypheic\0\0\0\0",
            b"\xff\xfet\0e\0x\0t\0",
            b"fLaC but only in name",
            b"OggS\0\x02 no codec that decodes",
            b"\x1a\x45\xdf\xa3 ebml of another kind",
        ];
        for bytes in cases {
            assert_eq!(MediaKind::detect(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn one_mp3_frame_header_is_not_enough() {
        let frames = &MP3[usize::try_from(id3v2_len(MP3).unwrap_or(0)).unwrap()..];
        assert!(is_mp3_frames(frames));
        let mut damaged = frames.to_vec();
        let second = mp3_frame(frames).unwrap().len;
        damaged[second] = 0;
        assert_eq!(MediaKind::detect(&damaged), None);
    }

    #[test]
    fn id3_sizes_are_syncsafe() {
        assert_eq!(id3v2_len(b"ID3\x04\0\0\0\0\x02\x01"), Some(10 + 257));
        assert_eq!(id3v2_len(b"ID3\x04\0\x10\0\0\0\x01"), Some(21));
        assert_eq!(id3v2_len(b"ID3\x04\0\0\0\0\x80\x01"), None);
    }
}
