//! What an unreachable dependency causes counts nowhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::{ExposeSecret, SecretString};

use super::bench::{Bench, Working};
use super::script::Scripted;
use crate::config::Database;
use crate::db::provision::Process;
use crate::db::{Db, Principal, WorkerRole};
use crate::embedded::FaultProxy;
use crate::embedded::harness::eventually;
use crate::worker::{Probe, Settings, Worker};

/// The database of the test behind a proxy.
async fn proxied_db(bench: &Bench) -> (FaultProxy, Db) {
    let settings = Database::read(&bench.harness.env(Process::Storage)).expect("settings");
    let mut url: reqwest::Url = settings.url.expose_secret().parse().expect("an address");
    let port = url.port().expect("a port");
    let proxy = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], port)))
        .await
        .expect("a port");
    url.set_port(Some(proxy.address().port())).expect("a port");
    let db = Db::connect_lazy(&SecretString::from(String::from(url)), 5).expect("a pool");
    (proxy, db)
}

/// A handler that fails unless Postgres answers; it has one attempt.
fn wants_postgres(db: &Db) -> Scripted<1> {
    let db = db.clone();
    Scripted::new(move |run| {
        let db = db.clone();
        async move {
            db.begin(Principal::Worker(WorkerRole::Storage))
                .await?
                .commit()
                .await?;
            run.done()
        }
    })
}

#[tokio::test]
async fn without_postgres_work_pauses_and_nothing_is_counted() {
    let bench = Bench::start().await;
    let (proxy, db) = proxied_db(&bench).await;
    let handler = wants_postgres(&db);
    let working = bench.work_on(handler.clone(), db.clone(), Vec::new());
    proxy.cut();
    bench.publish(&bench.uploaded()).await;
    eventually("it is tried", || async { handler.runs() >= 1 }).await;
    // A second one is not even tried: pulling pauses, or it waits in hand.
    bench.publish(&bench.uploaded()).await;
    proxy.restore();
    bench.harness.idle().await;
    assert_eq!(
        bench.deliveries().await,
        2,
        "kept in hand, not delivered again"
    );
    assert_eq!(bench.recorded().await, None);
    assert_eq!(bench.published("recording.stored").await.len(), 2);
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_stop_during_an_outage_hands_the_message_back() {
    let bench = Bench::start().await;
    let (proxy, db) = proxied_db(&bench).await;
    let handler = wants_postgres(&db);
    let working = bench.work_on(handler.clone(), db.clone(), Vec::new());
    proxy.cut();
    bench.publish(&bench.uploaded()).await;
    eventually("it is tried", || async { handler.runs() >= 1 }).await;
    working.stop().await;
    proxy.restore();
    let working = bench.work_on(handler.clone(), db, Vec::new());
    bench.harness.idle().await;
    assert_eq!(bench.deliveries().await, 2);
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn any_dependency_of_the_worker_pauses_it() {
    let bench = Bench::start().await;
    let up = Arc::new(AtomicBool::new(false));
    let store = {
        let up = up.clone();
        Probe::new("object store", move || {
            let up = up.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { anyhow::bail!("down") } }
        })
    };
    let handler = Scripted::<1>::new({
        let up = up.clone();
        move |run| {
            let up = up.load(Ordering::SeqCst);
            async move {
                if up {
                    run.done()
                } else {
                    Err(anyhow::anyhow!("no answer").into())
                }
            }
        }
    });
    let worker = Worker::new(Settings {
        name: "storage",
        role: WorkerRole::Storage,
        bus: bench.harness.bus.clone(),
        db: bench.db(),
        probes: vec![store],
        concurrency: 1,
    })
    .handler(handler.clone());
    let health = worker.health();
    let working = Working::start(worker);
    bench.publish(&bench.uploaded()).await;
    eventually("it is tried", || async { handler.runs() == 1 }).await;
    eventually("its consumer is open", || async {
        health.ready().await.problems == ["object store is unreachable"]
    })
    .await;
    up.store(true, Ordering::SeqCst);
    bench.harness.idle().await;
    assert_eq!((handler.runs(), bench.deliveries().await), (2, 1));
    assert_eq!(health.ready().await.status, "ready");
    working.stop().await;
    bench.harness.finish().await;
}

#[tokio::test]
async fn a_broker_that_restarts_loses_nothing() {
    let bench = Bench::start().await;
    let handler = Scripted::<1>::new(|run| async move { run.done() });
    let working = bench.work(handler.clone());
    eventually("pulls", || async {
        bench.consumer().await.num_waiting == 1
    })
    .await;
    bench.harness.nats.lock().await.kill().await;
    bench
        .harness
        .nats
        .lock()
        .await
        .restart()
        .await
        .expect("restarted");
    bench.publish(&bench.uploaded()).await;
    eventually("handled", || async { handler.runs() == 1 }).await;
    bench.harness.idle().await;
    assert_eq!(bench.published("recording.stored").await.len(), 1);
    working.stop().await;
    bench.harness.finish().await;
}
