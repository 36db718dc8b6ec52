//! An account with two clients, frames of their calls, and the workers that keep and erase them.

use std::collections::BTreeMap;
use std::time::Duration;

use aftercall::bus::CALLS;
use aftercall::config;
use aftercall::db::call_erasures::{self, Subject, Work};
use aftercall::db::erasure_sessions::Step;
use aftercall::db::provision::Process;
use aftercall::db::rollups_rebuild::first_difference;
use aftercall::db::{Principal, WorkerRole, clients, erasures, outbox};
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::events::calls_ended::{self, Arrival};
use aftercall::ids::{AccountId, CallId, ClientId, ErasureId, SessionId};
use aftercall::providers::object_store::ObjectStore;
use aftercall_analytics::FoldCalls;
use aftercall_maintenance::erasure::SETTLE;
use aftercall_maintenance::{EraseSession, Eraser, FileDeadLetter};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::Row;

use crate::search;

/// What is erased says this.
pub const CANARY: &str = "canarybird";
/// What is kept says this.
pub const OTHER: &str = "nightingale";

pub struct Bench {
    pub harness: Harness,
    pub seeded: Seeded,
    pub account: AccountId,
    /// The client whose calls are erased.
    pub client: ClientId,
    pub other: ClientId,
    pub eraser: Eraser,
}

/// A call to be sent.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub client: ClientId,
    pub id: CallId,
    pub says: &'a str,
}

