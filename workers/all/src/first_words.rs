//! One real transcription, before anybody is promised one.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use aftercall::audio::Decoder;
use aftercall::config::{self, Env};
use aftercall::providers::{self, openai_audio::OpenAiAudio};
use aftercall_transcription::wav;
use anyhow::{Context, ensure};

/// A person reading, one channel at 16 kHz; its folder says who and what.
const READING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/samples/two-cities/two-cities.wav"
);
/// "It was the best of times, it was the worst of times".
const CLIP: Duration = Duration::from_secs(4);

/// Has a few spoken words written down, by the settings that the transcription worker will use. It
/// also makes a server load its model.
pub async fn transcribe(env: &Env) -> anyhow::Result<()> {
    let settings = config::Transcription::read(env)?;
    let http = providers::http_client()?;
    let base_url = settings.base_url.clone();
    let server = OpenAiAudio::new(
        http,
        &settings.base_url,
        settings.api_key,
        settings.model,
        settings.language,
    );
    let samples = clip(Path::new(READING))?;
    let answer = server
        .transcribe(wav::encode(&samples), CLIP)
        .await
        .with_context(|| format!("no transcription from {base_url}"))?;
    ensure!(
        !answer.text.trim().is_empty(),
        "the speech server at {base_url} hears nothing in a clip with speech"
    );
    Ok(())
}

/// The beginning of a recording.
fn clip(file: &Path) -> anyhow::Result<Vec<f32>> {
    let unreadable = || format!("could not read {}", file.display());
    let mut decoder = Decoder::open(File::open(file).with_context(unreadable)?)?;
    let wanted = usize::try_from(u64::from(decoder.sample_rate_hz()) * CLIP.as_secs())?;
    let mut samples = Vec::with_capacity(wanted);
    while samples.len() < wanted {
        let Some(block) = decoder.next_block().with_context(unreadable)? else {
            break;
        };
        samples.extend_from_slice(&block.planes[0]);
    }
    samples.truncate(wanted);
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_speech_of_its_length() {
        let samples = clip(Path::new(READING)).unwrap();
        assert_eq!(samples.len(), 4 * 16_000);
        assert!(samples.iter().any(|sample| sample.abs() > 0.1));
        assert!(clip(Path::new("/absent.wav")).is_err());
    }
}
