//! Uploads and playback: what is accepted, what is refused, and what either leaves.

mod broken_off;
mod consent;
mod playback;

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::providers::object_store::{ObjectStore, StoreError};
use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, TestIngress};

const WAV: &[u8] = include_bytes!("../../../workers/all/samples/two-cities/two-cities.wav");
const MP3: &[u8] = include_bytes!("../../audio/fixtures/tone.mp3");

/// An ingress, its bucket and a user with a session.
struct Bench {
    harness: Harness,
    ingress: TestIngress,
    store: ObjectStore,
    token: String,
    session: String,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let harness = Harness::start().await;
        let object_store = config::ObjectStore::read(&harness.env(Process::Ingress));
        let store = ObjectStore::connect(&object_store.expect("settings")).await;
        let store = store.expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        let ingress = TestIngress::start_with(&harness, settings).await;
        let token = ingress.register("ada@example.org").await;
        let session = create_session(&ingress, &token).await;
        Self {
            harness,
            ingress,
            store,
            token,
            session,
        }
    }

    fn path(&self) -> String {
        format!("/api/v1/sessions/{}/upload-recording", self.session)
    }

    async fn upload_raw(&self, bytes: impl Into<reqwest::Body>) -> Answer {
        let request = self.ingress.request(Method::POST, &self.path());
        Answer::of(request.bearer_auth(&self.token).body(bytes)).await
    }

    async fn upload_form(&self, form: Form) -> Answer {
        let request = self.ingress.request(Method::POST, &self.path());
        Answer::of(request.bearer_auth(&self.token).multipart(form)).await
    }

    async fn upload_under(&self, key: &str, bytes: &'static [u8]) -> Answer {
        let request = self.ingress.request(Method::POST, &self.path());
        let request = request
            .bearer_auth(&self.token)
            .header("idempotency-key", key);
        Answer::of(request.body(bytes)).await
    }

    async fn recordings(&self) -> Vec<Value> {
        let path = format!("/api/v1/sessions/{}/recordings", self.session);
        let answer = self.ingress.get(&path, Some(&self.token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let list = answer.json();
        assert_eq!(list["next_cursor"], Value::Null);
        list["items"].as_array().expect("a list").clone()
    }

    async fn play(&self, recording: &Value, headers: &[(&str, &str)]) -> Answer {
        let id = recording.as_str().expect("an id");
        let path = format!("/api/v1/sessions/{}/recordings/{id}/audio", self.session);
        let request = self
            .ingress
            .request(Method::GET, &path)
            .bearer_auth(&self.token);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::of(request).await
    }

    /// The uploads there are: state, key in the object store and multipart upload.
    async fn uploads(&self) -> Vec<(String, String, Option<String>)> {
        let mut admin = self.harness.admin().await;
        sqlx::query_as("select state, object_key, multipart_id from uploads order by created_at")
            .fetch_all(&mut admin)
            .await
            .expect("Postgres answers")
    }

    /// Asserts that nothing of the newest upload is left but a row that leads the sweep to it.
    async fn assert_nothing_left(&self) {
        eventually("the upload is given up", || async {
            self.uploads()
                .await
                .iter()
                .all(|(state, ..)| state == "abandoned")
        })
        .await;
        for (_, key, multipart_id) in self.uploads().await {
            eventually("the multipart upload is gone", || async {
                let id = multipart_id.as_deref().expect("opened");
                is_gone(&self.store.parts(&key, id).await)
            })
            .await;
            assert!(is_gone(&self.store.head(&key).await));
        }
        assert_eq!(self.recordings().await, [] as [Value; 0]);
    }

    async fn finish(self) {
        self.ingress.stop().await;
        // Nobody here consumes the events of the uploads.
        self.harness.finish_as_it_is().await;
    }
}

async fn create_session(ingress: &TestIngress, token: &str) -> String {
    let answer = ingress
        .post_json("/api/v1/sessions", Some(token), &json!({}))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotFound { .. }))
}

fn form(bytes: &'static [u8], name: &str) -> Form {
    Form::new().part("file", Part::bytes(bytes).file_name(name.to_owned()))
}

