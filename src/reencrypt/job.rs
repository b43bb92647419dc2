//! A job: a table, and where its values go.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::database::{Claim, Database, Lease, Shape, Statements, Step};
use super::job_name::job_name;
use super::plan::{Plan, Prepared};
use super::report::{Progress, Report, Scan};
use super::row::RowKey;
use super::table::EncryptedTable;
use crate::cipher::Direction;
use crate::crypto::random;
use crate::error::{Error, ErrorKind};

/// How long a worker waits where others work on all that is left.
const WAIT: Duration = Duration::from_millis(200);

/// Moves the values of a table, while the application goes on writing to it.
///
/// Each row is written only where it still is what it was when it was read, so no update of the application is lost.
/// How far the job is stands in the database, changed in the same transaction as the rows: after a crash, begin it
/// again, and it goes on where it was. Several workers, on several machines, can run the same job on PostgreSQL.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// # use fieldseal::keys::{DataKey, Keys, SecretKey};
/// # use fieldseal::{Field, FieldCipher, Policy, Tag};
/// use fieldseal::reencrypt::{EncryptedTable, Job};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
/// # let cipher = FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::generate()?)));
/// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// # sqlx::raw_sql("CREATE TABLE customers (id INTEGER PRIMARY KEY, phone TEXT)").execute(&pool).await?;
/// sqlx::raw_sql("INSERT INTO customers VALUES (1, '+65 9123 4567')").execute(&pool).await?;
/// let table = EncryptedTable::new("customers", cipher).column("phone", "phone")?;
///
/// let report = Job::encrypt_plaintext(table.clone()).run(pool.clone()).await?;
/// assert_eq!(report.moved(), 1);
/// let scan = table.scan(pool).await?;
/// assert_eq!((scan.tokens().count(), scan.plaintexts().count()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Job {
    plan: Plan,
    range: u32,
    lease: Duration,
    worker: Option<String>,
    rows_per_second: Option<u32>,
    is_dry: bool,
    watch: Option<Box<dyn FnMut(Progress) -> bool + Send>>,
}

impl Job {
    /// Moves every token to the primary key. Tokens under it already are left alone, and so are values that are no
    /// tokens, or do not open: they are reported.
    #[must_use]
    pub fn reencrypt(table: EncryptedTable) -> Self {
        Self::new(table, Direction::Reencrypt)
    }

    /// Encrypts a table that holds plaintext. Values that are tokens already are left alone, and so is what is left of a
    /// token that was cut short or changed: it is reported as a value that does not open. Text that begins like a token
    /// and names no key of the keyring is plaintext.
    ///
    /// Meanwhile the layer must take tokens and plaintext: see
    /// [`Field::allow_plaintext_until`](crate::Field::allow_plaintext_until).
    #[must_use]
    pub fn encrypt_plaintext(table: EncryptedTable) -> Self {
        Self::new(table, Direction::Encrypt)
    }

    /// Undoes the encryption of a table: afterwards everybody who can read it can read the values, and so can whoever
    /// steals it.
    #[must_use]
    pub fn dangerous_decrypt_to_plaintext(table: EncryptedTable) -> Self {
        Self::new(table, Direction::Decrypt)
    }

    fn new(table: EncryptedTable, direction: Direction) -> Self {
        Self {
            plan: Plan { table, direction, batch: 500 },
            range: 20_000,
            lease: Duration::from_secs(60),
            worker: None,
            rows_per_second: None,
            is_dry: false,
            watch: None,
        }
    }

    /// Sets how many rows a transaction takes: 500 unless set, and 1 to 5,000.
    #[must_use]
    pub fn batch_size(mut self, rows: u32) -> Self {
        self.plan.batch = rows.clamp(1, 5000);
        self
    }

    /// Sets how many rows a worker takes on at once on PostgreSQL: 20,000 unless set. It counts for whoever begins the
    /// job.
    #[must_use]
    pub fn range_size(mut self, rows: u32) -> Self {
        self.range = rows.max(1);
        self
    }

