//! Maintenance worker: what keeps the rest going.
//!
//! | handler | consumes | publishes | writes | calls |
//! | --- | --- | --- | --- | --- |
//! | [`FileDeadLetter`] | dead letters | nothing | `dead_letters` | nothing |
//! | [`EraseSession`] | `erasure.requested` | nothing | everything of a session, a call or a client, and how far it is | object store, broker |
//!
//! | job | what it does |
//! | --- | --- |
//! | [`relay`] | publishes events that a command left in the outbox |
//! | [`reconcile`] | asks again for work that Postgres says is unfinished |
//! | [`uploads::sweep`] | removes what broken-off uploads left in the object store |
//! | [`job_files::sweep`] | removes what transcription jobs left in the object store |
//! | [`Eraser::go_on`] | goes on with erasures, and makes their second pass |
//! | [`trim`](trim::trim) | takes what everybody has consumed out of streams that fill up |
//! | [`retain`], [`retain_calls`] | asks for the erasure of what is older than the policy of its account allows, and blanks what calls said |
//! | `answers` | forgets answers kept for `Idempotency-Key` after a day |
//! | `sign-ins` | forgets sign-ins and refresh tokens a week after they ended |
//! | `deliveries` | forgets failures of messages that are no longer in any stream |
//! | `throttles` | forgets failed sign-ins that nobody has to wait for any more |
//! | `provision` | makes streams, consumers and the bucket where they are missing |
//!
//! Each job runs in one process at a time, however many of this worker run.
//!
//! Not here: the decision that a stage failed; that is the runtime's.
//!
//! Invariant: every job can stop at any point and be run again.

mod erase_session;
pub mod erasure;
mod file_dead_letter;
pub mod job_files;
mod jobs;
mod outbox;
mod reconcile;
mod retention;
pub mod trim;
pub mod uploads;

pub use erase_session::EraseSession;
pub use erasure::Eraser;
pub use file_dead_letter::FileDeadLetter;
pub use outbox::relay;
pub use reconcile::reconcile;
pub use retention::{retain, retain_calls};

use std::sync::Arc;
use std::time::Duration;

use aftercall::bus::{Bus, Parameters};
use aftercall::config::{self, ConfigError, Env};
use aftercall::db::{Db, Principal, WorkerRole, deliveries, idempotency, sign_ins, throttles};
use aftercall::lifecycle::Shutdown;
use aftercall::providers::object_store::ObjectStore;
use aftercall::telemetry::PrometheusHandle;
use aftercall::worker::{Settings, Worker};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use jobs::Job;

/// What the events of this process name as their source.
const SOURCE: &str = "aftercall/maintenance";
/// How long an answer is kept for a repeated request.
const ANSWER_AGE: Duration = Duration::from_hours(24);

/// How long after its end a sign-in is kept.
const SIGN_IN_AGE: Duration = Duration::from_hours(7 * 24);
/// A day longer than the stream EVENTS keeps a message.
const DELIVERY_AGE: Duration = Duration::from_hours(15 * 24);
/// Longer than failed sign-ins count.
const THROTTLE_AGE: Duration = Duration::from_hours(1);

/// What this worker reads from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    pub worker: config::Worker,
    pub nats: config::Nats,
    pub database: config::Database,
    pub object_store: config::ObjectStore,
    pub maintenance: config::Maintenance,
}

impl Config {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self {
            worker: config::Worker::read(env)?,
            nats: config::Nats::read(env)?,
            database: config::Database::read(env)?,
            object_store: config::ObjectStore::read(env)?,
            maintenance: config::Maintenance::read(env)?,
        })
    }
}

/// Runs the worker until the stop.
pub async fn start(
    config: Config,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let db = Db::connect_lazy(&config.database.url, config.database.max_connections)?;
    let bus = Bus::connect(&config.nats, "maintenance").await?;
    let store = ObjectStore::connect(&config.object_store).await?;
    trim::describe_metrics();
    let tracker = TaskTracker::new();
    let turns = Arc::new(Semaphore::new(jobs::AT_ONCE));
    let eraser = Eraser::new(db.clone(), bus.clone(), store.clone());
    for job in jobs(&config.maintenance, &db, &bus, &store, &eraser) {
        tracker.spawn(job.repeat(db.clone(), Arc::clone(&turns), shutdown.soft().clone()));
    }
    tracker.close();
    Worker::new(Settings {
        name: "maintenance",
        role: WorkerRole::Maintenance,
        bus,
        db: db.clone(),
        probes: Vec::new(),
        concurrency: config.worker.concurrency,
    })
    .handler(EraseSession::new(eraser))
    .handler(FileDeadLetter::new(db))
    .serve(config.worker.address, metrics, shutdown)
    .await?;
    tracker.wait().await;
    Ok(())
}