#[tokio::test]
async fn a_form_and_a_body_are_recorded_as_they_were_sent() {
    let bench = Bench::start().await;
    let of_form = bench
        .upload_form(form(WAV, "call.wav").text("note", "ignored"))
        .await;
    assert_eq!(of_form.status, StatusCode::ACCEPTED, "{}", of_form.text());
    let answer = of_form.json();
    assert_eq!(
        (&answer["session_id"], &answer["status"]),
        (&json!(bench.session), &json!("recorded"))
    );
    let of_body = bench.upload_raw(MP3).await;
    assert_eq!(of_body.status, StatusCode::ACCEPTED, "{}", of_body.text());

    let recordings = bench.recordings().await;
    assert_eq!(recordings.len(), 2);
    assert_eq!(recordings[0]["id"], answer["recording_id"]);
    assert_eq!(recordings[0]["file_name"], "call.wav");
    assert_eq!(recordings[0]["content_type"], "audio/wav");
    assert_eq!(recordings[0]["size_bytes"], WAV.len());
    assert_eq!(recordings[0]["state"], "uploaded");
    assert_eq!(recordings[1]["content_type"], "audio/mpeg");
    assert_eq!(recordings[1]["file_name"], Value::Null);
    for (recording, bytes) in recordings.iter().zip([WAV, MP3]) {
        let played = bench.play(&recording["id"], &[]).await;
        assert_eq!(
            (played.status, played.body == bytes),
            (StatusCode::OK, true)
        );
    }
    assert!(
        bench
            .uploads()
            .await
            .iter()
            .all(|(state, ..)| state == "finished")
    );
    bench.finish().await;
}

#[tokio::test]
async fn a_file_of_many_parts_arrives_whole() {
    let bench = Bench::start().await;
    // 20 MiB: two full parts and a rest, in frames that do not match them.
    let mut bytes = WAV[..44].to_vec();
    bytes.extend((0..20 * 1024 * 1024_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]));
    let sent = bytes.clone();
    let frames = sent
        .chunks(777_777)
        .map(|frame| Ok::<_, std::io::Error>(Bytes::copy_from_slice(frame)));
    let frames: Vec<_> = frames.collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(frames));
    let answer = bench.upload_raw(body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let played = bench.play(&answer.json()["recording_id"], &[]).await;
    assert!(played.body == bytes);
    bench.finish().await;
}

