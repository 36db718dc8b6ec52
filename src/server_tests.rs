//! Clients that dawdle, and requests that run when the stop comes.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

const LIMIT: Duration = Duration::from_millis(300);

struct Running {
    address: std::net::SocketAddr,
    shutdown: Shutdown,
    /// Asked by a request that waits to be let go.
    entered: Arc<Notify>,
    release: Arc<Notify>,
    server: JoinSet<()>,
}

async fn start() -> Running {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, go) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = move || async move {
        enter.notify_one();
        go.notified().await;
        "done"
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
        )
        .route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let mut server = JoinSet::new();
    server.spawn(async move { serve(listener, router, LIMIT, &stop).await });
    Running {
        address,
        shutdown,
        entered,
        release,
        server,
    }
}

/// What the server says to these bytes until it closes.
async fn talk(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_dawdles_is_cut_off() {
    let running = start().await;
    for bytes in [
        &b""[..],
        b"G",
        b"P",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let started = Instant::now();
        let answer = talk(running.address, bytes).await;
        assert!(!answer.contains("hello"));
        let took = started.elapsed();
        assert!(
            took < LIMIT * 10,
            "{:?} took {took:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    let answer = talk(
        running.address,
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_carries_its_peer() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    let request = b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&own), "{answer}");
}

#[tokio::test]
async fn a_stop_finishes_what_runs() {
    let mut running = start().await;
    let address = running.address;
    let mut client = JoinSet::new();
    client.spawn(async move { talk(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await });
    running.entered.notified().await;
    running.shutdown.stop();
    running.release.notify_one();
    assert!(client.join_next().await.unwrap().unwrap().ends_with("done"));
    running.server.join_next().await.unwrap().unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_hard_stop_drops_what_runs() {
    let mut running = start().await;
    let address = running.address;
    let mut client = JoinSet::new();
    client.spawn(async move { talk(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await });
    running.entered.notified().await;
    running.shutdown.stop_now();
    running.server.join_next().await.unwrap().unwrap();
    assert_eq!(client.join_next().await.unwrap().unwrap(), "");
}
