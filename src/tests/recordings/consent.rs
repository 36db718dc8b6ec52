//! Uploads need the consent that the policy needs.

use aftercall::embedded::harness::eventually;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, WAV};
use crate::support::Answer;

impl Bench {
    async fn put(&self, path: &str, body: &Value) {
        let request = self.ingress.request(Method::PUT, &format!("/api/v1{path}"));
        let answer = Answer::of(request.bearer_auth(&self.token).json(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }

    async fn need_consent(&self) {
        let mut admin = self.harness.admin().await;
        let account: uuid::Uuid = sqlx::query_scalar("select account_id from users")
            .fetch_one(&mut admin)
            .await
            .expect("the user");
        let policy = json!({ "consent_required": true });
        self.put(&format!("/accounts/{account}/policy"), &policy)
            .await;
    }

    async fn consent(&self, recording: bool) {
        let consent = json!({ "consent": { "recording": recording, "ai": true } });
        self.put(&format!("/sessions/{}", self.session), &consent)
            .await;
    }
}

#[tokio::test]
async fn an_upload_without_the_consent_that_is_needed_stores_no_byte() {
    let bench = Bench::start().await;
    bench.need_consent().await;
    assert_eq!(bench.upload_raw(WAV).await.problem(409), "consent_needed");
    bench.consent(false).await;
    assert_eq!(bench.upload_raw(WAV).await.problem(409), "consent_needed");
    assert!(bench.uploads().await.is_empty());
    bench.consent(true).await;
    let taken = bench.upload_under("k", WAV).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
    bench.finish().await;
}

#[tokio::test]
async fn a_no_counts_although_the_policy_needs_no_consent() {
    let bench = Bench::start().await;
    bench.consent(false).await;
    assert_eq!(bench.upload_raw(WAV).await.problem(409), "consent_needed");
    assert!(bench.uploads().await.is_empty());
    bench.finish().await;
}

#[tokio::test]
async fn consent_that_is_withdrawn_during_an_upload_refuses_it() {
    let bench = Bench::start().await;
    bench.need_consent().await;
    bench.consent(true).await;
    let (mut sender, body) = mpsc::channel::<Bytes>(1);
    let body = reqwest::Body::wrap_stream(body.map(Ok::<_, std::convert::Infallible>));
    let uploading = bench.upload_raw(body);
    let meanwhile = async {
        sender
            .send(Bytes::from_static(&WAV[..100_000]))
            .await
            .expect("taken");
        eventually("the upload has begun", || async {
            let uploads = bench.uploads().await;
            uploads.first().is_some_and(|(_, _, id)| id.is_some())
        })
        .await;
        bench.consent(false).await;
        sender
            .send(Bytes::from_static(&WAV[100_000..]))
            .await
            .expect("taken");
        drop(sender);
    };
    let (refused, ()) = tokio::join!(uploading, meanwhile);
    assert_eq!(refused.problem(409), "consent_needed");
    bench.assert_nothing_left().await;
    bench.finish().await;
}