#[tokio::test]
async fn what_is_no_recording_is_refused_and_leaves_nothing() {
    let bench = Bench::start().await;
    assert_eq!(bench.upload_raw("").await.wrong_fields(), ["file"]);
    assert_eq!(
        bench
            .upload_form(form(b"", "call.wav"))
            .await
            .wrong_fields(),
        ["file"]
    );
    let none = Form::new().text("note", "no file");
    assert_eq!(bench.upload_form(none).await.wrong_fields(), ["file"]);
    let others: [(&[u8], &str); 3] = [
        (b"Dear diary, this is text", "call.wav"),
        (b"PK\x03\x04\x14\0\0\0\x08\0 a zip file", "call.zip"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n", "list.m3u"),
    ];
    for (bytes, name) in others {
        assert_eq!(
            bench.upload_form(form(bytes, name)).await.problem(415),
            "unsupported_media_type"
        );
        assert_eq!(
            bench.upload_raw(bytes).await.problem(415),
            "unsupported_media_type"
        );
    }
    let request = bench
        .ingress
        .request(Method::POST, &bench.path())
        .bearer_auth(&bench.token);
    let malformed = request
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--y\r\n");
    assert_eq!(
        Answer::of(malformed).await.problem(400),
        "malformed_multipart"
    );
    assert_eq!(bench.uploads().await, []);

    // This one is only known when the first file is already in the store.
    let two = form(WAV, "a.wav").part("file", Part::bytes(MP3).file_name("b.mp3"));
    assert_eq!(bench.upload_form(two).await.wrong_fields(), ["file"]);
    bench.assert_nothing_left().await;
    bench.finish().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_claim_and_by_its_bytes() {
    let bench = Bench::start_with(&[("MAX_UPLOAD_BYTES", "100000")]).await;
    assert_eq!(bench.upload_raw(WAV).await.problem(413), "too_large");
    assert_eq!(bench.uploads().await, [], "refused before the first byte");
    let frames = WAV
        .chunks(50_000)
        .take(3)
        .map(|frame| Ok::<_, std::io::Error>(Bytes::from_static(frame)));
    let frames: Vec<_> = frames.collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(frames));
    assert_eq!(bench.upload_raw(body).await.problem(413), "too_large");
    bench.assert_nothing_left().await;
    let bytes = &WAV[..100_000];
    assert_eq!(bench.upload_raw(bytes).await.status, StatusCode::ACCEPTED);
    bench.finish().await;
}

#[tokio::test]
async fn headers_that_lie_and_files_cut_off_are_accepted() {
    let bench = Bench::start().await;
    let mut claims_4_gib = WAV[..200_000].to_vec();
    claims_4_gib[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    claims_4_gib[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        bench.upload_raw(claims_4_gib).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(
        bench.upload_raw(&MP3[..MP3.len() / 2]).await.status,
        StatusCode::ACCEPTED
    );
    bench.finish().await;
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let bench = Bench::start().await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(bench.upload_raw(MP3).await.json()["recording_id"].clone());
    }
    let base = format!("/api/v1/sessions/{}/recordings?limit=2", bench.session);
    let first = bench.ingress.get(&base, Some(&bench.token)).await.json();
    let cursor = first["next_cursor"].as_str().expect("another page");
    let next = format!("{base}&cursor={cursor}");
    let second = bench.ingress.get(&next, Some(&bench.token)).await.json();
    assert_eq!(second["next_cursor"], Value::Null);
    let pages = [&first, &second].map(|page| page["items"].as_array().expect("items").clone());
    let listed: Vec<Value> = pages.concat().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(listed, sent);
    bench.finish().await;
}

#[tokio::test]
async fn a_client_that_sends_much_of_the_wrong_kind_reads_why() {
    let bench = Bench::start().await;
    let mut archive = b"PK\x03\x04".to_vec();
    archive.resize(12 * 1024 * 1024, 7);
    let form = Form::new().part("file", Part::bytes(archive.clone()).file_name("call.wav"));
    for answer in [
        bench.upload_raw(archive).await,
        bench.upload_form(form).await,
    ] {
        assert_eq!(answer.problem(415), "unsupported_media_type");
    }
    assert_eq!(bench.uploads().await, []);
    bench.finish().await;
}

#[tokio::test]
async fn a_file_name_does_no_harm() {
    let bench = Bench::start().await;
    let long = format!("{}.wav", "a".repeat(10_000));
    for name in ["../../../etc/passwd", long.as_str(), "evil\".wav"] {
        let answer = bench.upload_form(form(WAV, name)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    }
    let recordings = bench.recordings().await;
    assert_eq!(recordings[0]["file_name"], "passwd");
    assert_eq!(
        recordings[1]["file_name"].as_str().expect("a name").len(),
        255
    );
    let played = bench.play(&recordings[2]["id"], &[]).await;
    let disposition = played.header("content-disposition").expect("a name");
    assert!(
        disposition.starts_with("inline; filename=\"evil_.wav\""),
        "{disposition}"
    );
    for (_, key, _) in bench.uploads().await {
        assert!(
            key.chars()
                .all(|c| c.is_ascii_hexdigit() || "recordings/-".contains(c)),
            "{key}"
        );
    }
    bench.finish().await;
}

#[tokio::test]
async fn under_one_key_a_file_is_recorded_once() {
    let bench = Bench::start().await;
    let first = bench.upload_under("k1", WAV).await;
    let again = bench.upload_under("k1", WAV).await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::ACCEPTED, StatusCode::ACCEPTED)
    );
    assert_eq!(first.json(), again.json());
    assert_eq!(
        bench.upload_under("k1", MP3).await.problem(422),
        "idempotency_key_reused"
    );
    assert_eq!(bench.recordings().await.len(), 1);
    // A refused file leaves its key free.
    assert_eq!(
        bench.upload_under("k2", b"text").await.problem(415),
        "unsupported_media_type"
    );
    assert_eq!(
        bench.upload_under("k2", MP3).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(bench.recordings().await.len(), 2);
    bench.finish().await;
}
