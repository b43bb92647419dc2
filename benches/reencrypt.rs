//! cargo bench --features postgres --bench reencrypt
//!
//! Prints `ratio reencrypt_vs_update VALUE`: rows a second of one worker of a re-encryption job on PostgreSQL, against a
//! bare `UPDATE` of the same rows in batches by their keys, with tokens of the same size. Needs the address of a
//! server in `FIELDSEAL_TEST_POSTGRES`, and says so where there is none.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::env;
use std::error::Error;
use std::time::Instant;

use fieldseal::keys::{Keyring, KeyringFile, Keys, LocalKek, SecretKey, Timing};
use fieldseal::reencrypt::{EncryptedTable, Job};
use fieldseal::{Field, FieldCipher, Policy, Tag};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

const ROWS: i32 = 20_000;
const BATCH: usize = 500;
const RUNS: usize = 7;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(server) = env::var("FIELDSEAL_TEST_POSTGRES") else {
        println!("skipped: reencrypt_vs_update needs PostgreSQL, whose address FIELDSEAL_TEST_POSTGRES holds");
        return Ok(());
    };
    let database = format!("bench_{}", std::process::id());
    let mut connection = PgConnection::connect(&server).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut connection).await?;
    let options = server.parse::<sqlx::postgres::PgConnectOptions>()?.database(&database);
    let pool = PgPool::connect_with(options).await?;

    let directory = tempfile::tempdir()?;
    let store = KeyringFile::new(directory.path().join("keyring.json"));
    let kek = || LocalKek::new(&SecretKey::from_bytes(&[7; 32]));
    let mut keyring = Keyring::create("bench", &kek()).await?;
    keyring.set_timing(Timing::single_process())?;
    keyring.add_key(&kek()).await?;
    keyring.save(&store).await?;
    let keys = Keys::open(store.clone(), kek()).await?;
    let policy = Policy::builder("customers").field(Field::new("phone", Tag::Phone)).build()?;
    let cipher = FieldCipher::new(policy, keys.clone());
    let table = EncryptedTable::new("customers", cipher.clone()).column("phone", "phone")?;

    sqlx::raw_sql("CREATE TABLE customers (id int PRIMARY KEY, phone text)").execute(&pool).await?;
    let tokens = fresh(&cipher)?;
    let insert = "INSERT INTO customers SELECT * FROM unnest($1::int[], $2::text[])";
    sqlx::query(insert).bind((0..ROWS).collect::<Vec<_>>()).bind(&tokens).execute(&pool).await?;

    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let pending = keyring.keys().iter().find(|entry| Some(entry.id()) != keys.primary_id());
        keyring.promote_without_waiting(pending.ok_or("two keys take turns")?.id())?;
        keyring.save(&store).await?;
        keys.reload().await?;
        sqlx::query("VACUUM customers").execute(&pool).await?;
        let started = Instant::now();
        let moved = Job::reencrypt(table.clone()).batch_size(u32::try_from(BATCH)?).run(pool.clone()).await?.moved();
        let first = started.elapsed().as_secs_f64();
        assert_eq!(moved, u64::try_from(ROWS)?);

        let tokens = fresh(&cipher)?;
        sqlx::query("VACUUM customers").execute(&pool).await?;
        let started = Instant::now();
        update(&pool, &tokens).await?;
        let second = started.elapsed().as_secs_f64();
        // The first run warms up.
        if run > 0 {
            ours.push(first);
            bare.push(second);
        }
    }
    let (ours, bare) = (median(ours), median(bare));
    println!("ratio reencrypt_vs_update {:.2}", bare / ours);
    println!("  reencrypt_vs_update.ours_rows_per_s {:.0}", f64::from(ROWS) / ours);
    println!("  reencrypt_vs_update.bare_rows_per_s {:.0}", f64::from(ROWS) / bare);
    pool.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {database}"))).execute(&mut connection).await?;
    Ok(())
}

/// The tokens of all rows, made before the clock runs.
fn fresh(cipher: &FieldCipher) -> Result<Vec<String>, fieldseal::Error> {
    (0..ROWS).map(|id| cipher.encrypt_value("phone", &format!("+65 9{id:07}"))).collect()
}

/// What anybody would write: read a batch after the last key, write it in one statement, and go on.
async fn update(pool: &PgPool, tokens: &[String]) -> Result<(), Box<dyn Error>> {
    let mut after = -1;
    loop {
        let read = "SELECT id, phone FROM customers WHERE id > $1 ORDER BY id LIMIT $2";
        let rows: Vec<(i32, String)> =
            sqlx::query_as(read).bind(after).bind(i64::try_from(BATCH)?).fetch_all(pool).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = *last;
        let ids: Vec<i32> = rows.iter().map(|(id, _)| *id).collect();
        let new: Vec<&String> = ids.iter().map(|&id| &tokens[usize::try_from(id).unwrap_or_default()]).collect();
        let write = "UPDATE customers AS t SET phone = v.phone FROM unnest($1::int[], $2::text[]) AS v(id, phone)
            WHERE t.id = v.id";
        let mut transaction = pool.begin().await?;
        sqlx::query(write).bind(ids).bind(new).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
