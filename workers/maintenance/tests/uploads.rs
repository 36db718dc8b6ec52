//! The sweep of broken-off uploads against a real Postgres and S3.

use std::time::Duration;

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, uploads};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::embedded::{S3Options, S3Server};
use aftercall::ids::RecordingId;
use aftercall::providers::object_store::{ObjectStore, StoreError};
use aftercall_maintenance::uploads::{Swept, sweep};
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

const SILENT_FOR: Duration = Duration::from_mins(10);

struct Bench {
    harness: Harness,
    store: ObjectStore,
    seeded: Seeded,
    s3: S3Server,
}

/// An upload that has sent one part.
struct Begun {
    id: Uuid,
    key: String,
    multipart_id: String,
}

impl Bench {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let secret = SecretString::from("for this test");
        let options = S3Options {
            access_key_id: "test".to_owned(),
            secret_access_key: secret.clone(),
            port: None,
        };
        let s3 = S3Server::start(&harness.dir().join("s3"), options)
            .await
            .expect("a server");
        let store = ObjectStore::connect(&config::ObjectStore {
            bucket: "sweep".to_owned(),
            endpoint_url: Some(s3.url()),
            region: "us-east-1".to_owned(),
            access_key_id: Some("test".to_owned()),
            secret_access_key: Some(secret),
            profile: None,
        })
        .await
        .expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        let seeded = seed::session(&harness).await;
        Self {
            harness,
            store,
            seeded,
            s3,
        }
    }

    async fn begun(&self) -> Begun {
        let (id, recording_id) = (Uuid::now_v7(), RecordingId::generate());
        let key = format!("recordings/{recording_id}");
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let of = (tx.acting().account_id, self.seeded.session_id);
        uploads::insert(&mut tx, id, of, recording_id, &key, None)
            .await
            .expect("a row");
        let multipart_id = self
            .store
            .create_multipart(&key, "audio/wav")
            .await
            .expect("opened");
        assert!(
            uploads::set_multipart(&mut tx, id, &multipart_id)
                .await
                .expect("noted")
        );
        tx.commit().await.expect("commit");
        let part = Bytes::from_static(b"RIFF");
        self.store
            .upload_part(&key, &multipart_id, 1, part)
            .await
            .expect("sent");
        Begun {
            id,
            key,
            multipart_id,
        }
    }

    async fn finish(&self, upload: &Begun) {
        let part = Bytes::from_static(b"RIFF");
        let tag = self
            .store
            .upload_part(&upload.key, &upload.multipart_id, 1, part)
            .await;
        let made = self
            .store
            .complete(&upload.key, &upload.multipart_id, vec![tag.expect("sent")]);
        made.await.expect("made");
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        assert!(uploads::finish(&mut tx, upload.id).await.expect("a query"));
        tx.commit().await.expect("commit");
    }

    async fn sweep_at(&self, now: Timestamp) -> Swept {
        let db = self.harness.db(Process::Maintenance);
        sweep(&db, &self.store, now, SILENT_FOR)
            .await
            .expect("swept")
    }

    async fn rows(&self) -> i64 {
        let mut admin = self.harness.admin().await;
        let rows = sqlx::query_scalar("select count(*) from uploads")
            .fetch_one(&mut admin)
            .await;
        rows.expect("Postgres answers")
    }
}

fn later(duration: Duration) -> Timestamp {
    Timestamp::now().checked_add(duration).expect("in range")
}

fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotFound { .. }))
}

#[tokio::test]
async fn a_silent_upload_is_removed_and_a_running_one_is_not() {
    let bench = Bench::start().await;
    let upload = bench.begun().await;
    assert_eq!(bench.sweep_at(Timestamp::now()).await, Swept::default());
    let parts = bench
        .store
        .parts(&upload.key, &upload.multipart_id)
        .await
        .expect("open");
    assert_eq!(parts, [1]);

    let swept = bench.sweep_at(later(SILENT_FOR * 2)).await;
    assert_eq!(
        swept,
        Swept {
            abandoned: 1,
            removed: 1
        }
    );
    assert!(is_gone(
        &bench.store.parts(&upload.key, &upload.multipart_id).await
    ));
    assert!(is_gone(&bench.store.head(&upload.key).await));
    assert_eq!(bench.rows().await, 0);
    bench.harness.finish().await;
}

#[tokio::test]
async fn an_object_whose_commit_failed_is_removed() {
    let bench = Bench::start().await;
    let upload = bench.begun().await;
    let part = Bytes::from_static(b"RIFF");
    let tag = bench
        .store
        .upload_part(&upload.key, &upload.multipart_id, 1, part)
        .await;
    let tags = vec![tag.expect("sent")];
    bench
        .store
        .complete(&upload.key, &upload.multipart_id, tags)
        .await
        .expect("made");
    assert_eq!(
        bench
            .store
            .head(&upload.key)
            .await
            .expect("there")
            .size_bytes,
        4
    );

    let swept = bench.sweep_at(later(SILENT_FOR * 2)).await;
    assert_eq!(
        swept,
        Swept {
            abandoned: 1,
            removed: 1
        }
    );
    assert!(is_gone(&bench.store.head(&upload.key).await));
    bench.harness.finish().await;
}

#[tokio::test]
async fn what_a_finished_upload_made_stays() {
    let bench = Bench::start().await;
    let upload = bench.begun().await;
    bench.finish(&upload).await;
    assert_eq!(
        bench.sweep_at(later(SILENT_FOR * 2)).await,
        Swept::default()
    );
    assert_eq!(bench.rows().await, 1, "its key is still known");
    assert_eq!(
        bench.sweep_at(later(Duration::from_hours(25))).await,
        Swept::default()
    );
    assert_eq!(bench.rows().await, 0);
    assert!(bench.store.head(&upload.key).await.is_ok());
    bench.harness.finish().await;
}

#[tokio::test]
async fn while_the_store_is_down_the_row_stays() {
    let mut bench = Bench::start().await;
    let upload = bench.begun().await;
    bench.s3.stop().await;
    let swept = bench.sweep_at(later(SILENT_FOR * 2)).await;
    assert_eq!(
        swept,
        Swept {
            abandoned: 1,
            removed: 0
        }
    );
    assert_eq!(bench.rows().await, 1, "the next sweep finds {}", upload.key);
    bench.harness.finish().await;
}
