//! What one test runs on: a database and a bucket of its own on the servers that `make test` started
//! once, and a nats-server of its own.
//!
//! Invariant: a test says how it ended. [`Harness::finish`] asserts that no message is pending and
//! none is dead; a harness that is dropped without it fails the test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::jetstream::consumer;
use futures::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::seed::Seeded;
use super::{
    ChatPeer, Moto, NatsOptions, NatsServer, NatsUsers, OidcOptions, OidcProvider, logins,
};
use crate::bus::{self, Bus};
use crate::config::{self, Env};
use crate::db::provision::{self, MIGRATIONS, Process};
use crate::db::sessions::{self, Session};
use crate::db::{Db, Principal, Tx, WorkerRole, timeline};
use crate::lifecycle::Shutdown;
use crate::providers::object_store::ObjectStore;
use crate::worker::{self, Worker};

/// Longest wait for work to be done, generous for a busy machine.
const IDLE_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);
const IDLE_POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// The servers of one test.
pub struct Harness {
    pub nats: Arc<Mutex<NatsServer>>,
    pub bus: Bus,
    env: Env,
    admin_url: SecretString,
    database: String,
    dir: TempDir,
    finished: bool,
}

impl Harness {
    /// Starts a nats-server, provisions it, and makes a database and a bucket.
    pub async fn start() -> Self {
        Self::start_on(Env::of_process()).await
    }

    /// The same on the servers that `process` names.
    pub async fn start_on(process: Env) -> Self {
        crate::lifecycle::install_tls();
        let admin_url = process
            .optional_secret("DATABASE_ADMIN_URL")
            .expect("no Postgres: run the tests with `make test`");
        let dir = tempfile::Builder::new()
            .prefix("aftercall-")
            .tempdir()
            .expect("a folder");
        let tools = process
            .text("EMBEDDED_TOOLS_DIR")
            .expect("run the tests with `make test`");
        let program = super::install::nats_server(Path::new(&tools))
            .await
            .expect("nats-server");
        let options = NatsOptions {
            program,
            pid_file: None,
            ports: None,
            users: NatsUsers::generate(),
        };
        let nats = NatsServer::start(&dir.path().join("nats"), options)
            .await
            .expect("nats-server");
        let database = make_database(&admin_url).await;
        let env = process.with(nats.variables()).with([
            ("S3_BUCKET", bucket_of(&database)),
            (
                "JWT_KEYS_DIR",
                dir.path().join("keys").display().to_string(),
            ),
            ("PORT", "0".to_owned()),
            ("WORKER_PORT", "0".to_owned()),
            ("DATABASE_MAX_CONNECTIONS", "5".to_owned()),
        ]);
        let settings = config::Nats::read(&env).expect("settings of NATS");
        let bus = Bus::connect(&settings, "test")
            .await
            .expect("nats-server answers");
        bus.provision(bus::Parameters::default())
            .await
            .expect("streams and consumers");
        let store = config::ObjectStore::read(&env).expect("settings of S3");
        let store = ObjectStore::connect(&store).await.expect("a client");
        store.ensure_bucket().await.expect("a bucket");
        let nats = Arc::new(Mutex::new(nats));
        Self {
            nats,
            bus,
            env,
            admin_url,
            database,
            dir,
            finished: false,
        }
    }

    /// The environment of a process on these servers.
    pub fn env(&self, process: Process) -> Env {
        let url = self.login_url(process);
        self.env.with([("DATABASE_URL", url.expose_secret())])
    }

    /// A pool that logs in as a process.
    pub fn db(&self, process: Process) -> Db {
        Db::connect_lazy(&self.login_url(process), 5).expect("a pool")
    }

    /// A pool that logs in as an administrator, as the command line does.
    pub fn admin_db(&self) -> Db {
        let url = with_database(&self.admin_url, &self.database);
        Db::connect_lazy(&url, 5).expect("a pool")
    }

    /// A transaction of a process on behalf of a principal.
    pub async fn begin(&self, process: Process, principal: Principal) -> Tx {
        self.db(process)
            .begin(principal)
            .await
            .expect("a transaction")
    }

    /// A worker on these servers, to which a test adds handlers.
    pub fn worker(&self, name: &'static str, role: WorkerRole, process: Process) -> Worker {
        Worker::new(worker::Settings {
            name,
            role,
            bus: self.bus.clone(),
            db: self.db(process),
            probes: Vec::new(),
            concurrency: 2,
        })
    }

    /// Runs a worker until [`Running::stop`].
    pub fn run(&self, worker: Worker) -> Running {
        let shutdown = Shutdown::new();
        let mut task = JoinSet::new();
        task.spawn(worker.run(shutdown.clone()));
        Running { shutdown, task }
    }

