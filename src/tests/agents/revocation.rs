//! A key that ends while its agent is connected.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::scene::Scene;

/// What is promised of every key.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_revoked_key_is_cut_off_within_five_seconds() {
    let scene = Scene::start().await;
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(scene.attacker().await);
    }
    let mut other = scene.other.connect(&scene.url).await.expect("a good key");
    let path = format!("/api/v1/api-keys/{}", scene.ours.key_id);
    let revoke = scene.ingress.request(Method::DELETE, &path);
    let answer = revoke.bearer_auth(scene.token()).send().await;
    assert!(answer.expect("an answer").status().is_success());
    let since = Instant::now();
    for wire in &mut wires {
        assert!(wire.is_ended_within(LIMIT).await);
    }
    assert!(since.elapsed() < LIMIT, "{:?}", since.elapsed());
    assert!(
        scene.ours.connect(&scene.url).await.is_err(),
        "and stays out"
    );
    let answer = scene.other.publish(&mut other, &scene.other.call()).await;
    assert_eq!(answer["status"], "accepted", "others go on: {answer}");
    scene.finish().await;
}

/// Another process revokes it, and this one has it in memory.
#[tokio::test]
async fn so_is_one_that_another_process_revoked() {
    let scene = Scene::start().await;
    let mut wire = scene.attacker().await;
    let answer = scene.ours.publish(&mut wire, &scene.ours.call()).await;
    assert_eq!(answer["status"], "accepted", "{answer}");
    sqlx::query("update api_keys set revoked_at = clock_timestamp() where id = $1::uuid")
        .bind(&scene.ours.key_id)
        .execute(&mut scene.harness.admin().await)
        .await
        .expect("Postgres answers");
    let since = Instant::now();
    assert!(
        wire.is_ended_within(LIMIT).await,
        "after {:?}",
        since.elapsed()
    );
    scene.finish().await;
}