    /// Sets for how long a worker that says nothing is believed to be alive: 60 seconds unless set, in whole ones.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_secs(1));
        self
    }

    /// Names this worker, so that after a crash it goes on at once with the range that it had, and need not wait for its
    /// own lease to run out. No two workers that run at the same time may have the same name: unless set, it is drawn.
    #[must_use]
    pub fn worker(mut self, name: impl Into<String>) -> Self {
        self.worker = Some(name.into());
        self
    }

    /// Looks at no more rows a second than this.
    #[must_use]
    pub fn rows_per_second(mut self, rows: u32) -> Self {
        self.rows_per_second = Some(rows.max(1));
        self
    }

    /// Writes nothing, and counts what would be done.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// Calls `watch` after each batch, and where it begins to [wait](Progress::waits) for other workers. Where it returns false, the job stops there, and can be gone on with. For the time
    /// that is left, the rows of the table are counted at the start.
    #[must_use]
    pub fn watch(mut self, watch: impl FnMut(Progress) -> bool + Send + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Works on the job until it is done, and returns what this worker did.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) where the database fails, the table cannot be worked on, or another job works on it;
    /// [`ErrorKind::KeyUnavailable`](crate::ErrorKind::KeyUnavailable) and what else encrypting fails with. Everything that was committed stays.
    pub async fn run(self, database: impl Into<Database>) -> Result<Report, Error> {
        match database.into() {
            #[cfg(feature = "sqlite")]
            Database::Sqlite(pool) => self.run_on(&pool).await,
            #[cfg(feature = "postgres")]
            Database::Postgres(pool) => self.run_on(&pool).await,
        }
    }

    async fn run_on(mut self, database: &(impl Statements + Clone + Send + 'static)) -> Result<Report, Error> {
        let shape = Arc::new(database.look_at(&self.plan.table).await?);
        let rows_in_table = if self.watch.is_some() { database.count(&shape).await? } else { 0 };
        let report = Report { found: Scan::begin(), moved: 0, contended: 0 };
        let mut work = Work { report, rows_in_table, started: Instant::now() };
        if self.is_dry {
            self.rehearse(database, &shape, &mut work).await?;
            return Ok(work.report);
        }
        let (job, worker) = (job_name(&shape, self.plan.direction)?, self.worker.take().map_or_else(drawn_name, Ok)?);
        database.begin(&shape, &job, self.range).await?;
        let mut waits = false;
        loop {
            let seconds = i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX);
            match database.claim(&job, &worker, seconds).await? {
                Claim::Taken(lease) => {
                    waits = false;
                    if !self.work_on(database, &shape, lease, &mut work).await? {
                        return Ok(work.report);
                    }
                }
                Claim::Wait => {
                    if !mem::replace(&mut waits, true) && !self.tell(&work, true) {
                        return Ok(work.report);
                    }
                    tokio::time::sleep(WAIT).await;
                }
                Claim::Done => break,
            }
        }
        database.end(&job).await?;
        Ok(work.report)
    }

    /// Works through one range. Returns false where it was told to stop.
    async fn work_on(
        &mut self,
        database: &(impl Statements + Clone + Send + 'static),
        shape: &Arc<Shape>,
        lease: Lease,
        work: &mut Work,
    ) -> Result<bool, Error> {
        let lease = Arc::new(lease);
        let mut next = self.plan.prepare(database, shape, &lease, lease.after.clone()).await?;
        loop {
            let Prepared { batch, found, at, is_done } = next;
            // While the database writes a batch, the next one is read and encrypted: after the pause, since nothing may
            // wait for long between its encryption and its writing.
            let pause = self.pause(work, found.rows());
            let following = (!is_done).then(|| {
                let (plan, database) = (self.plan.clone(), database.clone());
                let (shape, lease, at) = (Arc::clone(shape), Arc::clone(&lease), at.clone());
                Following(tokio::spawn(async move {
                    rest(pause).await;
                    plan.prepare(&database, &shape, &lease, at).await
                }))
            });
            let step = Step { at, moved: 0, is_done };
            let Some((moved, contended)) = self.plan.write(database, shape, &lease, batch, step).await? else {
                // The lease ran out, and somebody else goes on from the last batch that was accounted for.
                return Ok(true);
            };
            work.report.found.add(found);
            work.report.moved += moved;
            work.report.contended += contended;
            if !self.tell(work, false) {
                return Ok(false);
            }
            let Some(following) = following else { return Ok(true) };
            next = following.finish().await?;
        }
    }

    async fn rehearse(&mut self, database: &impl Statements, shape: &Shape, work: &mut Work) -> Result<(), Error> {
        let mut after: Option<RowKey> = None;
        loop {
            let rows = database.read(shape, after.as_ref(), None, self.plan.batch).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let mut found = Scan::begin();
            let changes = self.plan.change(rows, Some(&mut found))?.changes;
            work.report.moved += u64::try_from(changes.len()).unwrap_or(u64::MAX);
            let pause = self.pause(work, found.rows());
            work.report.found.add(found);
            if !self.tell(work, false) {
                return Ok(());
            }
            rest(pause).await;
        }
    }

    fn tell(&mut self, work: &Work, waits: bool) -> bool {
        let elapsed = work.started.elapsed();
        let rows = work.report.found.rows();
        #[expect(clippy::cast_precision_loss, reason = "a rate for a person to read")]
        let rows_per_second = rows as f64 / elapsed.as_secs_f64().max(0.001);
        let (moved, rows_in_table) = (work.report.moved, work.rows_in_table);
        let progress = Progress { rows, rows_in_table, moved, rows_per_second, elapsed, waits };
        self.watch.as_mut().is_none_or(|watch| watch(progress))
    }

    /// Returns how long to wait before the batch after one of `seen` rows, which are not counted yet.
    fn pause(&self, work: &Work, seen: u64) -> Duration {
        let Some(rate) = self.rows_per_second else { return Duration::ZERO };
        let (rows, rate) = (work.report.found.rows() + seen, f64::from(rate));
        #[expect(clippy::cast_precision_loss, reason = "pauses, not counts")]
        let [due, longest] = [rows as f64 / rate, 2.0 * seen as f64 / rate].map(Duration::from_secs_f64);
        due.saturating_sub(work.started.elapsed()).min(longest)
    }
}

