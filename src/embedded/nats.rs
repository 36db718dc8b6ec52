//! A private nats-server with JetStream on files, every message synced before it is acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::child::{Account, Child, Environment, Spec, StopSignal};
use super::error::{Error, Result};
use super::nats_users::{NatsUsers, USERS_CONF};
use super::{ports, probe};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);
/// How long a restart waits for its own ports.
const REBIND_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The `nats-server` program, from [`super::install::nats_server`].
    pub program: PathBuf,
    /// Where the pid is written while the server runs; `<dir>/pid` if none.
    pub pid_file: Option<PathBuf>,
    /// The ports to try first; free ones are found if none, or if these are taken.
    pub ports: Option<NatsPorts>,
    pub users: NatsUsers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatsPorts {
    pub client: u16,
    pub monitor: u16,
}

/// A running nats-server; dropping it ends it. Its store stays in its directory.
#[derive(Debug)]
pub struct NatsServer {
    dir: PathBuf,
    options: NatsOptions,
    ports: NatsPorts,
    child: Child,
}

impl NatsServer {
    /// Starts a server whose store is in `dir` and waits until it is healthy.
    pub async fn start(dir: &Path, options: NatsOptions) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("resolve", dir))?;
        let mut wanted = options.ports;
        let mut tries = 0;
        loop {
            let ports = match wanted.take() {
                Some(ports) => ports,
                None => NatsPorts {
                    client: ports::free()?,
                    monitor: ports::free()?,
                },
            };
            match launch(&dir, &options, ports).await {
                Ok(child) => {
                    return Ok(Self {
                        dir,
                        options,
                        ports,
                        child,
                    });
                }
                Err(error) if tries < 5 && port_was_taken(&dir, &error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// For the ingress and the workers, with their user and password.
    pub fn url(&self) -> String {
        self.options.users.url(self.ports.client)
    }

    /// For agents, who bring a user and password of their own.
    pub fn agent_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// The settings that lead here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.options.users.variables(self.ports.client).to_vec();
        variables.push(("NATS_MONITOR_URL", self.monitor_url()));
        variables
    }

    /// The monitoring endpoint: `http://127.0.0.1:PORT`.
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitor)
    }

    pub fn ports(&self) -> NatsPorts {
        self.ports
    }

    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Ends the server cleanly. The store stays, so that [`Self::restart`] finds it again.
    pub async fn stop(&mut self) {
        self.child.stop(STOP_GRACE).await;
    }

    /// Ends the server as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await;
    }

    /// Starts the server again on the same store and ports, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let retry_until = tokio::time::Instant::now() + REBIND_LIMIT;
        loop {
            match launch(&self.dir, &self.options, self.ports).await {
                Ok(child) => {
                    self.child = child;
                    return Ok(());
                }
                Err(error)
                    if port_was_taken(&self.dir, &error)
                        && tokio::time::Instant::now() < retry_until =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What nats-server writes into its ports file once it listens on all of them.
#[derive(Deserialize)]
struct PortsFile {
    monitoring: Vec<String>,
}

async fn launch(dir: &Path, options: &NatsOptions, ports: NatsPorts) -> Result<Child> {
    let ports_dir = dir.join("ports");
    fs::create_dir_all(&ports_dir).map_err(Error::io("create", &ports_dir))?;
    let users = dir.join("users.conf");
    fs::write(&users, USERS_CONF).map_err(Error::io("write", &users))?;
    let config = dir.join("nats.conf");
    fs::write(&config, configuration(dir, ports)).map_err(Error::io("write", &config))?;
    let child = Child::spawn(Spec {
        name: "nats-server",
        account: Account::Caller,
        program: options.program.clone(),
        args: vec!["-c".into(), config.into()],
        environment: Environment::Only(options.users.environment()),
        log: log_file(dir),
        pid_file: options.pid_file.clone().unwrap_or_else(|| dir.join("pid")),
        stop: StopSignal::Term,
    })
    .await?;
    // Named after the pid and written last, the ports file proves that it is this server which
    // listens there, and not another on the same port.
    let announced = ports_dir.join(format!("nats-server_{}.ports", child.pid()));
    let client = probe::client();
    let monitor = child
        .until_ready(START_LIMIT, POLL, async || {
            let text = fs::read(&announced).ok()?;
            let ports: PortsFile = serde_json::from_slice(&text).ok()?;
            let monitor = ports.monitoring.into_iter().next()?;
            let healthy = probe::answers(&client, &format!("{monitor}/healthz")).await;
            healthy.then_some(monitor)
        })
        .await?;
    tracing::debug!(monitor, "nats-server is healthy");
    let _ = fs::remove_file(&announced);
    Ok(child)
}

/// `sync_interval: always` makes the acknowledgement wait for the disk; by default it does not.
/// <https://docs.nats.io/running-a-nats-service/configuration#jetstream>
fn configuration(dir: &Path, ports: NatsPorts) -> String {
    let NatsPorts { client, monitor } = ports;
    let store = quoted(&dir.join("store"));
    let ports_dir = quoted(&dir.join("ports"));
    format!(
        "host: 127.0.0.1\n\
         port: {client}\n\
         http: \"127.0.0.1:{monitor}\"\n\
         ports_file_dir: {ports_dir}\n\
         jetstream {{\n  store_dir: {store}\n  max_file_store: 64GB\n  sync_interval: always\n}}\n\
         include ./users.conf\n"
    )
}

/// A string of the server's configuration language, which escapes as JSON does.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("nats-server.log")
}

fn port_was_taken(dir: &Path, error: &Error) -> bool {
    matches!(error, Error::Exited { .. })
        && fs::read_to_string(log_file(dir)).is_ok_and(|log| log.contains("address already in use"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use async_nats::ConnectOptions;

    use super::*;
    use crate::bus;
    use crate::embedded::install;
    use crate::embedded::testing;

    async fn options() -> NatsOptions {
        NatsOptions {
            program: install::nats_server(&testing::tools_dir()).await.unwrap(),
            pid_file: None,
            ports: None,
            users: NatsUsers::generate(),
        }
    }

    async fn get(url: &str) -> serde_json::Value {
        probe::client()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn every_message_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(dir.path(), options().await)
            .await
            .unwrap();
        let varz = get(&format!("{}/varz", server.monitor_url())).await;
        assert_eq!(varz["jetstream"]["config"]["sync_always"], true);
        assert!(varz["version"].as_str().unwrap().starts_with("2.15."));
        let jsz = get(&format!("{}/jsz", server.monitor_url())).await;
        assert_eq!(jsz["config"]["sync_always"], true);
    }

    #[tokio::test]
    async fn a_killed_server_comes_back_with_its_messages_on_its_ports() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = NatsServer::start(dir.path(), options().await)
            .await
            .unwrap();
        let url = server.url();
        let publish = async || {
            let url = url.as_str().into();
            let client = bus::connect(&url, ConnectOptions::new()).await.unwrap();
            let jetstream = async_nats::jetstream::new(client);
            let stream = jetstream.get_or_create_stream(async_nats::jetstream::stream::Config {
                name: "T".to_owned(),
                subjects: vec!["t.>".to_owned()],
                ..Default::default()
            });
            stream.await.unwrap();
            let ack = jetstream
                .publish("t.x", "x".into())
                .await
                .unwrap()
                .await
                .unwrap();
            ack.sequence
        };
        assert_eq!(publish().await, 1);
        server.kill().await;
        server.restart().await.unwrap();
        assert_eq!(server.url(), url);
        assert_eq!(publish().await, 2);
        server.stop().await;
        server.restart().await.unwrap();
        assert_eq!(publish().await, 3);
    }

    #[tokio::test]
    async fn nobody_connects_without_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(dir.path(), options().await)
            .await
            .unwrap();
        assert!(async_nats::connect(server.agent_url()).await.is_err());
        for (name, value) in server.variables() {
            if name.ends_with("_URL") && value.starts_with("nats://") {
                let client = bus::connect(&value.into(), ConnectOptions::new()).await;
                client.unwrap().flush().await.expect(name);
            }
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let client = ports::free().unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, client)).unwrap();
        let ports = NatsPorts {
            client,
            monitor: ports::free().unwrap(),
        };
        let options = NatsOptions {
            ports: Some(ports),
            ..options().await
        };
        let server = NatsServer::start(dir.path(), options).await.unwrap();
        assert_ne!(server.ports().client, client);
    }

    #[tokio::test]
    async fn dropped_means_gone() {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(dir.path(), options().await)
            .await
            .unwrap();
        let (pid, ports) = (server.pid(), server.ports());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(ports::is_free(ports.client) && ports::is_free(ports.monitor));
        assert!(!dir.path().join("pid").exists());
    }
}
