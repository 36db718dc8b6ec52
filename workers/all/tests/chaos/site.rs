//! Ingress, analytics worker, nats-server and Postgres as processes that can be killed.

use std::path::Path;

use aftercall::config::Env;
use aftercall::db::provision::Process;
use aftercall::embedded::agent::{self, Agent};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::{Durability, Postgres, PostgresOptions, install};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::support::{Program, free_port};

/// Who is killed.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Ingress,
    Analytics,
    Nats,
    Postgres,
}

impl Victim {
    pub const ALL: [Self; 4] = [Self::Ingress, Self::Analytics, Self::Nats, Self::Postgres];
}

/// Everything that a call goes through.
pub struct Site {
    pub harness: Harness,
    pub agent: Agent,
    pub port: u16,
    /// None only while it is restarted.
    ingress: Option<Program>,
    analytics: Option<Program>,
    postgres: Postgres,
    _dir: TempDir,
}

impl Site {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::of_process();
        let tools = env.text("EMBEDDED_TOOLS_DIR").unwrap();
        let options = PostgresOptions {
            programs: install::postgres(Path::new(&tools)).await.unwrap(),
            password: SecretString::from("chaos"),
            pid_file: dir.path().join("pid"),
            port: None,
            durability: Durability::Synced,
        };
        let postgres = Postgres::start(&dir.path().join("postgres"), options)
            .await
            .unwrap();
        let env = env.with([("DATABASE_ADMIN_URL", postgres.admin_url())]);
        let harness = Harness::start_on(env).await;
        let agent = agent::agent(&harness, 3).await;
        // A server that has run for a while does not begin with a database to recover.
        sqlx::raw_sql("checkpoint")
            .execute(&mut harness.admin().await)
            .await
            .unwrap();
        let port = free_port();
        let mut site = Self {
            harness,
            agent,
            port,
            ingress: None,
            analytics: None,
            postgres,
            _dir: dir,
        };
        site.ingress = Some(site.program(Process::Ingress, port).await);
        site.analytics = Some(site.program(Process::Analytics, free_port()).await);
        site
    }

    /// SIGKILL, and a start at once.
    pub async fn kill_and_restart(&mut self, victim: Victim) {
        match victim {
            Victim::Ingress => {
                self.ingress.take().unwrap().kill().await;
                self.ingress = Some(self.program(Process::Ingress, self.port).await);
            }
            Victim::Analytics => {
                self.analytics.take().unwrap().kill().await;
                self.analytics = Some(self.program(Process::Analytics, free_port()).await);
            }
            Victim::Nats => {
                let mut nats = self.harness.nats.lock().await;
                nats.kill().await;
                nats.restart().await.unwrap();
            }
            Victim::Postgres => {
                self.postgres.kill().await;
                self.postgres.restart().await.unwrap();
            }
        }
    }

    pub async fn finish(self) {
        for program in [self.ingress, self.analytics].into_iter().flatten() {
            program.stop().await;
        }
        self.harness.finish_as_it_is().await;
    }

    async fn program(&self, process: Process, port: u16) -> Program {
        let port_text = port.to_string();
        let env = self.harness.env(process).with([
            ("PORT", port_text.as_str()),
            ("WORKER_PORT", &port_text),
            ("RATE_LIMIT_ADDRESS_PER_MINUTE", "0"),
            ("RATE_LIMIT_KEY_PER_MINUTE", "0"),
        ]);
        Program::start(Program::of(process), &env, port).await
    }
}
