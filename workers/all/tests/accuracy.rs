//! Word error rates of the samples, through our own decoding, cutting and turns and the speech server
//! of the test run; without broker and database, so that only the ears are measured.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aftercall::audio::Decoder;
use aftercall::config::{Env, Transcription};
use aftercall::documents::transcript::{Transcript, Turn};
use aftercall::ids::{RecordingId, SessionId};
use aftercall::providers::{http_client, openai_audio::OpenAiAudio};
use aftercall_all::demo::sample::Sample;
use aftercall_all::demo::score::Score;
use aftercall_all::demo::word_error_rate::word_error_rate;
use aftercall_transcription::resample::Resampler;
use aftercall_transcription::turns::{HeardChunk, build_turns};
use aftercall_transcription::{cutting, wav};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
/// At most this share of words may be wrong in clean speech.
const CLEAN: f64 = 0.05;
/// Noise is reported; beyond this something is broken.
const NOISY: f64 = 0.25;

#[tokio::test]
async fn the_call_at_16_khz() {
    call("call 16 kHz", CLEAN, |planes| pcm(planes, 16_000)).await;
}

#[tokio::test]
async fn the_call_at_8_khz_mu_law() {
    call("call 8 kHz mu-law", CLEAN, |planes| {
        mu_law(&every_second(planes))
    })
    .await;
}

#[tokio::test]
async fn the_call_with_noise_at_15_db() {
    call("call 16 kHz, noise at 15 dB", NOISY, |planes| {
        let noisy: Vec<_> = planes.iter().map(|plane| with_noise(plane, 15.0)).collect();
        pcm(&noisy, 16_000)
    })
    .await;
}

#[tokio::test]
async fn the_reading_as_wav() {
    reading("two-cities.wav").await;
}

#[tokio::test]
async fn the_reading_as_mu_law_wav() {
    reading("two-cities-mulaw.wav").await;
}

#[tokio::test]
async fn the_reading_as_mp3() {
    reading("two-cities.mp3").await;
}

#[tokio::test]
async fn the_reading_as_ogg_opus() {
    reading("two-cities.opus").await;
}

#[tokio::test]
async fn the_reading_as_m4a() {
    reading("two-cities.m4a").await;
}

async fn call(name: &str, limit: f64, file: impl Fn(&[Vec<f32>]) -> Vec<u8>) {
    let sample = Sample::clinic_call().expect("the sample");
    let planes = decoded(&Path::new(SAMPLES).join("clinic-call/call.opus"));
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("call.wav");
    std::fs::write(&path, file(&planes)).expect("a file");
    let score = Score::of(&transcript(heard(&path).await), &sample.turns);
    let rate = score.words.rate().expect("a script");
    println!(
        "accuracy: {name}: {rate:.3} ({} of {}), {} of {} turns within 200 ms",
        score.words.errors(),
        score.words.reference_words,
        score.on_time,
        score.turns,
    );
    assert!(rate <= limit, "{name}: word error rate {rate}");
    if limit <= CLEAN {
        let on_time = score.on_time_rate().expect("turns");
        assert!(
            on_time >= 0.95,
            "{name}: {on_time} of the turns start on time"
        );
    }
}

async fn reading(file: &str) {
    let folder = Path::new(SAMPLES).join("two-cities");
    let text = std::fs::read_to_string(folder.join("text.txt")).expect("the text");
    let turns = heard(&folder.join(file)).await;
    let heard: Vec<_> = turns.iter().map(|turn| turn.text.as_str()).collect();
    let words = word_error_rate(&text, &heard.join(" "));
    let rate = words.rate().expect("a text");
    println!(
        "accuracy: {file}: {rate:.3} ({} of {})",
        words.errors(),
        words.reference_words
    );
    assert!(rate <= CLEAN, "{file}: word error rate {rate}");
}

/// The turns of a recording, as the transcription worker makes them.
async fn heard(path: &Path) -> Vec<Turn> {
    aftercall::lifecycle::install_tls();
    let settings = Transcription::read(&Env::of_process()).expect("run the tests with `make test`");
    let engine = OpenAiAudio::new(
        http_client().expect("a client"),
        &settings.base_url,
        settings.api_key,
        settings.model,
        settings.language,
    );
    let file = File::open(path).expect("a recording");
    let mut cutting = cutting::start(file, settings.max_audio)
        .await
        .expect("audio");
    let mut chunks = Vec::new();
    while let Some(chunk) = cutting.next().await {
        let chunk = chunk.expect("it decodes");
        let length = Duration::from_millis((chunk.end_ms - chunk.start_ms).unsigned_abs());
        let heard = engine
            .transcribe(wav::encode(&chunk.samples), length)
            .await
            .expect("an answer");
        chunks.push(HeardChunk {
            channel: chunk.channel,
            start_ms: chunk.start_ms,
            speech_start_ms: chunk.speech_start_ms,
            speech_end_ms: chunk.speech_end_ms,
            heard,
        });
    }
    build_turns(RecordingId::generate(), cutting.distinct_channels(), chunks)
}

