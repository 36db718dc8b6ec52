//! A recording as blocks of samples.

use std::io;

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::FormatReader;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase, Timestamp};

use super::source::{Container, Source};
use super::{AudioError, MAX_CHANNELS};
use crate::media::MediaKind;

/// Damage that a reader cannot get past shows as error after error at the same place.
const MAX_READ_ERRORS: u32 = 32;
/// Packets that do not decode become silence, so that what follows keeps its time; no more than
/// this at once, because their length is only a claim.
const MAX_GAP_SECONDS: f64 = 60.0;
/// What Opus decodes to (RFC 6716, section 2).
const OPUS_RATE_HZ: u32 = 48_000;
/// Sample rates outside are nonsense in a header, not sound.
const SAMPLE_RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Decodes the audio track of a recording from start to end.
pub struct Decoder {
    kind: MediaKind,
    reader: Box<dyn FormatReader>,
    codecs: CodecRegistry,
    track: AudioTrack,
    channels: u16,
    planes: Vec<Vec<f32>>,
    /// Frames that the codec holds and that no step has told of.
    held_frames: Option<usize>,
    gap_seconds: f64,
    read_errors: u32,
}

/// A run of frames; one plane of samples for each channel of the recording.
#[derive(Debug)]
pub struct Block<'a> {
    /// Changes only where a chained stream changes it.
    pub sample_rate_hz: u32,
    /// As many planes as [`Decoder::channels`], all of one length, nominally from -1 to 1.
    pub planes: &'a [Vec<f32>],
}

/// What the next packets gave.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Frames wait in the codec.
    Decoded {
        frames: usize,
    },
    /// As much silence, in place of packets that did not decode.
    Gap {
        frames: usize,
    },
    End,
}

struct AudioTrack {
    id: u32,
    codec: Box<dyn AudioDecoder>,
    time_base: Option<TimeBase>,
}

impl Decoder {
    /// Opens a recording at its first audio track that decodes; other tracks are passed over.
    ///
    /// Decodes the first packet, because containers lie about channels and sample rate.
    pub fn open(source: impl Source) -> Result<Self, AudioError> {
        let Container { kind, reader } = Container::open(source)?;
        let codecs = codec_registry();
        let track = AudioTrack::select(reader.as_ref(), &codecs)?;
        let mut decoder = Self {
            kind,
            reader,
            codecs,
            track,
            channels: 0,
            planes: Vec::new(),
            held_frames: None,
            gap_seconds: 0.0,
            read_errors: 0,
        };
        // Nothing before the first good packet is worth a gap: it has no time to keep.
        decoder.held_frames = decoder.decode_packet()?;
        decoder.gap_seconds = 0.0;
        if decoder.held_frames.is_none() {
            return Err(AudioError::Empty);
        }
        let spec = decoder.track.codec.last_decoded().spec().clone();
        let channels = spec.channels().count();
        decoder.channels = u16::try_from(channels)
            .ok()
            .filter(|channels| (1..=MAX_CHANNELS).contains(channels))
            .ok_or(AudioError::TooManyChannels { channels })?;
        if !SAMPLE_RATES_HZ.contains(&spec.rate()) {
            return Err(AudioError::Unsupported("sample rate out of range"));
        }
        Ok(decoder)
    }

