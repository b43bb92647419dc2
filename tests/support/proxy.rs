//! A proxy that makes what stands behind it slow, busy or gone.
#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses a part of this, and only tests use it")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    Through,
    Cut,
    Silent,
    Answering(&'static str),
    AnsweringOnce(&'static str),
}

/// Stands between a client and a service. Each change ends all connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    line: watch::Sender<Line>,
}

impl Proxy {
    pub(crate) async fn before(target: &str) -> Self {
        let target = target.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, line) = (listener.local_addr().unwrap(), watch::Sender::new(Line::Through));
        let changes = line.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (target, changes) = (target.clone(), changes.clone());
                tokio::spawn(async move {
                    let mut change = changes.subscribe();
                    tokio::select! {
                        _ = change.changed() => {}
                        () = connection(stream, &target, &changes) => {}
                    }
                });
            }
        });
        Self { address, line }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    pub(crate) fn now(&self) -> Line {
        *self.line.borrow()
    }
}

async fn connection(mut stream: TcpStream, target: &str, line: &watch::Sender<Line>) {
    let now = *line.borrow();
    match now {
        Line::Through => {
            if let Ok(mut peer) = TcpStream::connect(target).await {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut peer).await;
            }
        }
        Line::Cut => {}
        Line::Silent => std::future::pending().await,
        Line::Answering(answer) | Line::AnsweringOnce(answer) => {
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            // The client reads it before the connection ends.
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            if let Line::AnsweringOnce(_) = now {
                line.send_replace(Line::Through);
            }
        }
    }
}
