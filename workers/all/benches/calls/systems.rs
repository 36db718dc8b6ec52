//! The two sides as processes: ours, and the baseline.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};

use aftercall::bus::CALLS;
use aftercall::db::provision::Process;
use aftercall::embedded::agent::{self, Agent};
use aftercall::embedded::harness::Harness;
use sqlx::PgConnection;

use crate::machine;
use crate::report;
use crate::support::{Program, free_port};

/// Who takes the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The ingress, nats-server and the workers.
    Ours,
    /// The service in `baseline`.
    Baseline { writers: usize },
}

/// A database of one side, with an account in it.
pub struct Site {
    pub harness: Harness,
    pub agent: Agent,
    pub admin: PgConnection,
    pub system: System,
}

/// The processes of one side, while they run.
pub struct Running {
    /// Takes the requests.
    pub address: SocketAddr,
    programs: Vec<(&'static str, Program)>,
    nats: Option<i32>,
    postgres: i32,
}

/// Of each process by its name: processor seconds, or bytes of memory.
pub type PerProcess<T> = Vec<(&'static str, T)>;

impl Site {
    pub async fn settle(system: System, clients: usize) -> Self {
        let harness = Harness::start().await;
        let agent = agent::agent(&harness, clients).await;
        let admin = harness.admin().await;
        if system != System::Ours {
            harness.nats.lock().await.stop().await;
        }
        Self {
            harness,
            agent,
            admin,
            system,
        }
    }

    /// Starts the processes and waits until they are ready.
    pub async fn start(&mut self) -> anyhow::Result<Running> {
        let port = free_port();
        let mut programs = Vec::new();
        let mut nats = None;
        match self.system {
            System::Ours => {
                nats = Some(self.harness.nats.lock().await.pid());
                programs.push((
                    "ingress",
                    program(&self.harness, Process::Ingress, port).await,
                ));
                for worker in [Process::Analytics, Process::Maintenance] {
                    let started = program(&self.harness, worker, free_port()).await;
                    programs.push((Program::of(worker), started));
                }
            }
            System::Baseline { writers } => {
                programs.push(("baseline", self.baseline(port, writers).await?));
            }
        }
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut self.admin)
            .await?;
        Ok(Running {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            programs,
            nats,
            postgres: machine::parent(backend)?,
        })
    }

    /// Forgets all calls, on disk too, so that no round pays for the one before.
    pub async fn empty(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql(
            "truncate calls, call_conflicts, call_rollups, call_latencies, delivery_failures;
            checkpoint",
        )
        .execute(&mut self.admin)
        .await?;
        if self.system == System::Ours {
            let jetstream = self.harness.bus.jetstream();
            jetstream.get_stream(CALLS).await?.purge().await?;
        }
        Ok(())
    }

    /// Calls that dashboards count.
    pub async fn visible(&mut self) -> anyhow::Result<u64> {
        let calls: i64 =
            sqlx::query_scalar("select coalesce(sum(calls), 0)::bigint from call_rollups")
                .fetch_one(&mut self.admin)
                .await?;
        Ok(u64::try_from(calls)?)
    }

    pub async fn close(self) {
        self.harness.finish_as_it_is().await;
    }

    async fn baseline(&self, port: u16, writers: usize) -> anyhow::Result<Program> {
        let env = self.harness.env(Process::Ingress);
        let mut command = Program::command_at(&std::env::current_exe()?, &env);
        command.args(["baseline", "--port", &port.to_string()]);
        command.args(["--writers", &writers.to_string()]);
        Ok(Program::ready(command, port).await)
    }
}

impl Running {
    /// Processor seconds so far.
    pub fn cpu_s(&self) -> anyhow::Result<PerProcess<f64>> {
        self.pids()
            .into_iter()
            .map(|(name, pid)| Ok((name, machine::cpu_s(pid)?)))
            .collect()
    }

    /// The most memory that each had so far; of Postgres, its largest process.
    pub fn peak_bytes(&self) -> anyhow::Result<PerProcess<u64>> {
        let pids = self.pids().into_iter();
        pids.map(|(name, pid)| Ok((name, machine::peak_bytes(pid)?)))
            .collect()
    }

    pub async fn stop(self) {
        for (name, program) in self.programs {
            if name == "baseline" {
                program.kill().await;
            } else {
                program.stop().await;
            }
        }
    }

    fn pids(&self) -> PerProcess<i32> {
        let programs = self.programs.iter();
        let mut pids: Vec<_> = programs
            .map(|(name, program)| (*name, program.pid().as_raw_nonzero().get()))
            .collect();
        pids.extend(self.nats.map(|pid| ("nats-server", pid)));
        pids.push(("postgres", self.postgres));
        pids
    }
}

/// A program of ours with its defaults, but for what would limit the load. What it logs is in the folder
/// of the report.
pub async fn program(harness: &Harness, process: Process, port: u16) -> Program {
    let port_text = port.to_string();
    let env = harness.env(process).with([
        ("PORT", port_text.as_str()),
        ("WORKER_PORT", &port_text),
        ("DATABASE_MAX_CONNECTIONS", ""),
        ("RATE_LIMIT_ADDRESS_PER_MINUTE", "0"),
        ("RATE_LIMIT_USER_PER_MINUTE", "0"),
        ("RATE_LIMIT_KEY_PER_MINUTE", "0"),
    ]);
    let name = Program::of(process);
    let mut command = Program::command(name, &env);
    let log = report::folder().map(|folder| folder.join(format!("{name}.log")));
    let log = log.and_then(|path| OpenOptions::new().create(true).append(true).open(path));
    command.stderr(log.expect("a file for the log"));
    Program::ready(command, port).await
}
