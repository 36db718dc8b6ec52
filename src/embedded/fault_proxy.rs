//! A TCP proxy that can be cut: how tests take a real server away from a program and give it back.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to one server; dropping it ends them.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    /// The accepting task, which owns one task a connection.
    _accepting: JoinSet<()>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cut, is_cut) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, is_cut));
        Ok(Self {
            address,
            cut,
            _accepting: accepting,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections, and every new one at once.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.cut.send_replace(false);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, is_cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(client, target, is_cut.clone()));
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, mut is_cut: watch::Receiver<bool>) {
    let passing = async {
        if let Ok(mut server) = TcpStream::connect(target).await {
            // Either side may end it at any time: that is what it is for.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|cut| *cut) => {}
        () = passing => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_breaks_what_is_open_and_what_is_new() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = FaultProxy::start(server.local_addr().expect("bound"))
            .await
            .expect("a port");
        let mut client = TcpStream::connect(proxy.address()).await.expect("accepted");
        client.write_all(b"ping").await.expect("sent");
        let (mut served, _) = server.accept().await.expect("passed on");
        let mut heard = [0; 4];
        served.read_exact(&mut heard).await.expect("arrived");
        assert_eq!(&heard, b"ping");

        proxy.cut();
        assert_eq!(client.read(&mut heard).await.unwrap_or(0), 0, "broken");
        let mut refused = TcpStream::connect(proxy.address()).await.expect("accepted");
        assert_eq!(
            refused.read(&mut heard).await.unwrap_or(0),
            0,
            "broken at once"
        );

        proxy.restore();
        let mut client = TcpStream::connect(proxy.address()).await.expect("accepted");
        client.write_all(b"pong").await.expect("sent");
        let (mut served, _) = server.accept().await.expect("passed on");
        served.read_exact(&mut heard).await.expect("arrived");
        assert_eq!(&heard, b"pong");
    }
}
