//! The client for files at addresses that others name, against a server that does its worst.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aftercall::config::Fetch;
use aftercall::providers::web_file::{PrivateAddress, WebFileError, WebFiles};

use crate::server::{CALL, Names, Server};

async fn fetch(settings: &Fetch, url: &str) -> Result<Vec<u8>, WebFileError> {
    read(&WebFiles::build(settings).unwrap(), url).await
}

async fn read(files: &WebFiles, url: &str) -> Result<Vec<u8>, WebFileError> {
    let mut file = files.open(url).await?;
    let mut bytes = Vec::new();
    while let Some(more) = file.next().await? {
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_file_arrives_whole() {
    let server = Server::start().await;
    let settings = server.settings("localhost");
    assert!(fetch(&settings, &server.url("/call.wav")).await.unwrap() == CALL);
    // The host of an address is written in any case.
    let loud = server.url("/call.wav").replace("localhost", "LocalHost");
    assert_eq!(fetch(&settings, &loud).await.unwrap().len(), CALL.len());
}

#[tokio::test]
async fn nothing_but_https_is_asked() {
    let server = Server::start().await;
    let settings = server.settings("localhost");
    for url in [
        server.url("/call.wav").replace("https", "http"),
        "file:///etc/passwd".to_owned(),
        "ftp://localhost/a".to_owned(),
        "call.wav".to_owned(),
        String::new(),
    ] {
        let refused = fetch(&settings, &url).await.unwrap_err();
        assert!(
            matches!(refused, WebFileError::NotHttps),
            "{url}: {refused:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start().await;
    let refused = fetch(&server.settings("localhost"), &server.url("/elsewhere")).await;
    assert!(
        matches!(refused, Err(WebFileError::Status(status)) if status == 302),
        "{refused:?}"
    );
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_private_address_is_never_connected_to() {
    let server = Server::start().await;
    let settings = server.settings("");
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[64:ff9b::7f00:1]",
    ] {
        let url = format!("https://{host}:{}/call.wav", server.port);
        let refused = fetch(&settings, &url).await;
        assert!(
            matches!(refused, Err(WebFileError::Private(_))),
            "{host}: {refused:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn one_private_answer_among_public_ones_is_enough() {
    let server = Server::start().await;
    let url = format!("https://recordings.test:{}/call.wav", server.port);
    for answer in [
        &["127.0.0.1"][..],
        &["1.1.1.1", "127.0.0.1"],
        &["::ffff:10.0.0.1"],
    ] {
        let names = Arc::new(Names::of(answer));
        let files = WebFiles::with_names(&server.settings("localhost"), names).unwrap();
        let refused = read(&files, &url).await;
        let private = *answer.last().unwrap();
        let expected = PrivateAddress(private.parse().unwrap());
        assert!(
            matches!(refused, Err(WebFileError::Private(p)) if p == expected),
            "{refused:?}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    let server = Server::start().await;
    let url = format!("https://recordings.test:{}/call.wav", server.port);
    let names = Names::of(&["127.0.0.1"]);
    let asked = Arc::clone(&names.asked);
    // An operator vouches for the name, so its private address will do.
    let files = WebFiles::with_names(&server.settings("recordings.test"), Arc::new(names)).unwrap();
    assert_eq!(read(&files, &url).await.unwrap().len(), CALL.len());
    assert_eq!(asked.load(Ordering::Relaxed), 1, "nobody looks it up again");
}

#[tokio::test]
async fn a_certificate_of_nobody_is_refused() {
    let server = Server::start().await;
    let mut settings = server.settings("localhost");
    settings.ca_file = None;
    let refused = fetch(&settings, &server.url("/call.wav")).await;
    assert!(
        matches!(refused, Err(WebFileError::Failed(_))),
        "{refused:?}"
    );
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn what_is_too_large_ends_early() {
    let server = Server::start().await;
    let settings = server.settings("localhost");
    for path in ["/claims-much", "/endless"] {
        let refused = fetch(&settings, &server.url(path)).await;
        assert!(
            matches!(
                refused,
                Err(WebFileError::TooLarge {
                    max_bytes: 2_000_000
                })
            ),
            "{path}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn whoever_is_slow_or_silent_is_not_waited_for() {
    let server = Server::start().await;
    let settings = server.settings("localhost");
    for path in ["/silent", "/drips"] {
        let refused = fetch(&settings, &server.url(path)).await;
        assert!(
            matches!(refused, Err(WebFileError::TooSlow)),
            "{path}: {refused:?}"
        );
    }
    // Fast enough by its rate, and yet without an end.
    let mut patient = settings;
    patient.min_bytes_per_second = 0;
    patient.time_limit = std::time::Duration::from_secs(2);
    let refused = fetch(&patient, &server.url("/drips")).await;
    assert!(matches!(refused, Err(WebFileError::TooSlow)), "{refused:?}");
}

#[tokio::test]
async fn what_breaks_off_is_told_from_an_end_and_shows_no_credential() {
    let server = Server::start().await;
    let settings = server.settings("localhost");
    let url = server
        .url("/breaks-off?x=1")
        .replace("/breaks-off?x=1", "/breaks-off");
    let broken = fetch(&settings, &url).await.unwrap_err();
    assert!(matches!(broken, WebFileError::Failed(_)), "{broken:?}");
    let secret = "https://me:s3cret@localhost:1/call.wav?token=s3cret";
    let failed = fetch(&settings, secret).await.unwrap_err();
    assert!(
        !format!("{failed:?} {failed}").contains("s3cret"),
        "{failed:?}"
    );
}