fn transcript(turns: Vec<Turn>) -> Transcript {
    Transcript {
        session_id: SessionId::generate(),
        generation: 1,
        language: None,
        engine: String::new(),
        duration_ms: 0,
        note: None,
        turns,
        created_at: jiff::Timestamp::now(),
        correction: None,
    }
}

/// The channels of a recording at 16 kHz.
fn decoded(path: &PathBuf) -> Vec<Vec<f32>> {
    let mut decoder = Decoder::open(File::open(path).expect("the sample")).expect("audio");
    let mut resampler = Resampler::new(decoder.channels());
    while let Some(block) = decoder.next_block().expect("it decodes") {
        resampler.push(&block).expect("a rate");
    }
    resampler.finish();
    resampler.output().to_vec()
}

/// 8 kHz: the mean of two samples, a mild low pass.
fn every_second(planes: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let halve = |plane: &Vec<f32>| {
        plane
            .chunks_exact(2)
            .map(|two| f32::midpoint(two[0], two[1]))
            .collect()
    };
    planes.iter().map(halve).collect()
}

/// White noise of a power that many decibels below the speech: from a fixed seed, the sum of twelve
/// uniform numbers.
fn with_noise(plane: &[f32], below_db: f32) -> Vec<f32> {
    let voiced: Vec<f32> = plane
        .iter()
        .map(|s| s * s)
        .filter(|power| *power > 1e-6)
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a minute of samples")]
    let power = voiced.iter().sum::<f32>() / voiced.len().max(1) as f32;
    let level = (power / 10_f32.powf(below_db / 10.0)).sqrt();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from(u16::try_from(state >> 48).expect("16 bits")) / 65_536.0
    };
    plane
        .iter()
        .map(|sample| {
            let normal: f32 = (0..12).map(|_| uniform()).sum::<f32>() - 6.0;
            sample + level * normal
        })
        .collect()
}

fn pcm(planes: &[Vec<f32>], rate: u32) -> Vec<u8> {
    let samples: Vec<u8> = interleaved(planes).flat_map(i16::to_le_bytes).collect();
    riff(1, planes.len(), rate, 16, &samples)
}

/// [ITU-T G.711](https://www.itu.int/rec/T-REC-G.711) mu-law at 8 kHz.
fn mu_law(planes: &[Vec<f32>]) -> Vec<u8> {
    let samples: Vec<u8> = interleaved(planes).map(mu_law_byte).collect();
    riff(7, planes.len(), 8_000, 8, &samples)
}

fn mu_law_byte(sample: i16) -> u8 {
    const BIAS: u16 = 132;
    const CLIP: u16 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS;
    let exponent = 8 - u8::try_from((magnitude | 0xff).leading_zeros()).expect("few bits");
    let mantissa = u8::try_from((magnitude >> (exponent + 3)) & 0x0f).expect("four bits");
    !(sign | (exponent << 4) | mantissa)
}

fn interleaved(planes: &[Vec<f32>]) -> impl Iterator<Item = i16> {
    (0..planes[0].len()).flat_map(move |at| {
        planes.iter().map(move |plane| {
            #[expect(clippy::cast_possible_truncation, reason = "a sample of 16 bits")]
            let sample = (plane[at].clamp(-1.0, 1.0) * 32_767.0) as i16;
            sample
        })
    })
}

fn riff(format: u16, channels: usize, rate: u32, bits: u16, samples: &[u8]) -> Vec<u8> {
    let channels = u16::try_from(channels).expect("two");
    let frame = channels * bits / 8;
    let length = u32::try_from(samples.len()).expect("a minute");
    let mut file = Vec::with_capacity(46 + samples.len());
    file.extend(b"RIFF");
    file.extend((38 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(18_u32.to_le_bytes());
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(frame)).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    // No extension follows; what is not PCM must say so.
    file.extend(0_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}
