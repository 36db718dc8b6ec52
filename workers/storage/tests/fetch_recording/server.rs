//! An HTTPS server with a certificate authority of its own, which answers well or badly by its path.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aftercall::config::{Env, Fetch};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub const CALL: &[u8] = include_bytes!("../../../all/samples/two-cities/two-cities.wav");

pub struct Server {
    pub port: u16,
    connections: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    dir: TempDir,
    _task: JoinSet<()>,
}

impl Server {
    /// For `localhost`, and names that a test resolves to it.
    pub async fn start() -> Self {
        aftercall::lifecycle::install_tls();
        let dir = tempfile::tempdir().unwrap();
        let (tls, ca) = certificates();
        std::fs::write(dir.path().join("ca.pem"), ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let (seen, asked) = (Arc::clone(&connections), Arc::clone(&requests));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut answering = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                seen.fetch_add(1, Ordering::Relaxed);
                answering.spawn(answer(stream, tls.clone(), Arc::clone(&asked)));
            }
        });
        Self {
            port,
            connections,
            requests,
            dir,
            _task: task,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// How often somebody connected.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// How often something was asked for.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Settings that trust it; `allowed` hosts may be in a private network.
    pub fn settings(&self, allowed: &str) -> Fetch {
        let env = Env::default().with([
            ("FETCH_ALLOWED_HOSTS", allowed.to_owned()),
            ("FETCH_CA_FILE", self.ca_file().display().to_string()),
            ("MAX_UPLOAD_BYTES", "2000000".to_owned()),
            ("UPLOAD_IDLE_SECONDS", "1".to_owned()),
        ]);
        Fetch::read(&env).unwrap()
    }
}

/// Names that a test decides about.
pub struct Names {
    pub answer: Vec<&'static str>,
    pub asked: Arc<AtomicU32>,
}

impl Names {
    pub fn of(answer: &[&'static str]) -> Self {
        Self {
            answer: answer.to_vec(),
            asked: Arc::default(),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer: Vec<_> = self
            .answer
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
            .collect();
        Box::pin(async move { Ok(Box::new(answer.into_iter()) as Addrs) })
    }
}

fn certificates() -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "recordings.test", "127.0.0.1"].map(str::to_owned);
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca_pem)
}

async fn answer(stream: TcpStream, tls: TlsAcceptor, asked: Arc<AtomicU32>) {
    // A client that does not like the certificate, or what it reads, goes away: that is its right.
    let _ = async {
        let mut stream = tls.accept(stream).await?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let before = asked.fetch_add(1, Ordering::Relaxed);
        respond(&mut stream, path, before).await
    }
    .await;
}

async fn respond(
    stream: &mut TlsStream<TcpStream>,
    path: &str,
    before: u32,
) -> std::io::Result<()> {
    match path {
        "/flaky.wav" if before == 0 => head(stream, "503 Busy", "content-length: 0").await,
        "/call.wav" | "/flaky.wav" => whole(stream, CALL).await,
        "/text" => whole(stream, b"<html>Please sign in.</html>").await,
        "/empty" => whole(stream, b"").await,
        "/gone" => head(stream, "404 Not Found", "content-length: 0").await,
        "/expired" => head(stream, "403 Forbidden", "content-length: 0").await,
        "/elsewhere" => {
            head(
                stream,
                "302 Found",
                "location: /call.wav\r\ncontent-length: 0",
            )
            .await
        }
        "/claims-much" => head(stream, "200 OK", "content-length: 99999999999").await,
        "/breaks-off" => {
            head(
                stream,
                "200 OK",
                &format!("content-length: {}", CALL.len() + 1),
            )
            .await?;
            stream.write_all(CALL).await?;
            stream.shutdown().await
        }
        "/endless" => {
            head(stream, "200 OK", "transfer-encoding: chunked").await?;
            stream.write_all(b"10000\r\n").await?;
            stream.write_all(&CALL[..0x10000]).await?;
            loop {
                stream.write_all(b"\r\n10000\r\n").await?;
                stream.write_all(&CALL[..0x10000]).await?;
            }
        }
        "/drips" => {
            head(stream, "200 OK", &format!("content-length: {}", CALL.len())).await?;
            for byte in CALL {
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        }
        "/silent" => std::future::pending().await,
        other => panic!("nobody asks for {other}"),
    }
}

async fn whole(stream: &mut TlsStream<TcpStream>, body: &[u8]) -> std::io::Result<()> {
    head(stream, "200 OK", &format!("content-length: {}", body.len())).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn head(
    stream: &mut TlsStream<TcpStream>,
    status: &str,
    headers: &str,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}