    /// The container.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The codec's short name, such as `opus` or `pcm_mulaw`.
    pub fn codec(&self) -> &'static str {
        self.track.codec.codec_info().short_name
    }

    /// Channels of the recording, the same from start to end: of a chained stream those of its
    /// first link. A later link with fewer leaves the others silent, of one with more the rest is
    /// not heard.
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// The sample rate at this place of the recording.
    pub fn sample_rate_hz(&self) -> u32 {
        self.last_decoded().spec().rate()
    }

    /// The next block, or `None` at the end, which damage may bring early.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, AudioError> {
        match self.step()? {
            Step::End => return Ok(None),
            Step::Gap { frames } => {
                self.planes.clear();
                self.planes
                    .resize(usize::from(self.channels), vec![0.0; frames]);
            }
            Step::Decoded { frames } => {
                self.track
                    .codec
                    .last_decoded()
                    .copy_to_vecs_planar(&mut self.planes);
                self.planes
                    .resize_with(usize::from(self.channels), || vec![0.0; frames]);
            }
        }
        Ok(Some(Block {
            sample_rate_hz: self.sample_rate_hz(),
            planes: &self.planes,
        }))
    }

    /// Decodes on without converting samples.
    pub(super) fn step(&mut self) -> Result<Step, AudioError> {
        if self.held_frames.is_none() {
            self.held_frames = self.decode_packet()?;
        }
        let gap_seconds = std::mem::take(&mut self.gap_seconds);
        // A gap at the end is not filled: what ends there is the recording.
        let Some(frames) = self.held_frames else {
            return Ok(Step::End);
        };
        let gap = frames_in(gap_seconds.min(MAX_GAP_SECONDS), self.sample_rate_hz());
        if gap > 0 {
            return Ok(Step::Gap { frames: gap });
        }
        self.held_frames = None;
        Ok(Step::Decoded { frames })
    }

    /// Decodes up to and including the next good packet: its frames, or `None` at the end.
    fn decode_packet(&mut self) -> Result<Option<usize>, AudioError> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Err(SymphoniaError::IoError(error)) => return end_of_file(error),
                Err(SymphoniaError::ResetRequired) => {
                    match AudioTrack::select(self.reader.as_ref(), &self.codecs) {
                        Ok(track) => self.track = track,
                        Err(_) => return Ok(None),
                    }
                    continue;
                }
                Err(_) if self.read_errors < MAX_READ_ERRORS => {
                    self.read_errors += 1;
                    continue;
                }
                Ok(None) | Err(_) => return Ok(None),
            };
            self.read_errors = 0;
            if packet.track_id != self.track.id {
                continue;
            }
            let packet = untrimmed(self.kind, packet);
            match self.track.codec.decode(&packet) {
                Ok(decoded) if decoded.frames() > 0 => return Ok(Some(decoded.frames())),
                Ok(_) => {}
                Err(SymphoniaError::ResetRequired) => self.track.codec.reset(),
                Err(_) => self.gap_seconds += self.track.seconds(packet.dur),
            }
        }
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.track.codec.last_decoded()
    }
}

impl AudioTrack {
    /// The first audio track that a codec is there for.
    fn select(reader: &dyn FormatReader, codecs: &CodecRegistry) -> Result<Self, AudioError> {
        let mut refusal = AudioError::NoAudioTrack;
        for track in reader.tracks() {
            let Some(params) = track
                .codec_params
                .as_ref()
                .and_then(|params| params.audio())
            else {
                continue;
            };
            let mut params = params.clone();
            if params.codec == CODEC_ID_OPUS {
                // Some containers tell the rate before encoding, which libopus may not know.
                params.with_sample_rate(OPUS_RATE_HZ);
            }
            match codecs.make_audio_decoder(&params, &AudioDecoderOptions::default()) {
                Ok(codec) => {
                    return Ok(Self {
                        id: track.id,
                        codec,
                        time_base: track.time_base,
                    });
                }
                Err(SymphoniaError::Unsupported(what)) => refusal = AudioError::Unsupported(what),
                Err(_) => refusal = AudioError::Empty,
            }
        }
        Err(refusal)
    }

    fn seconds(&self, duration: Duration) -> f64 {
        let time_base = self
            .time_base
            .and_then(|time_base| time_base.calc_duration(duration));
        time_base.map_or(0.0, |time| time.as_secs_f64())
    }
}

/// Symphonia's codecs, and libopus for Opus, which it has none for.
fn codec_registry() -> CodecRegistry {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
}

/// A file that ends early is a short recording; any other failure to read is worth a retry.
fn end_of_file(error: io::Error) -> Result<Option<usize>, AudioError> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(None),
        _ => Err(AudioError::Io(error)),
    }
}

/// MP3 files that were joined keep the first one's frame count, and the reader trims all that
/// comes after it. A packet that would vanish whole is kept: at worst one packet of padding, under
/// 80 ms, is heard too.
fn untrimmed(kind: MediaKind, mut packet: Packet) -> Packet {
    if kind == MediaKind::Mp3 && packet.pts > Timestamp::ZERO && packet.trim_end >= packet.dur {
        packet.trim_end = Duration::ZERO;
    }
    packet
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a non-negative length under a minute"
)]
fn frames_in(seconds: f64, sample_rate_hz: u32) -> usize {
    (seconds * f64::from(sample_rate_hz)).round() as usize
}