impl Bench {
    pub async fn start() -> Self {
        let harness = Harness::start().await;
        let settings = config::ObjectStore::read(&harness.env(Process::Maintenance)).unwrap();
        let store = ObjectStore::connect(&settings).await.unwrap();
        let db = harness.db(Process::Maintenance);
        let eraser = Eraser::new(db, harness.bus.clone(), store);
        let seeded = seed::session(&harness).await;
        let user = Principal::user(seeded.user_id);
        let mut tx = harness.begin(Process::Ingress, user).await;
        let account = tx.acting().account_id;
        let (client, other) = (ClientId::generate(), ClientId::generate());
        for (id, name) in [
            (client, format!("{CANARY} Bakery")),
            (other, format!("{OTHER} Smith")),
        ] {
            let draft = clients::Draft {
                name,
                phone_number: None,
                profession: None,
                voice_id: None,
                voice_name: None,
                system_prompt: Some("Be kind.".to_owned()),
                is_active: true,
                fetch_recordings: false,
                analyze_calls: false,
            };
            clients::insert(&mut tx, id, &draft).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self {
            harness,
            seeded,
            account,
            client,
            other,
            eraser,
        }
    }

    pub fn call<'a>(&self, id: CallId, says: &'a str) -> Call<'a> {
        Call {
            client: self.client,
            id,
            says,
        }
    }

    pub fn of_other<'a>(&self, says: &'a str) -> Call<'a> {
        Call {
            client: self.other,
            id: CallId::generate(),
            says,
        }
    }

    /// The bytes of a frame.
    pub fn frame(&self, calls: &[Call<'_>]) -> Vec<u8> {
        let lines: Vec<_> = calls
            .iter()
            .map(|call| {
                let arrival = Arrival {
                    id: call.id,
                    client_id: call.client,
                    account_id: self.account,
                    received_at: Timestamp::now(),
                };
                let record = serde_json::json!({
                    "client_id": call.client, "notes": call.says, "success": true,
                    "caller_name": call.says, "transcript": call.says,
                    "duration_seconds": 3, "stt_latency_ms": 120,
                });
                arrival.line(
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    record.to_string().as_bytes(),
                )
            })
            .collect();
        lines.join(&b'\n')
    }

    /// Publishes a frame; answers its sequence.
    pub async fn publish(&self, calls: &[Call<'_>]) -> u64 {
        self.publish_on(calls_ended::SUBJECT, calls).await
    }

    pub async fn publish_on(&self, subject: &str, calls: &[Call<'_>]) -> u64 {
        let envelope = calls_ended::envelope("aftercall/test");
        let id = envelope.id.to_string();
        let (headers, frame) = (envelope.headers(), self.frame(calls));
        let sent = self.harness.bus.publish(subject, headers, frame, &id).await;
        sent.unwrap().sequence
    }

    /// Runs the analytics worker until it has kept everything.
    pub async fn fold(&self) {
        let (role, process) = (WorkerRole::Analytics, Process::Analytics);
        let sessions = config::Sessions {
            auto_complete: true,
        };
        let handler = FoldCalls::new(self.harness.db(process), self.harness.bus.clone(), sessions);
        let worker = self.harness.worker("analytics", role, process);
        let running = self.harness.run(worker.batch_handler(handler));
        self.harness.idle_of("fold-calls").await;
        running.stop().await;
    }

    /// Runs the handlers of the maintenance worker.
    pub fn maintain(&self) -> Running {
        let (role, process) = (WorkerRole::Maintenance, Process::Maintenance);
        let worker = self.harness.worker("maintenance", role, process);
        let desk = FileDeadLetter::new(self.harness.db(process));
        let worker = worker.handler(EraseSession::new(self.eraser.clone()));
        self.harness.run(worker.handler(desk))
    }

    /// Asks for an erasure as a person does, without its event.
    pub async fn ask(&self, call_id: Option<CallId>) -> ErasureId {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let subject = Subject {
            client_id: self.client,
            call_id,
        };
        let asked = call_erasures::request(&mut tx, self.account, subject)
            .await
            .unwrap();
        let facts = [asked.clone().into()];
        outbox::insert_of(&mut tx, self.account, "aftercall/test", None, &facts)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        asked.erasure_id
    }

    /// The first pass, as the handler makes it.
    pub async fn begin(&self, erasure: ErasureId) {
        let begun = self.eraser.begin(erasure, SessionId(erasure.0)).await;
        begun.unwrap();
    }

    /// A run of the job when nothing is on its way any more.
    pub async fn settle(&self) -> u64 {
        self.go_on(SETTLE + Duration::from_secs(1)).await
    }

    pub async fn go_on(&self, later: Duration) -> u64 {
        let now = Timestamp::now().checked_add(later).unwrap();
        self.eraser.go_on(now).await.unwrap()
    }

    pub async fn step(&self, erasure: ErasureId) -> Step {
        self.work(erasure).await.step
    }

    async fn work(&self, erasure: ErasureId) -> Work {
        let role = Principal::Worker(WorkerRole::Maintenance);
        let mut tx = self.harness.begin(Process::Maintenance, role).await;
        call_erasures::get(&mut tx, erasure).await.unwrap().unwrap()
    }

    /// Messages that are found and not destroyed, and those that were trimmed before.
    pub async fn left(&self, erasure: ErasureId) -> (i64, i64) {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let erasure = erasures::get(&mut tx, erasure).await.unwrap().unwrap();
        let progress = call_erasures::progress(&mut tx, &erasure)
            .await
            .unwrap()
            .unwrap();
        (progress.found, progress.trimmed)
    }

    /// What the receipt says is destroyed, by place and thing.
    pub async fn destroyed(&self, erasure: ErasureId) -> BTreeMap<String, i64> {
        let user = Principal::user(self.seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, user).await;
        let erasure = erasures::get(&mut tx, erasure).await.unwrap().unwrap();
        let destroyed = erasures::destroyed(&mut tx, &erasure).await.unwrap();
        destroyed
            .into_iter()
            .map(|gone| (format!("{}: {}", gone.place, gone.what), gone.count))
            .collect()
    }

    /// Where a text still is: tables, and files of the broker.
    pub async fn places(&self, text: &str) -> Vec<String> {
        let mut found = search::tables_with(&mut self.harness.admin().await, text).await;
        found.extend(search::files_with(&self.harness.dir().join("nats"), text));
        found
    }

    pub async fn assert_no_canary(&self) {
        let left = self.places(CANARY).await;
        assert!(left.is_empty(), "{}", left.join("\n"));
    }

    /// Rollups are what the calls say.
    pub async fn assert_exact(&self) {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        for day in [today.yesterday().unwrap(), today] {
            let mut tx = self
                .harness
                .admin_db()
                .begin(Principal::Operator)
                .await
                .unwrap();
            assert_eq!(first_difference(&mut tx, day).await.unwrap(), None);
        }
    }

    /// Calls of a client, and what its rollups count.
    pub async fn counted(&self, client: ClientId) -> (i64, i64) {
        let query = "select (select count(*) from calls where client_id = $1),
            (select coalesce(sum(calls), 0)::bigint from call_rollups where client_id = $1)";
        let query = sqlx::query(query).bind(client.0);
        let row = query
            .fetch_one(&mut self.harness.admin().await)
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    pub async fn destroy_stream(&self) {
        self.harness
            .bus
            .jetstream()
            .delete_stream(CALLS)
            .await
            .unwrap();
        let parameters = aftercall::bus::Parameters::default();
        self.harness.bus.provision(parameters).await.unwrap();
    }
}
