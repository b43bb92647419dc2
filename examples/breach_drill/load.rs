//! The load on the service, the same with the layer and without: what its customers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower::BoxError;

use crate::client::JsonClient;
use crate::people::Account;
use crate::report;

const CONNECTIONS: usize = 32;
/// How many customers one list holds.
const PAGE: usize = 100;

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Create,
    Update,
    List,
    Read,
}

impl Step {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create a customer",
            Self::Update => "update a customer",
            Self::List => "list 100 customers",
            Self::Read => "read a customer",
        }
    }
}

/// How long the requests of one kind took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) step: Step,
    pub(crate) requests: usize,
    pub(crate) time: Duration,
}

#[derive(Clone)]
pub(crate) struct Load {
    client: JsonClient,
    accounts: Arc<[Account]>,
}

impl Load {
    pub(crate) fn new(origin: &str, accounts: Arc<[Account]>) -> Self {
        Self { client: JsonClient::new(origin), accounts }
    }

    /// Creates and updates the accounts, then compares what comes back with what was sent, byte for byte.
    pub(crate) async fn run(self) -> Result<Vec<Timing>, BoxError> {
        let mut timings = Vec::new();
        for step in [Step::Create, Step::Update, Step::List, Step::Read] {
            timings.push(self.repeat(step).await?);
        }
        Ok(timings)
    }

    async fn repeat(&self, step: Step) -> Result<Timing, BoxError> {
        let number = self.accounts.len();
        let places: Arc<[usize]> = match step {
            Step::Create => (0..number).collect(),
            Step::Update => (0..number).filter(|&place| self.accounts[place].updated.is_some()).collect(),
            Step::List => (0..number).step_by(PAGE).take(50).collect(),
            // A quarter of all, and with them half of those that were updated.
            Step::Read => (0..number).step_by(4).collect(),
        };
        let bar = report::bar(step.name(), places.len());
        let begin = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (load, places, next, bar) = (self.clone(), Arc::clone(&places), Arc::clone(&next), bar.clone());
            workers.spawn(async move {
                while let Some(&place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    load.take(step, place).await?;
                    bar.inc(1);
                }
                Ok::<_, BoxError>(())
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        let time = begin.elapsed();
        bar.finish_and_clear();
        Ok(Timing { step, requests: places.len(), time })
    }

    async fn take(&self, step: Step, place: usize) -> Result<(), BoxError> {
        let Self { client, accounts } = self;
        let account = &accounts[place];
        let path = format!("/customers/{}", account.created.customer.id);
        match (step, &account.updated) {
            (Step::Create, _) => client.post("/customers", account.created.body.clone()).await,
            (Step::Update, Some(updated)) => client.put(&path, updated.body.clone()).await,
            (Step::Update, None) => Ok(()),
            (Step::List, _) => {
                let after = place.checked_sub(1).map_or("", |before| &accounts[before].created.customer.id);
                let list = client.get(&format!("/customers?after={after}&limit={PAGE}")).await?;
                let page = &accounts[place..accounts.len().min(place + PAGE)];
                let sent: Vec<&[u8]> = page.iter().map(|account| &account.current().body[..]).collect();
                same(&list, &[&b"["[..], &sent.join(&b','), b"]"].concat(), &path)
            }
            (Step::Read, _) => same(&client.get(&path).await?, &account.current().body, &path),
        }
    }
}

fn same(received: &[u8], sent: &[u8], path: &str) -> Result<(), BoxError> {
    if received == sent { Ok(()) } else { Err(format!("{path}: came back with other bytes than were sent").into()) }
}
