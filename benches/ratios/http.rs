//! Servers of real HTTP on loopback, one thread each.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::{Router, ServiceExt as _};
use bytes::Bytes;
use fieldseal::layer::FieldBody;
use fieldseal::{FieldCipher, FieldEncryptionLayer};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service};

use super::load::{p99, throughput};
use super::measure::{median, report};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const RUNS: usize = 7;

/// `layer_vs_bare`: POST and GET of one record, of which the smaller ratio counts. `…_around` is the same with the layer
/// around the whole router.
pub(crate) fn layer_vs_bare(cipher: &FieldCipher) -> Result<(), Failure> {
    let [bare, layered] = bare_and_layered(cipher)?;
    post_and_get("layer_vs_bare", [bare, layered], ["post", "get"])?;
    let around = FieldEncryptionLayer::new(cipher.clone())?.layer(memory());
    let around = tower::ServiceExt::<Request>::map_response(around, |response: Response<FieldBody<Body>>| {
        response.map(Body::new)
    });
    let around = serve_on(around, || Builder::new_current_thread().enable_all().build())?;
    post_and_get("layer_vs_bare_around", [bare, around], ["post", "get"])
}

/// Reports requests a second of the second server against the first, for two kinds of which the smaller ratio counts.
pub(crate) fn post_and_get(name: &str, servers: [SocketAddr; 2], kinds: [&str; 2]) -> Result<(), Failure> {
    let [post_bare, post_layer] = rates(servers, kinds[0])?;
    let [get_bare, get_layer] = rates(servers, kinds[1])?;
    let (post, get) = (post_layer / post_bare, get_layer / get_bare);
    report(
        name,
        post.min(get),
        &[
            ("post", post),
            ("get", get),
            ("post_bare_per_s", post_bare),
            ("post_layer_per_s", post_layer),
            ("get_bare_per_s", get_bare),
            ("get_layer_per_s", get_layer),
        ],
    );
    Ok(())
}

/// `added_p99`: how late the slowest in a hundred answers are with the layer, against without, while both are asked half
/// as often as the server without answers at most. POST and GET of one record, of which the larger ratio counts.
pub(crate) fn added_p99(cipher: &FieldCipher) -> Result<(), Failure> {
    let servers = bare_and_layered(cipher)?;
    let mut ratios = Vec::new();
    let mut figures = Vec::new();
    for (kind, rate, bare, layer) in [
        ("post", "post_asked_per_s", "post_bare_us", "post_layer_us"),
        ("get", "get_asked_per_s", "get_bare_us", "get_layer_us"),
    ] {
        let [most, _] = in_turn([servers[0]; 2], 1, |server| throughput(server, kind))?;
        let half = most / 2.0;
        let [without, with] = in_turn(servers, RUNS, |server| p99(server, kind, half))?;
        ratios.push(with / without);
        figures.extend([(kind, with / without), (rate, half), (bare, without), (layer, with)]);
    }
    report("added_p99", ratios.into_iter().fold(0.0, f64::max), &figures);
    Ok(())
}

/// The median requests a second of two servers that take turns. The first run warms up, and leaves the record that GET
/// asks for.
pub(crate) fn rates(servers: [SocketAddr; 2], kind: &str) -> Result<[f64; 2], Failure> {
    in_turn(servers, RUNS, |server| throughput(server, kind))
}

fn in_turn(
    servers: [SocketAddr; 2],
    runs: usize,
    measure: impl Fn(SocketAddr) -> Result<f64, Failure>,
) -> Result<[f64; 2], Failure> {
    let mut figures = [Vec::new(), Vec::new()];
    for run in 0..=runs {
        for (figures, server) in figures.iter_mut().zip(servers) {
            let figure = measure(server)?;
            if run > 0 {
                figures.push(figure);
            }
        }
    }
    Ok(figures.map(median))
}

fn bare_and_layered(cipher: &FieldCipher) -> Result<[SocketAddr; 2], Failure> {
    Ok([serve(memory())?, serve(memory().layer(FieldEncryptionLayer::new(cipher.clone())?))?])
}

/// A service that only keeps the last body in memory.
pub(crate) fn memory() -> Router {
    type Kept = Arc<Mutex<Bytes>>;
    let keep = |State(kept): State<Kept>, body: Bytes| async move { *kept.lock().expect("no handler panics") = body };
    let give = |State(kept): State<Kept>| async move {
        ([(CONTENT_TYPE, "application/json")], kept.lock().expect("no handler panics").clone())
    };
    Router::new().route("/", post(keep).get(give)).with_state(Kept::default())
}

/// Serves `app` on a thread of its own until the process ends.
pub(crate) fn serve(app: Router) -> Result<SocketAddr, Failure> {
    serve_on(app, || Builder::new_current_thread().enable_all().build())
}

/// Serves `app` on a runtime of its own until the process ends.
pub(crate) fn serve_on<S>(
    app: S,
    runtime: impl FnOnce() -> std::io::Result<Runtime> + Send + 'static,
) -> Result<SocketAddr, Failure>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> Result<(), Failure> {
        runtime()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            axum::serve(listener, app.into_make_service()).await?;
            pending::<Result<(), Failure>>().await
        })
    });
    Ok(receiver.recv()?)
}
