//! Opening the container of a recording by its first bytes.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{
    MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource,
};
use symphonia::default::formats::{
    FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader, WavReader,
};

use super::AudioError;
use crate::media::{MediaKind, PREFIX_BYTES, id3v2_len};

/// Where a recording is read from: a file, or bytes in a cursor.
pub trait Source: Read + Seek + Send + Sync + 'static {}
impl<T: Read + Seek + Send + Sync + 'static> Source for T {}

/// An opened container.
pub(super) struct Container {
    pub kind: MediaKind,
    pub reader: Box<dyn FormatReader>,
}

impl Container {
    pub fn open(mut source: impl Source) -> Result<Self, AudioError> {
        let len = source.seek(SeekFrom::End(0)).map_err(AudioError::Io)?;
        let (start, prefix) = skip_id3v2(&mut source)?;
        // After a tag, what is not recognised is left to the MP3 reader, which skips padding.
        let kind = match MediaKind::detect(&prefix) {
            Some(kind) => kind,
            None if start > 0 => MediaKind::Mp3,
            None => return Err(AudioError::NotAudio),
        };
        source
            .seek(SeekFrom::Start(start))
            .map_err(AudioError::Io)?;
        open_as(kind, source, len)
            .map(|reader| Self { kind, reader })
            .map_err(open_error)
    }
}

fn open_as(
    kind: MediaKind,
    mut source: impl Source,
    len: u64,
) -> Result<Box<dyn FormatReader>, SymphoniaError> {
    let options = FormatOptions::default();
    Ok(match kind {
        MediaKind::Wav => Box::new(WavReader::try_new(stream(Wave { source, len }), options)?),
        // With a seekable source the reader estimates the length of a file without a Xing header
        // from its first frames, and cuts off what comes after the estimate.
        MediaKind::Mp3 => Box::new(MpaReader::try_new(
            stream(ReadOnlySource::new(source)),
            options,
        )?),
        MediaKind::Flac => Box::new(FlacReader::try_new(stream(Plain { source, len }), options)?),
        MediaKind::Ogg => Box::new(OggReader::try_new(stream(Plain { source, len }), options)?),
        // A seekable file whose media data is cut off is refused by the reader.
        MediaKind::Mp4 if is_cut_off_mp4(&mut source, len)? => Box::new(IsoMp4Reader::try_new(
            stream(ReadOnlySource::new(source)),
            options,
        )?),
        MediaKind::Mp4 => Box::new(IsoMp4Reader::try_new(
            stream(Plain { source, len }),
            options,
        )?),
        // A seekable file that is shorter than its header says is refused by the reader.
        MediaKind::Webm | MediaKind::Matroska => Box::new(MkvReader::try_new(
            stream(ReadOnlySource::new(source)),
            options,
        )?),
    })
}

fn stream(source: impl MediaSource + 'static) -> MediaSourceStream<'static> {
    MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default())
}

/// Whether the first box with media data claims more than the file holds; leaves the source at its
/// start. Boxes as in ISO/IEC 14496-12, section 4.2.
fn is_cut_off_mp4(source: &mut impl Source, len: u64) -> io::Result<bool> {
    /// Before the media data stand a file type, an index and perhaps a filler or two.
    const MAX_BOXES: u32 = 64;
    let mut start = 0;
    let mut cut_off = false;
    for _ in 0..MAX_BOXES {
        if start + 16 > len {
            break;
        }
        source.seek(SeekFrom::Start(start))?;
        let mut header = [0; 16];
        source.read_exact(&mut header)?;
        let [a, b, c, d, kind @ .., _, _, _, _, _, _, _, _] = header;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => break,
            1 => u64::from_be_bytes(*header.last_chunk().expect("16 bytes hold 8")),
            size => u64::from(size),
        };
        start = start.saturating_add(size.max(8));
        if kind == *b"mdat" {
            cut_off = start > len;
            break;
        }
    }
    source.seek(SeekFrom::Start(0))?;
    Ok(cut_off)
}

/// A header that ends early or contradicts itself is no audio; anything else is the disk's fault.
fn open_error(error: SymphoniaError) -> AudioError {
    match error {
        SymphoniaError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            AudioError::Io(error)
        }
        SymphoniaError::Unsupported(what) => AudioError::Unsupported(what),
        _ => AudioError::Empty,
    }
}

/// The start of the audio after any ID3v2 tags, and the bytes there.
fn skip_id3v2(source: &mut impl Source) -> Result<(u64, Vec<u8>), AudioError> {
    let mut start = 0;
    loop {
        source
            .seek(SeekFrom::Start(start))
            .map_err(AudioError::Io)?;
        let mut prefix = Vec::with_capacity(PREFIX_BYTES);
        let limit = u64::try_from(PREFIX_BYTES).expect("a small constant");
        source
            .by_ref()
            .take(limit)
            .read_to_end(&mut prefix)
            .map_err(AudioError::Io)?;
        match id3v2_len(&prefix) {
            Some(len) => start += len,
            None => return Ok((start, prefix)),
        }
    }
}

/// A source whose length is known.
struct Plain<S> {
    source: S,
    len: u64,
}

impl<S: Source> Read for Plain<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

impl<S: Source> Seek for Plain<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

impl<S: Source> MediaSource for Plain<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}

/// A WAVE file as a RIFF of unknown length.
///
/// The reader refuses RF64 and BW64 (the same format with 64-bit lengths, EBU Tech 3306) and
/// headers whose lengths contradict each other. With the id `RIFF` and the length that stands for
/// "not known", which writers to a pipe use, it takes them all.
struct Wave<S> {
    source: S,
    len: u64,
}

const RIFF_OF_UNKNOWN_LEN: [u8; 8] = *b"RIFF\xff\xff\xff\xff";

impl<S: Source> Read for Wave<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.source.stream_position()?;
        let count = self.source.read(buffer)?;
        let header = usize::try_from(position)
            .ok()
            .and_then(|at| RIFF_OF_UNKNOWN_LEN.get(at..));
        for (byte, replacement) in buffer[..count].iter_mut().zip(header.unwrap_or_default()) {
            *byte = *replacement;
        }
        Ok(count)
    }
}

impl<S: Source> Seek for Wave<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

impl<S: Source> MediaSource for Wave<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
