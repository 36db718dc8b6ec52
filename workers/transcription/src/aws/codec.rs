//! Whether the service hears what is in a container: of Ogg and WebM it knows only Opus.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/input.html>

use aftercall::db::recordings::Recording;
use aftercall::providers::object_store::{ObjectStore, StoreError};

/// Both containers name their codecs before the first sound.
const HEAD_BYTES: u64 = 64 * 1024;

/// Whether the service knows the codec of a recording that is in a container it takes. What does not
/// name one that it knows is taken for another.
pub async fn is_known_codec(
    store: &ObjectStore,
    recording: &Recording,
) -> Result<bool, StoreError> {
    let Some(name) = name_of_opus(&recording.content_type) else {
        return Ok(true);
    };
    let mut object = store
        .get(&recording.object_key, Some(0..=HEAD_BYTES - 1))
        .await?;
    let mut head = Vec::new();
    while let Some(block) = object.next().await? {
        head.extend_from_slice(&block);
    }
    Ok(names(&head, name))
}

/// What Opus is called in a container that holds other codecs too.
fn name_of_opus(content_type: &str) -> Option<&'static [u8]> {
    match content_type {
        "audio/ogg" => Some(b"OpusHead"),
        "audio/webm" => Some(b"A_OPUS"),
        _ => None,
    }
}

fn names(head: &[u8], name: &[u8]) -> bool {
    head.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: &[u8] = include_bytes!("../../../../src/audio/fixtures/tone.opus");
    const WEBM: &[u8] = include_bytes!("../../../../src/audio/fixtures/tone.webm");
    const VORBIS: &[u8] = include_bytes!("../../../../src/audio/fixtures/tone-vorbis.ogg");

    #[test]
    fn opus_is_told_from_what_else_is_in_a_container() {
        for (content_type, head, known) in [
            ("audio/ogg", OPUS, true),
            ("audio/ogg", VORBIS, false),
            ("audio/ogg", &b"OggS"[..], false),
            ("audio/webm", WEBM, true),
            ("audio/webm", VORBIS, false),
        ] {
            let name = name_of_opus(content_type).expect("a container of several codecs");
            assert_eq!(names(head, name), known, "{content_type}");
        }
        assert_eq!(name_of_opus("audio/wav"), None);
    }
}
