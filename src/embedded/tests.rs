//! The servers as a set: they start together, stop, and find their data again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use sqlx::{Connection, Executor, PgConnection, Row};

use super::{Durability, Options, Servers, Which, ports, testing};

fn options(data_dir: &Path) -> Options {
    Options {
        data_dir: data_dir.to_owned(),
        tools_dir: testing::tools_dir(),
        which: Which::ALL,
        durability: Durability::Synced,
    }
}

fn s3_client(environment: &BTreeMap<String, String>) -> aws_sdk_s3::Client {
    let credentials = Credentials::new(
        &environment["AWS_ACCESS_KEY_ID"],
        &environment["AWS_SECRET_ACCESS_KEY"],
        None,
        None,
        "test",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(environment["AWS_REGION"].clone()))
        .endpoint_url(&environment["AWS_ENDPOINT_URL_S3"])
        .credentials_provider(credentials)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[tokio::test]
async fn a_second_start_finds_the_data_and_the_ports_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = Servers::start(options(dir.path())).await.unwrap();
    first.speech.as_ref().unwrap().ready().await.unwrap();
    let log = fs::read_to_string(first.speech.as_ref().unwrap().log()).unwrap();
    assert_eq!(
        log.matches("POST /v1/audio/transcriptions").count(),
        1,
        "{log}"
    );
    let environment = first.environment().clone();
    assert_eq!(fs::read_dir(dir.path().join("pids")).unwrap().count(), 3);

    let mut database = PgConnection::connect(&environment["DATABASE_ADMIN_URL"])
        .await
        .unwrap();
    database.execute("create table kept (n int)").await.unwrap();
    database
        .execute("insert into kept values (7)")
        .await
        .unwrap();
    let put = s3_client(&environment)
        .put_object()
        .bucket(&environment["S3_BUCKET"])
        .key("a/b");
    put.body(ByteStream::from_static(b"kept"))
        .send()
        .await
        .unwrap();

    first.stop().await;
    assert_eq!(fs::read_dir(dir.path().join("pids")).unwrap().count(), 0);
    for url in ["NATS_URL", "NATS_MONITOR_URL", "AWS_ENDPOINT_URL_S3"] {
        let port = environment[url].rsplit(':').next().unwrap();
        assert!(
            ports::is_free(port.parse().unwrap()),
            "{url} is still in use"
        );
    }

    let second = Servers::start(options(dir.path())).await.unwrap();
    assert_eq!(second.environment(), &environment);
    let mut database = PgConnection::connect(&environment["DATABASE_ADMIN_URL"])
        .await
        .unwrap();
    let row = database.fetch_one("select n from kept").await.unwrap();
    assert_eq!(row.get::<i32, _>(0), 7);
    let get = s3_client(&environment)
        .get_object()
        .bucket(&environment["S3_BUCKET"])
        .key("a/b");
    let body = get.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(body.into_bytes(), "kept");
    second.stop().await;
}

#[test]
fn what_the_environment_names_is_not_started() {
    let given = |name: &'static str| Which::not_named(move |asked| asked == name);
    assert_eq!(given("UNRELATED"), Which::ALL);
    assert!(!given("NATS_URL").nats);
    assert!(!given("DATABASE_URL").postgres);
    assert!(!given("DATABASE_ADMIN_URL").postgres);
    assert!(!given("AWS_ENDPOINT_URL_S3").s3);
    assert!(!given("AWS_ENDPOINT_URL").s3);
    assert!(!given("TRANSCRIPTION_BASE_URL").speech);
}
