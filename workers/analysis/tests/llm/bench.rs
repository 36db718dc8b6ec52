//! A worker with the engine under test, on a real Postgres and a real nats-server.

use std::time::Duration;

use aftercall::config::{self, Prices, RedactPii, Redaction};
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, analyses, sessions};
use aftercall::documents::analysis::Analysis;
use aftercall::embedded::harness::{Harness, Running};
use aftercall::embedded::seed::{self, Seeded};
use aftercall::lifecycle;
use aftercall_analysis::{AnalyzeSession, Engine};
use serde_json::Value;

use crate::stub::PRICES;

pub const HANDLER: &str = "analyze-session";

/// A harness with a running worker.
pub struct Bench {
    pub harness: Harness,
    worker: Running,
}

/// A request as it is on record.
#[derive(Debug, sqlx::FromRow)]
pub struct Recorded {
    pub state: String,
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub amount_micros: Option<i64>,
    pub answer: Option<String>,
}

/// Settings for a server at `base_url`, with a context that takes short calls as a whole.
pub fn settings(base_url: &str) -> config::Llm {
    config::Llm {
        base_url: base_url.to_owned(),
        api_key: None,
        model: "vendor/small".to_owned(),
        context_tokens: 16_384,
        max_output_tokens: 4_096,
        idle: Duration::from_millis(1_500),
        time_limit: Duration::from_secs(20),
        prices: Some(Prices {
            input_micros_per_million: PRICES.0,
            output_micros_per_million: PRICES.1,
            currency: "USD".to_owned(),
            version: "test".to_owned(),
        }),
    }
}

/// The engine that the settings make.
pub fn engine(settings: config::Llm, redact_pii: RedactPii) -> Engine {
    lifecycle::install_tls();
    let settings = config::Analysis::Llm(Box::new(settings));
    Engine::build(&settings, Redaction { redact_pii }).expect("an engine")
}

impl Bench {
    pub async fn start(engine: Engine) -> Self {
        Self::on(Harness::start().await, engine)
    }

    pub fn on(harness: Harness, engine: Engine) -> Self {
        let handler = AnalyzeSession::new(harness.db(Process::Analysis), engine);
        let worker = harness.worker("analysis", WorkerRole::Analysis, Process::Analysis);
        let worker = harness.run(worker.handler(handler));
        Self { harness, worker }
    }

    /// A session in which these lines were said, analysed or given up.
    pub async fn analyze(&self, lines: &[&str]) -> Seeded {
        let seeded = seed::session(&self.harness).await;
        self.analyze_in(seeded, lines).await;
        seeded
    }

    pub async fn analyze_in(&self, seeded: Seeded, lines: &[&str]) {
        let requested = seed::transcript(&self.harness, seeded, lines).await;
        seed::publish(&self.harness, &requested).await;
        self.harness.idle_of(HANDLER).await;
    }

    /// Gives a session fields to fill.
    pub async fn ask_for_fields(&self, seeded: Seeded, schema: Value) {
        let principal = Principal::user(seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let change = sessions::Change {
            custom_fields_schema: Some(Some(schema)),
            ..sessions::Change::default()
        };
        sessions::update(&mut tx, seeded.session_id, &change)
            .await
            .expect("a change");
        tx.commit().await.expect("commit");
    }

    pub async fn document(&self, seeded: Seeded) -> Option<Analysis> {
        let principal = Principal::user(seeded.user_id);
        let mut tx = self.harness.begin(Process::Ingress, principal).await;
        let document = analyses::newest_document(&mut tx, seeded.session_id).await;
        let document = document.expect("a query");
        document.map(|it| serde_json::from_value(it).expect("the document of the contract"))
    }

    /// The requests of a session, in their order.
    pub async fn requests(&self, seeded: Seeded) -> Vec<Recorded> {
        let mut admin = self.harness.admin().await;
        sqlx::query_as(
            "select state, error, input_tokens, output_tokens, amount_micros, answer
            from model_requests where session_id = $1 order by sent_at, id",
        )
        .bind(seeded.session_id.0)
        .fetch_all(&mut admin)
        .await
        .expect("requests")
    }

    pub async fn stop(self) -> Harness {
        self.worker.stop().await;
        self.harness
    }
}
