//! The programs of the pipeline as processes, and a user who is signed in.

use std::time::Duration;

use aftercall::client::{Client, SessionDraft};
use aftercall::config::{self, Env};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::ids::SessionId;
use aftercall::providers::object_store::ObjectStore;
use secrecy::SecretString;

use crate::support::{Program, free_port};

/// How often something is looked at that takes minutes.
const POLL: Duration = Duration::from_millis(50);

pub struct Pipeline {
    pub harness: Harness,
    pub client: Client,
    pub token: SecretString,
    pub ingress: Program,
    workers: Vec<Program>,
    speech_url: String,
}

impl Pipeline {
    /// An ingress and the workers, with a speech server at `speech_url`.
    pub async fn start(workers: &[Process], speech_url: &str) -> Self {
        let harness = Harness::start().await;
        let port = free_port();
        let env = harness
            .env(Process::Ingress)
            .with([("PORT", port.to_string())]);
        let ingress = Program::start(Program::of(Process::Ingress), &env, port).await;
        let client = Client::of(ingress.url()).expect("an address");
        let password = SecretString::from("correct horse");
        let signed_in = client
            .register("soak@example.org", "Soak", &password)
            .await
            .expect("a user");
        let token = signed_in.access_token;
        let mut pipeline = Self {
            client: client.with_token(token.clone()),
            harness,
            token,
            ingress,
            workers: Vec::new(),
            speech_url: speech_url.to_owned(),
        };
        for process in workers {
            let worker = pipeline.worker(*process).await;
            pipeline.workers.push(worker);
        }
        pipeline
    }

    /// Another worker, which the caller ends.
    pub async fn worker(&self, process: Process) -> Program {
        let port = free_port();
        let env: Env = self.harness.env(process).with([
            ("TRANSCRIPTION_BASE_URL", self.speech_url.clone()),
            ("WORKER_PORT", port.to_string()),
        ]);
        Program::start(Program::of(process), &env, port).await
    }

    pub async fn session(&self) -> SessionId {
        let draft = SessionDraft::default();
        let session = self.client.create_session(&draft).await;
        session.expect("a session").id
    }

    /// Chunks whose text is stored.
    pub async fn stored_chunks(&self) -> usize {
        let count: i64 = sqlx::query_scalar("select count(*) from transcription_chunks")
            .fetch_one(&mut self.harness.admin().await)
            .await
            .expect("a count");
        usize::try_from(count).expect("a count")
    }

    /// Ends everything, which must end well, and removes what was uploaded.
    pub async fn stop(self) {
        for worker in self.workers {
            worker.stop().await;
        }
        self.ingress.stop().await;
        let settings = config::ObjectStore::read(&self.harness.env(Process::Ingress));
        let store = ObjectStore::connect(&settings.expect("settings of S3")).await;
        let store = store.expect("a client");
        let keys: Vec<String> = sqlx::query_scalar("select object_key from recordings")
            .fetch_all(&mut self.harness.admin().await)
            .await
            .expect("keys");
        for key in keys {
            store.delete(&key).await.expect("removed");
        }
        self.harness.finish_as_it_is().await;
    }
}

/// Waits for something that takes minutes, for as long as the test runner lets it.
pub async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    while !holds().await {
        tokio::time::sleep(POLL).await;
    }
}
