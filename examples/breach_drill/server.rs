//! Serves an axum application on a free port of this machine, until told to stop.

use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::BoxError;

pub(crate) struct Server {
    origin: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(listener, app).with_graceful_shutdown(async {
            // A sender that is gone says the same as one that has sent.
            let _ = stopped.await;
        });
        Ok(Self { origin, stop, task: tokio::spawn(server.into_future()) })
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Waits until every connection is closed, so that the database is closed too.
    pub(crate) async fn stop(self) -> Result<(), BoxError> {
        drop(self.stop);
        self.task.await??;
        Ok(())
    }
}
