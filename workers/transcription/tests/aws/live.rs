//! The real Amazon Transcribe, in an account of whoever runs it: `make test-aws`.

use std::fs::File;
use std::time::Duration;

use aftercall::audio::Decoder;
use aftercall::config::{Env, ObjectStore as StoreSettings};
use aftercall::db::provision::Process;
use aftercall::db::{Principal, transcripts};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use aftercall::ids::RecordingId;
use aftercall::providers::object_store::ObjectStore;
use aftercall_transcription::aws::request::Limits;

use super::{COLLECT, START, probed, run};

const CALL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../all/samples/clinic-call/call.opus"
);

/// Where a test may put recordings for a while.
#[expect(
    clippy::disallowed_methods,
    reason = "no setting of a process: only this test has such a bucket"
)]
fn bucket() -> String {
    std::env::var("AFTERCALL_TEST_BUCKET").expect("a bucket: run it with `make test-aws`")
}

/// The sample call as a WAV file, and its length in milliseconds.
fn call() -> (Vec<u8>, i64) {
    let mut decoder = Decoder::open(File::open(CALL).expect("the sample")).expect("audio");
    let spec = hound::WavSpec {
        channels: decoder.channels(),
        sample_rate: decoder.sample_rate_hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    while let Some(block) = decoder.next_block().expect("it decodes") {
        for at in 0..block.planes[0].len() {
            for plane in block.planes {
                #[expect(clippy::cast_possible_truncation, reason = "a sample of 16 bits")]
                let sample = (plane[at].clamp(-1.0, 1.0) * 32_767.0) as i16;
                writer.write_sample(sample).expect("a sample");
            }
        }
    }
    let ms = i64::from(writer.duration()) * 1_000 / i64::from(spec.sample_rate);
    writer.finalize().expect("a file");
    (bytes.into_inner(), ms)
}

#[tokio::test]
#[ignore = "needs an account of Amazon: make test-aws"]
async fn the_service_transcribes_the_sample_call() {
    let harness = Harness::start().await;
    let process = Env::of_process();
    let profile = process.optional("AWS_PROFILE").expect("AWS_PROFILE");
    // The profile's keys and Amazon's own addresses, not those of the embedded store.
    let env = harness.env(Process::Transcription).with([
        ("AWS_PROFILE", profile),
        ("AWS_ACCESS_KEY_ID", String::new()),
        ("AWS_SECRET_ACCESS_KEY", String::new()),
        ("AWS_ENDPOINT_URL_S3", String::new()),
        ("AWS_TRANSCRIBE_LANGUAGE", "en-US".to_owned()),
        ("S3_BUCKET", bucket()),
    ]);
    let settings = StoreSettings::read(&env).expect("settings");
    let store = ObjectStore::connect(&settings).await.expect("a client");
    let (wav, ms) = call();
    let key = format!("recordings/test-{}.wav", RecordingId::generate());
    let size = i64::try_from(wav.len()).expect("a small file");
    store.put(&key, "audio/wav", wav.into()).await.expect("put");
    let seeded = seed::session(&harness).await;
    let uploaded = seed::recording(&harness, seeded, &key, size, [0; 32]).await;
    let requested = seed::stored(&harness, &uploaded, probed(2, ms)).await;
    let worker = run(&harness, &env, &store, Limits::SERVICE, true).await;
    seed::publish(&harness, &requested).await;
    harness.idle_of(START).await;
    // A job waits in line, and takes about as long as its audio.
    let collected = async {
        while harness.published("transcript.completed").await == 0 {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let patience = Duration::from_mins(4);
    tokio::time::timeout(patience, collected)
        .await
        .expect("done");
    harness.idle_of(COLLECT).await;
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let transcript = transcripts::get(&mut tx, seeded.session_id, None).await;
    let transcript = transcript.expect("a query").expect("a transcript");
    store.delete(&key).await.expect("deleted");
    assert!(
        transcript.turns.len() > 5,
        "{} turns",
        transcript.turns.len()
    );
    assert!(transcript.turns.iter().any(|turn| turn.channel == 1));
    drop(tx);
    worker.stop().await;
    harness.finish_of(COLLECT).await;
}
