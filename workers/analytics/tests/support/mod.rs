//! A client with settings, and an analytics worker that keeps its calls.

use std::sync::atomic::{AtomicU64, Ordering};

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, clients};
use aftercall::embedded::harness::{Harness, Running, eventually};
use aftercall::embedded::seed;
use aftercall::events::calls_ended::{self, Arrival};
use aftercall::ids::{AccountId, CallId, ClientId, SessionId, UserId};
use aftercall_analytics::{AdjustCall, FoldCalls};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow as _};

pub struct Bench {
    pub harness: Harness,
    pub user_id: UserId,
    pub account_id: AccountId,
    pub client_id: ClientId,
    worker: Running,
    frames: AtomicU64,
}

impl Bench {
    pub async fn start(fetch_recordings: bool, analyze_calls: bool) -> Self {
        let harness = Harness::start().await;
        let user_id = seed::user(&harness).await;
        let client_id = ClientId::generate();
        let mut tx = harness
            .begin(Process::Ingress, Principal::user(user_id))
            .await;
        let account_id = tx.acting().account_id;
        let draft = clients::Draft {
            name: "Dental clinic".to_owned(),
            phone_number: None,
            profession: None,
            voice_id: None,
            voice_name: None,
            system_prompt: None,
            is_active: true,
        };
        clients::insert(&mut tx, client_id, &draft).await.unwrap();
        tx.commit().await.unwrap();
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
            user_id,
            account_id,
            client_id,
            worker,
            frames: AtomicU64::new(0),
        }
    }

    /// Sends a record in a frame of its own and waits until it is kept.
    pub async fn send(&self, record: &Value) -> CallId {
        self.send_all(std::slice::from_ref(record)).await[0]
    }

    /// Sends records in one frame and waits until they are kept.
    pub async fn send_all(&self, records: &[Value]) -> Vec<CallId> {
        let (mut ids, mut frame) = (Vec::new(), Vec::new());
        for record in records {
            let id = record["id"]
                .as_str()
                .map_or_else(CallId::generate, |id| id.parse().unwrap());
            let mut record = record.clone();
            record["client_id"] = json!(self.client_id);
            let arrival = Arrival {
                id,
                client_id: self.client_id,
                account_id: self.account_id,
                received_at: jiff::Timestamp::now(),
            };
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            frame.extend(arrival.line(trace, record.to_string().as_bytes()));
            frame.push(b'\n');
            ids.push(id);
        }
        let envelope = calls_ended::envelope("aftercall/test");
        let number = self.frames.fetch_add(1, Ordering::Relaxed);
        self.harness
            .bus
            .publish(
                calls_ended::SUBJECT,
                envelope.headers(),
                frame,
                &format!("frame-{number}"),
            )
            .await
            .unwrap();
        self.harness.idle_of("fold-calls").await;
        ids
    }

    pub async fn session_of(&self, call: CallId) -> Option<SessionId> {
        let mut admin = self.harness.admin().await;
        let found = sqlx::query_scalar("select session_id from calls where id = $1").bind(call.0);
        found.fetch_one(&mut admin).await.unwrap()
    }

    /// The sentiment of a call, and who found it.
    pub async fn sentiment(&self, call: CallId) -> (String, Option<String>) {
        let mut admin = self.harness.admin().await;
        let found =
            sqlx::query("select sentiment, sentiment_by from calls where id = $1").bind(call.0);
        <(String, Option<String>)>::from_row(&found.fetch_one(&mut admin).await.unwrap()).unwrap()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let mut admin = self.harness.admin().await;
        let statement = format!("select count(*) from {table}");
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&mut admin)
            .await
            .unwrap()
    }

    /// What the rollups hold is what the calls add up to.
    pub async fn rollups_are_exact(&self) {
        let mut admin = self.harness.admin().await;
        let truth: Value = sqlx::query_scalar(
            "select jsonb_build_array(count(*), count(*) filter (where success),
                count(*) filter (where not success), count(*) filter (where sentiment = 'positive'),
                count(*) filter (where sentiment = 'neutral'), count(*) filter (where sentiment = 'negative'),
                count(*) filter (where sentiment = 'mixed'), count(*) filter (where sentiment = 'unknown'),
                coalesce(sum(duration_ms), 0)) from calls",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        let kept: Value = sqlx::query_scalar(
            "select jsonb_build_array(sum(calls), sum(succeeded), sum(failed), sum(positive), sum(neutral),
                sum(negative), sum(mixed), sum(unknown), sum(duration_ms)) from call_rollups",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(kept, truth);
    }

    /// Waits until facts of these types are published, one each, and the outbox is empty.
    pub async fn published(&self, types: &[&str]) {
        eventually("everything is published", || async {
            self.count("outbox").await == 0
        })
        .await;
        for event_type in types {
            assert_eq!(self.harness.published(event_type).await, 1, "{event_type}");
        }
    }

    pub async fn finish(self) {
        assert_eq!(self.harness.dead().await, 0, "dead letters");
        self.stop_as_it_is().await;
    }

    /// Others' facts stay pending: their workers are not here.
    pub async fn stop_as_it_is(self) {
        self.worker.stop().await;
        self.harness.finish_as_it_is().await;
    }
}