    /// How often the broker has delivered messages to a handler, redeliveries included.
    pub async fn deliveries(&self, handler: &str) -> u64 {
        let consumers = bus::declared().consumers;
        let consumer = consumers
            .iter()
            .find(|it| it.name() == handler)
            .expect("a declared consumer");
        self.consumer_info(&consumer.stream_name, handler)
            .await
            .delivered
            .consumer_sequence
    }

    /// Facts of a type on the stream EVENTS.
    pub async fn published(&self, event_type: &str) -> u64 {
        let filter = format!("events.{event_type}.>");
        let stream = self
            .bus
            .jetstream()
            .get_stream(bus::EVENTS)
            .await
            .expect("the stream EVENTS");
        let mut subjects = stream
            .info_with_subjects(filter)
            .await
            .expect("its subjects");
        let mut count = 0;
        while let Some(subject) = subjects.try_next().await.expect("a subject") {
            count += subject.1 as u64;
        }
        count
    }

    /// Makes the next `times` statements of a kind (`insert`, `update`) on a table fail.
    pub async fn break_table(&self, table: &str, kind: &str, times: u32) {
        let mut admin = self.admin().await;
        let statement = format!(
            "create sequence {table}_faults;
            create function {table}_fault() returns trigger language plpgsql security definer as $$
            begin
                if nextval('{table}_faults') <= {times} then raise exception 'broken for a test'; end if;
                return new;
            end $$;
            create trigger fault before {kind} on {table}
                for each row execute function {table}_fault()"
        );
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .expect("a trigger");
    }

    /// A session as its owner sees it.
    pub async fn session(&self, seeded: Seeded) -> Session {
        let mut tx = self
            .begin(Process::Ingress, Principal::user(seeded.user_id))
            .await;
        sessions::get(&mut tx, seeded.session_id)
            .await
            .expect("a query")
            .expect("a session")
    }

    /// The types on a session's timeline, in order.
    pub async fn timeline(&self, seeded: Seeded) -> Vec<String> {
        let mut tx = self
            .begin(Process::Ingress, Principal::user(seeded.user_id))
            .await;
        let entries = timeline::after(&mut tx, seeded.session_id, 0, 1_000)
            .await
            .expect("a query");
        entries.into_iter().map(|entry| entry.event_type).collect()
    }

    /// An administrator's connection to the test's database, for what no role may do.
    pub async fn admin(&self) -> PgConnection {
        let url = with_database(&self.admin_url, &self.database);
        PgConnection::connect(url.expose_secret())
            .await
            .expect("Postgres answers")
    }

    /// Starts an OpenID provider; on `port` if that is free.
    pub async fn oidc_provider(&self, port: Option<u16>) -> OidcProvider {
        let tools = self
            .env
            .text("EMBEDDED_TOOLS_DIR")
            .expect("checked at the start");
        let install = super::install::oidc(Path::new(&tools))
            .await
            .expect("the OpenID provider");
        OidcProvider::start(&self.dir().join("oidc"), OidcOptions { install, port })
            .await
            .expect("the OpenID provider")
    }

    /// Starts a stand-in for Amazon's S3 and Transcribe.
    pub async fn moto(&self) -> Moto {
        let install = super::install::moto(&self.tools_dir()).await.expect("moto");
        Moto::start(&self.dir().join("moto"), &install)
            .await
            .expect("moto")
    }

    /// Starts aimock, a chat server that answers from the fixtures of a file.
    pub async fn aimock(&self, fixtures: &Path) -> ChatPeer {
        let install = super::npm::packages(&self.tools_dir())
            .await
            .expect("aimock");
        ChatPeer::aimock(&self.dir().join("aimock"), &install, fixtures)
            .await
            .expect("aimock")
    }

    /// Starts llama.cpp with a small language model.
    pub async fn small_model(&self) -> ChatPeer {
        let install = super::install::chat_model(&self.tools_dir())
            .await
            .expect("the model");
        ChatPeer::llama(&self.dir().join("llama"), &install)
            .await
            .expect("llama.cpp")
    }

    fn tools_dir(&self) -> PathBuf {
        let tools = self.env.text("EMBEDDED_TOOLS_DIR");
        tools.expect("checked at the start").into()
    }

    /// A folder that is removed with the harness.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until every handler has acknowledged everything that is there for it.
    pub async fn idle(&self) {
        self.quiet(|_| true).await;
    }

    /// Waits until one handler has; others may not even run.
    pub async fn idle_of(&self, handler: &str) {
        self.quiet(|name| name == handler).await;
    }

    /// The broker counts a message as pending a moment after it has acknowledged it: nothing must be
    /// pending several times in a row.
    async fn quiet(&self, chosen: impl Fn(&str) -> bool) {
        let times = AtomicU32::new(0);
        eventually("every message is acknowledged", || async {
            let idle = self.pending(&chosen).await == 0;
            let before = times.fetch_add(1, Ordering::Relaxed);
            if !idle {
                times.store(0, Ordering::Relaxed);
            }
            idle && before >= 3
        })
        .await;
    }

