//! A client with settings, and an analytics worker that keeps its calls.

use aftercall::config;
use aftercall::db::WorkerRole;
use aftercall::db::provision::Process;
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::recount;
use aftercall::embedded::seed::{self, SeededClient};
use aftercall::ids::{CallId, SessionId};
use aftercall_analytics::{AdjustCall, FoldCalls};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

pub struct Bench {
    pub harness: Harness,
    pub client: SeededClient,
    worker: Running,
}

impl Bench {
    pub async fn start(fetch_recordings: bool, analyze_calls: bool) -> Self {
        let harness = Harness::start().await;
        let client = seed::client(&harness).await;
        let mut admin = harness.admin().await;
        sqlx::query("update clients set fetch_recordings = $1, analyze_calls = $2")
            .bind(fetch_recordings)
            .bind(analyze_calls)
            .execute(&mut admin)
            .await
            .unwrap();
        let (db, bus) = (harness.db(Process::Analytics), harness.bus.clone());
        let sessions = config::Sessions {
            auto_complete: true,
        };
        let worker = harness
            .worker("analytics", WorkerRole::Analytics, Process::Analytics)
            .batch_handler(FoldCalls::new(db.clone(), bus.clone(), sessions))
            .handler(AdjustCall::new(db, bus));
        let worker = harness.run(worker);
        Self {
            harness,
            client,
            worker,
        }
    }

    /// Sends a record in a frame of its own and waits until it is kept.
    pub async fn send(&self, record: &Value) -> CallId {
        self.send_all(std::slice::from_ref(record)).await[0]
    }

    /// Sends records in one frame and waits until they are kept.
    pub async fn send_all(&self, records: &[Value]) -> Vec<CallId> {
        let (mut ids, mut lines) = (Vec::new(), Vec::new());
        for record in records {
            let given = record["id"].as_str();
            let id = given.map_or_else(CallId::generate, |id| id.parse().unwrap());
            let mut record = record.clone();
            record["client_id"] = json!(self.client.client_id);
            lines.push(seed::call_line(self.client, id, &record));
            ids.push(id);
        }
        seed::frame(&self.harness, &lines).await;
        self.harness.idle_of("fold-calls").await;
        ids
    }

    /// The session that a call would become.
    pub fn session(&self, call: CallId) -> SessionId {
        SessionId::of_call(self.client.client_id, call)
    }

    /// The sentiment of a call, and who found it.
    pub async fn sentiment(&self, call: CallId) -> (String, Option<String>) {
        let mut admin = self.harness.admin().await;
        let found = sqlx::query_as("select sentiment, sentiment_by from calls where id = $1");
        found.bind(call.0).fetch_one(&mut admin).await.unwrap()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let mut admin = self.harness.admin().await;
        let statement = format!("select count(*) from {table}");
        let count = sqlx::query_scalar(AssertSqlSafe(statement));
        count.fetch_one(&mut admin).await.unwrap()
    }

    /// What the rollups hold is what the calls add up to.
    pub async fn rollups_are_exact(&self) {
        recount::assert_exact(&mut self.harness.admin().await).await;
    }

    pub async fn finish(self) {
        assert_eq!(self.harness.dead().await, 0, "dead letters");
        self.stop().await;
    }

    /// Others' facts stay pending: their workers are not here.
    pub async fn stop(self) {
        self.worker.stop().await;
        self.harness.finish_as_it_is().await;
    }
}
