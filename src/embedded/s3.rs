//! An S3 server in this process, on the files of one directory.
//!
//! It survives the death of the process, not of the machine: nothing is synced. It knows no
//! tagging, lifecycle, versioning or listing of multipart uploads.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::{Error, Result};
use super::known_uploads::KnownUploads;
use super::ports;

/// The one bucket that exists from the start.
pub const BUCKET: &str = "aftercall";
/// The AWS SDK wants a region; any will do.
pub const REGION: &str = "us-east-1";

const HEADER_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct S3Options {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// The port to try first.
    pub port: Option<u16>,
}

/// A running S3 server; dropping it ends it. Its objects stay in its directory.
#[derive(Debug)]
pub struct S3Server {
    port: u16,
    stopping: CancellationToken,
    serving: TaskTracker,
}

impl S3Server {
    pub async fn start(dir: &Path, options: S3Options) -> Result<Self> {
        let bucket = dir.join(BUCKET);
        fs::create_dir_all(&bucket).map_err(Error::io("create", &bucket))?;
        let files = s3s_fs::FileSystem::new(dir)
            .map_err(|error| Error::io("open", dir)(std::io::Error::other(format!("{error:?}"))))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(
            options.access_key_id,
            options.secret_access_key.expose_secret(),
        ));
        builder.set_access(KnownUploads::in_dir(dir));
        let listener = listen(options.port).await?;
        let port = listener
            .local_addr()
            .map_err(Error::io("listen for", dir))?
            .port();
        let stopping = CancellationToken::new();
        let serving = TaskTracker::new();
        serving.spawn(serve(listener, builder.build(), stopping.clone()));
        serving.close();
        Ok(Self {
            port,
            stopping,
            serving,
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets running requests finish.
    pub async fn stop(&mut self) {
        self.stopping.cancel();
        self.serving.wait().await;
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn listen(wanted: Option<u16>) -> Result<TcpListener> {
    if let Some(port) = wanted
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let mut tries = 0;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, ports::free()?)).await {
            Ok(listener) => return Ok(listener),
            Err(_) if tries < 5 => tries += 1,
            Err(_) => return Err(Error::NoFreePort),
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, stopping: CancellationToken) {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors: the next one would fail at once as well.
                tracing::warn!(%error, "the embedded S3 could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = http
            .serve_connection(TokioIo::new(socket), service.clone())
            .into_owned();
        let stopping = stopping.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(STOP_GRACE, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!("requests to the embedded S3 were cut off");
    }
}