    /// Messages that the chosen handlers have yet to acknowledge.
    async fn pending(&self, chosen: impl Fn(&str) -> bool) -> u64 {
        let mut pending = 0;
        for consumer in bus::declared()
            .consumers
            .into_iter()
            .filter(|it| chosen(it.name()))
        {
            let info = self
                .consumer_info(&consumer.stream_name, consumer.name())
                .await;
            pending += info.num_pending + info.num_ack_pending as u64;
        }
        pending
    }

    /// Messages that handlers gave up on.
    pub async fn dead(&self) -> u64 {
        let stream = self
            .bus
            .jetstream()
            .get_stream(bus::DEAD)
            .await
            .expect("the stream DEAD");
        stream.cached_info().state.messages
    }

    /// Ends a test in which everything was processed.
    pub async fn finish(self) {
        self.idle().await;
        self.finish_without_dead_letters().await;
    }

    /// Ends a test of one handler, whose facts nobody else consumes.
    pub async fn finish_of(self, handler: &str) {
        self.idle_of(handler).await;
        self.finish_without_dead_letters().await;
    }

    async fn finish_without_dead_letters(self) {
        assert_eq!(self.dead().await, 0, "dead letters");
        self.finish_as_it_is().await;
    }

    /// Ends a test that leaves messages pending or dead on purpose.
    pub async fn finish_as_it_is(mut self) {
        self.finished = true;
        self.nats.lock().await.stop().await;
        let mut admin = PgConnection::connect(self.admin_url.expose_secret())
            .await
            .expect("Postgres");
        let statement = format!("drop database if exists {} with (force)", self.database);
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .expect("no database left");
    }

    async fn consumer_info(&self, stream: &str, consumer: &str) -> consumer::Info {
        self.bus
            .jetstream()
            .get_consumer_from_stream::<consumer::Config, _, _>(consumer, stream)
            .await
            .expect("a declared consumer")
            .cached_info()
            .clone()
    }

    fn login_url(&self, process: Process) -> SecretString {
        let url = with_database(&self.admin_url, &self.database);
        logins::login_url(&url, process).expect("an address")
    }
}

/// A worker that runs beside a test.
pub struct Running {
    shutdown: Shutdown,
    task: JoinSet<anyhow::Result<()>>,
}

impl Running {
    /// Stops it softly and waits for its end.
    pub async fn stop(mut self) {
        self.shutdown.stop();
        let ended = self.task.join_next().await.expect("it runs");
        ended.expect("it did not panic").expect("it ended well");
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "the test did not call Harness::finish"
        );
    }
}

/// Waits until a condition holds; fails the test when it does not.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let until = tokio::time::Instant::now() + IDLE_LIMIT;
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < until,
            "never came true: {what}"
        );
        tokio::time::sleep(IDLE_POLL).await;
    }
}

fn with_database(admin_url: &SecretString, database: &str) -> SecretString {
    let mut url: reqwest::Url = admin_url.expose_secret().parse().expect("an address");
    url.set_path(database);
    SecretString::from(String::from(url))
}

/// Names the bucket of a test shortly: the embedded S3 makes file names of bucket and key together.
fn bucket_of(database: &str) -> String {
    let random = database.len().saturating_sub(16);
    format!("test-{}", &database[random..])
}

/// A fresh database, copied from a template that the first test makes.
async fn make_database(admin_url: &SecretString) -> String {
    let mut admin = PgConnection::connect(admin_url.expose_secret())
        .await
        .expect("Postgres answers");
    let execute = async |admin: &mut PgConnection, statement: String| {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(admin)
            .await
            .expect("Postgres obeys");
    };
    // A template is named after the migrations in it: a changed migration makes another.
    let mut hash = Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(&migration.checksum);
    }
    let hash: String = hash
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let template = format!("template_{hash}");
    execute(
        &mut admin,
        "select pg_advisory_lock(hashtext('aftercall test template'))".to_owned(),
    )
    .await;
    let exists =
        sqlx::query_scalar::<_, bool>("select exists (select from pg_database where datname = $1)")
            .bind(&template)
            .fetch_one(&mut admin)
            .await
            .expect("Postgres answers");
    if !exists {
        let draft = format!("{template}_draft");
        execute(
            &mut admin,
            format!("drop database if exists {draft} with (force)"),
        )
        .await;
        execute(&mut admin, format!("create database {draft}")).await;
        let url = with_database(admin_url, &draft);
        let logins = logins::logins(admin_url).expect("an address");
        provision::provision(&url, &logins)
            .await
            .expect("the migrations");
        execute(
            &mut admin,
            format!("alter database {draft} rename to {template}"),
        )
        .await;
    }
    let database = format!("test_{}", uuid::Uuid::now_v7().simple());
    execute(
        &mut admin,
        format!("create database {database} template {template}"),
    )
    .await;
    database
}