fn jobs(
    settings: &config::Maintenance,
    db: &Db,
    bus: &Bus,
    store: &ObjectStore,
    eraser: &Eraser,
) -> Vec<Job> {
    let parameters = Parameters {
        replicas: settings.nats_replicas,
        duplicate_window: settings.nats_duplicate_window,
    };
    let (delay, age, silence) = (
        settings.outbox_delay,
        settings.reconcile_after,
        settings.upload_sweep_after,
    );
    vec![
        job(
            "provision",
            5,
            (bus.clone(), store.clone()),
            move |(bus, store)| async move {
                store.ensure_bucket().await?;
                if bus.missing().await?.is_empty() {
                    return Ok(0);
                }
                let done = bus.provision(parameters).await?;
                Ok((done.created.len() + done.updated.len()) as u64)
            },
        ),
        job(
            "relay",
            1,
            (db.clone(), bus.clone()),
            move |(db, bus)| async move { relay(&db, &bus, Timestamp::now(), delay).await },
        ),
        job("reconcile", 60, db.clone(), move |db| async move {
            reconcile(&db, Timestamp::now(), age).await
        }),
        job(
            "uploads",
            60,
            (db.clone(), store.clone()),
            move |(db, store)| async move {
                let swept = uploads::sweep(&db, &store, Timestamp::now(), silence).await?;
                Ok(swept.removed)
            },
        ),
        job(
            "job-files",
            900,
            (db.clone(), store.clone()),
            |(db, store)| async move { job_files::sweep(&db, &store).await },
        ),
        job("erasures", 15, eraser.clone(), |eraser| async move {
            eraser.go_on(Timestamp::now()).await
        }),
        job(
            "trim",
            10,
            (db.clone(), bus.clone()),
            |(db, bus)| async move { trim::trim(&db, &bus, Timestamp::now()).await },
        ),
        job(
            "retention",
            900,
            (db.clone(), eraser.clone()),
            |(db, eraser)| async move {
                let asked = retain(&db, Timestamp::now()).await?;
                Ok(asked + retain_calls(&db, &eraser, Timestamp::now()).await?)
            },
        ),
        job("answers", 3600, db.clone(), move |db| async move {
            let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
            let before = Timestamp::now().checked_sub(ANSWER_AGE)?;
            let forgotten = idempotency::delete_before(&mut tx, before).await?;
            tx.commit().await?;
            Ok(forgotten)
        }),
        job("sign-ins", 3600, db.clone(), move |db| async move {
            let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
            let before = Timestamp::now().checked_sub(SIGN_IN_AGE)?;
            let forgotten = sign_ins::sweep(&mut tx, before).await?;
            tx.commit().await?;
            Ok(forgotten)
        }),
        job("deliveries", 3600, db.clone(), move |db| async move {
            let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
            let before = Timestamp::now().checked_sub(DELIVERY_AGE)?;
            let forgotten = deliveries::sweep(&mut tx, before).await?;
            tx.commit().await?;
            Ok(forgotten)
        }),
        job("throttles", 600, db.clone(), move |db| async move {
            let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
            let before = Timestamp::now().checked_sub(THROTTLE_AGE)?;
            let forgotten = throttles::sweep(&mut tx, before).await?;
            tx.commit().await?;
            Ok(forgotten)
        }),
    ]
}

fn job<T, F>(
    name: &'static str,
    every_s: u64,
    state: T,
    run: impl Fn(T) -> F + Clone + Send + Sync + 'static,
) -> Job
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<u64>> + Send + 'static,
{
    Job {
        name,
        every: Duration::from_secs(every_s),
        run: Box::new(move || run(state.clone()).boxed()),
    }
}