/// Waits for `pause`. No time at all is not waited for: the timer would round it up to its next tick.
async fn rest(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// The next batch on its way. Dropped, it is given up.
struct Following(JoinHandle<Result<Prepared, Error>>);

impl Following {
    async fn finish(mut self) -> Result<Prepared, Error> {
        (&mut self.0)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Database, "the runtime ended while a batch was being read")))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a worker has done so far.
struct Work {
    report: Report,
    /// Counted at the start, for who watches.
    rows_in_table: u64,
    started: Instant,
}

impl EncryptedTable {
    /// Looks at every value, changes none, and counts tokens by key and field, plaintext, and what does not open.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) where the database fails or the table cannot be worked on. A
    /// document that cannot be read is no error, but counted.
    pub async fn scan(&self, database: impl Into<Database>) -> Result<Scan, Error> {
        let job = Job::new(self.clone(), Direction::Look).batch_size(1000).dry_run();
        job.run(database).await.map(|report| report.found)
    }
}

/// A name that no other worker has.
fn drawn_name() -> Result<String, Error> {
    let mut draw = [0; 8];
    random::fill(&mut draw)?;
    Ok(format!("{}-{:016x}", std::process::id(), u64::from_be_bytes(draw)))
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("table", &self.plan.table)
            .field("direction", &self.plan.direction)
            .finish_non_exhaustive()
    }
}
