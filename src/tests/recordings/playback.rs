//! Playback with ranges, and who hears what.

use reqwest::{Method, StatusCode};

use super::{Bench, MP3, WAV, create_session};
use crate::support::Answer;

#[tokio::test]
async fn sessions_of_others_do_not_exist() {
    let bench = Bench::start().await;
    let answer = bench.upload_raw(WAV).await;
    let recording = answer.json()["recording_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let other = bench.ingress.register("eve@example.org").await;
    let base = format!("/api/v1/sessions/{}", bench.session);
    let request = bench
        .ingress
        .request(Method::POST, &bench.path())
        .bearer_auth(&other)
        .body(WAV);
    assert_eq!(Answer::of(request).await.problem(404), "session_not_found");
    let list = bench
        .ingress
        .get(&format!("{base}/recordings"), Some(&other))
        .await;
    assert_eq!(list.problem(404), "session_not_found");
    let audio = format!("{base}/recordings/{recording}/audio");
    assert_eq!(
        bench.ingress.get(&audio, Some(&other)).await.problem(404),
        "recording_not_found"
    );
    assert_eq!(
        bench.ingress.get(&audio, None).await.problem(401),
        "unauthorized"
    );
    // Nor does the recording in another session of the same user.
    let second = create_session(&bench.ingress, &bench.token).await;
    let audio = format!("/api/v1/sessions/{second}/recordings/{recording}/audio");
    let answer = bench.ingress.get(&audio, Some(&bench.token)).await;
    assert_eq!(answer.problem(404), "recording_not_found");
    let nowhere = "/api/v1/sessions/018f0000-0000-7000-8000-000000000000/upload-recording";
    let request = bench
        .ingress
        .request(Method::POST, nowhere)
        .bearer_auth(&bench.token)
        .body(WAV);
    assert_eq!(Answer::of(request).await.problem(404), "session_not_found");
    assert_eq!(bench.recordings().await.len(), 1);
    bench.finish().await;
}

#[tokio::test]
async fn ranges_are_answered_as_rfc_9110_says() {
    let bench = Bench::start().await;
    let recording = bench.upload_raw(MP3).await.json()["recording_id"].clone();
    let whole = bench.play(&recording, &[]).await;
    let etag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-type"), Some("audio/mpeg"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let len = MP3.len();
    let cases = [
        ("bytes=0-9".to_owned(), 0..10),
        ("bytes=10-".to_owned(), 10..len),
        ("bytes=-10".to_owned(), len - 10..len),
        (format!("bytes=10-{}", len * 2), 10..len),
    ];
    for (range, expected) in cases {
        let part = bench.play(&recording, &[("range", &range)]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        let place = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), Some(place.as_str()));
        assert!(part.body == MP3[expected], "{range}");
    }
    let outside = format!("bytes={len}-");
    let refused = bench.play(&recording, &[("range", &outside)]).await;
    assert_eq!(refused.problem(416), "range_not_satisfiable");
    assert_eq!(
        refused.header("content-range"),
        Some(format!("bytes */{len}").as_str())
    );
    let several = bench.play(&recording, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.body.len()), (StatusCode::OK, len));
    let same = bench
        .play(&recording, &[("range", "bytes=0-1"), ("if-range", &etag)])
        .await;
    assert_eq!(same.status, StatusCode::PARTIAL_CONTENT);
    let other = bench
        .play(
            &recording,
            &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
        )
        .await;
    assert_eq!((other.status, other.body.len()), (StatusCode::OK, len));
    let known = bench.play(&recording, &[("if-none-match", &etag)]).await;
    assert_eq!(
        (known.status, known.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );

    let id = recording.as_str().expect("an id");
    let path = format!("/api/v1/sessions/{}/recordings/{id}/audio", bench.session);
    let head = Answer::of(
        bench
            .ingress
            .request(Method::HEAD, &path)
            .bearer_auth(&bench.token),
    )
    .await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(
        head.header("content-length"),
        Some(len.to_string().as_str())
    );
    bench.finish().await;
}
