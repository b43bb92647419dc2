//! Proves that the breach report counts what a dump exposes, in every form of dump, whoever the thief was; that it shows
//! no value and no token; and that it says so where a figure cannot be had.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "the rest is for tests/cli.rs")]
mod program;

use std::fmt::Write as _;
use std::fs;

use program::{Place, text};
use serde_json::{Value, json};

const INIT: [&str; 7] = ["keys", "init", "--name", "customers", "--create-kek", "--kek", "file:kek"];
const NO_WAITS: [&str; 5] = ["--refresh=0", "--lease=0", "--longest-request=0", "--clock-skew=0", "--rehearsal=0"];

/// A place with a keyring, and 12 customers whose phones and names are tokens: six under its first key, six under its
/// second.
struct Theft {
    place: Place,
    /// Name and phone of each.
    rows: Vec<[String; 2]>,
    old: String,
    new: String,
}

impl Theft {
    fn new() -> Self {
        let place = Place::new();
        let made = place.run(&[&INIT[..], &NO_WAITS].concat());
        let id = |keys: &Value, at: usize| keys["keys"][at]["id"].as_str().unwrap().to_owned();
        let old = id(&made, 0);
        let mut rows = encrypted(&place, 0..6);
        let new = id(&place.run(&["keys", "add"]), 1);
        place.run(&["keys", "promote", &new]);
        rows.extend(encrypted(&place, 6..12));
        Self { place, rows, old, new }
    }

    fn write(&self, name: &str, dump: impl AsRef<[u8]>) {
        fs::write(self.place.path(name), dump).unwrap();
    }

    fn csv(&self) -> String {
        let lines = self.rows.iter().enumerate().map(|(id, [name, phone])| format!("{id},{name},{phone}\n"));
        ["id,name,phone\n".to_owned()].into_iter().chain(lines).collect()
    }

    /// Runs the report, and checks that neither output nor message holds a token or a value.
    #[track_caller]
    fn report(&self, arguments: &[&str], code: i32) -> (Value, String) {
        let whole = [&["breach-report", "--format=json"], arguments].concat();
        let output = self.place.command(&whole).output().unwrap();
        let (data, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {data} {said}");
        for shown in [&data, &said] {
            assert!(!shown.contains("fs1.") && !shown.contains("6591") && !shown.contains("Tan Wei"), "{shown}");
        }
        (serde_json::from_str(&data).unwrap_or_default(), said)
    }

    /// Lets the first key end: forgotten, and then shredded.
    fn end_old(&self, how: &[&str]) {
        self.place.run(&["keys", "disable", &self.old, "--without-scans"]);
        let forget = ["keys", "forget", &self.old, "--with-everything-under-it", "--tokens", "12", "--yes"];
        self.place.run(&[&forget[..], how].concat());
    }
}

fn encrypted(place: &Place, ids: std::ops::Range<usize>) -> Vec<[String; 2]> {
    let lines = ids.map(|id| format!("{{\"name\":\"Tan Wei {id}\",\"phone\":\"+65910000{id:02}\"}}\n"));
    let output = place.piped(&["encrypt", "--policy", "policy.toml"], lines.collect::<String>().as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = text(&output.stdout);
    let rows = rows.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        ["name", "phone"].map(|name| row[name].as_str().unwrap().to_owned())
    });
    rows.collect()
}

/// People: touched, exposed, unknown, alive, forgotten, shredded, in the clear.
fn people(report: &Value) -> [u64; 7] {
    ["touched", "exposed", "unknown_key", "alive", "forgotten", "shredded", "in_the_clear"]
        .map(|name| report["people"][name].as_u64().unwrap())
}

/// What stands at each place: its name, its field, tokens, people.
fn places(report: &Value) -> Vec<(String, Value, u64, u64)> {
    let places = report["places"].as_array().unwrap().iter();
    let line = |place: &Value| {
        let name = format!("{}.{}", place["table"].as_str().unwrap(), place["place"].as_str().unwrap());
        (name, place["field"].clone(), place["tokens"].as_u64().unwrap(), place["people"]["touched"].as_u64().unwrap())
    };
    places.map(line).collect()
}

#[test]
fn each_form_of_dump_has_the_same_people_and_fields() {
    let theft = Theft::new();
    let mut copy =
        "--\n-- PostgreSQL database dump\n--\n\\restrict x\nCREATE FUNCTION f() RETURNS int AS $$ it's; $$;\n\
                    COPY public.customers (id, name, phone) FROM stdin;\n"
            .to_owned();
    let mut inserts = "-- it's a comment; INSERT INTO\nCREATE TABLE customers (id int, name text, phone text, \
                       PRIMARY KEY (id));\n"
        .to_owned();
    let mut mysql =
        "-- MySQL dump 10.13\nCREATE TABLE `customers` (`id` int, `name` text, `phone` text, KEY `x` (`name`)) \
                     ENGINE=InnoDB;\n/*!40000 ALTER TABLE `customers` DISABLE KEYS */;\nINSERT INTO `customers` VALUES "
            .to_owned();
    let (mut lines, mut array, mut quoted) = (String::new(), String::new(), String::new());
    for (id, [name, phone]) in theft.rows.iter().enumerate() {
        let _ = writeln!(copy, "{id}\t{name}\t{phone}");
        let _ = writeln!(inserts, "INSERT INTO customers VALUES ({id}, '{name}', '{phone}');");
        let _ = write!(mysql, "({id},'it\\'s; (',NULL),({id},'{name}','{phone}'),");
        let _ = write!(quoted, "{id},\"{name}\",\"{phone}\"\r\n");
        let _ = writeln!(lines, "{{\"id\": {id}, \"name\": \"{name}\", \"phone\": \"{phone}\"}}");
        let _ = write!(
            array,
            "{}{{\"id\":{id},\"name\":\"{name}\",\"phone\":\"{phone}\"}}",
            if id == 0 { "" } else { "," }
        );
    }
    copy.push_str("\\.\n\nSELECT 1;\n");
    let mysql = format!("{};\n", mysql.trim_end_matches(','));
    let tabs = theft.csv().replace(',', "\t");
    let quoted = format!("\u{feff}id,name,phone\r\n{quoted}");
    for (name, dump, table) in [
        ("copy.sql", copy, "public.customers"),
        ("inserts.sql", inserts, "customers"),
        ("mysql.sql", mysql, "customers"),
        ("customers.csv", theft.csv(), ""),
        ("tabs.tsv", tabs, ""),
        ("mark.csv", quoted, ""),
        ("customers.ndjson", lines, ""),
        ("list.json", format!("[{array}]"), ""),
        ("tables.json", format!("{{\n\"at\": 1, \"customers\": [{array}], \"orders\": []}}"), "customers"),
    ] {
        theft.write(name, dump);
        let (report, said) = theft.report(&["--dump", name], 0);
        assert_eq!(people(&report), [12, 0, 0, 12, 0, 0, 0], "{name}: {report} {said}");
        let expected = ["name", "phone"].map(|place| (format!("{table}.{place}"), Value::Null, 12, 12));
        assert_eq!(places(&report), expected, "{name}");
        let keys: Vec<_> = report["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
        assert!(keys.len() == 2 && keys.contains(&&*theft.old) && keys.contains(&&*theft.new), "{name}");
        assert_eq!((&report["is_complete"], &report["beside"]["tokens"]), (&json!(true), &json!(0)), "{name}");
    }
}

#[test]
fn documents_in_columns_and_binary_tokens_are_looked_into() {
    let theft = Theft::new();
    let [name, phone] = &theft.rows[0];
    let hexadecimal = |token: &str| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    theft.write(
        "dump.sql",
        format!(
            "COPY c (id, profile, phone, note, blob) FROM stdin;\n\
             1\t{{\"contact\": {{\"phones\": [{{\"phone\": \"{phone}\"}}], \"alice@example.com\": \"{name}\"}}}}\t\\\\x{}\tsee {name}, please\t\\\\x01ff\n\
             2\t[1, \t\\N\tfi1.AAAA\t\\N\n\\.\n",
            hexadecimal(phone)
        ),
    );
    let (report, said) = theft.report(&["--dump", "dump.sql", "--policy", "policy.toml"], 0);
    let field = json!("phone");
    let expected = [
        ("c.profile.contact.phones[*].phone", &field, 1, 1),
        // What may be somebody's name is not shown.
        ("c.profile.contact.*", &Value::Null, 1, 1),
        ("c.phone", &field, 1, 1),
        ("c.note", &Value::Null, 1, 1),
    ];
    let expected = expected.map(|(name, field, tokens, people)| (name.to_owned(), field.clone(), tokens, people));
    assert_eq!(places(&report), expected, "{said}");
    assert_eq!((people(&report)[0], &report["places"][3]["indexes"]), (1, &json!(1)));
}

#[test]
fn a_database_file_is_read_with_what_was_deleted_from_it() {
    let theft = Theft::new();
    let mut statements =
        "PRAGMA secure_delete = OFF; CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, phone BLOB);
        CREATE TABLE \"other \"\"table\" (x);"
            .to_owned();
    for (id, [name, phone]) in theft.rows.iter().enumerate() {
        let _ = write!(statements, "INSERT INTO customers VALUES ({id}, '{name}', '{phone}');");
    }
    theft.place.sql(&statements);
    let database = ["--dump", "customers.db", "--policy", "policy.toml"];
    let (report, said) = theft.report(&database, 0);
    assert_eq!((people(&report), &report["beside"]["tokens"]), ([12, 0, 0, 12, 0, 0, 0], &json!(0)), "{said}");
    let fields = ["name", "phone"].map(|name| (format!("customers.{name}"), json!(name), 12, 12));
    assert_eq!(places(&report), fields);

    theft.place.sql("DELETE FROM customers WHERE id >= 10");
    let (report, _) = theft.report(&database, 0);
    assert_eq!(people(&report)[0], 10);
    let beside = report["beside"]["tokens"].as_u64().unwrap();
    assert!((1..=4).contains(&beside), "{beside}");
    assert_eq!(report["notice"]["taken_at_most"], 10 + beside);

    // The same file as mere bytes: tokens, and no people.
    let (report, _) = theft.report(&["--dump", "customers.db", "--form", "raw"], 0);
    assert_eq!((people(&report)[0], &report["beside"]["tokens"]), (0, &json!(20 + beside)));

    let bytes = fs::read(theft.place.path("customers.db")).unwrap();
    theft.write("cut.db", &bytes[..bytes.len() - 4096]);
    let (report, said) = theft.report(&["--dump", "cut.db"], 1);
    assert_eq!(report["is_complete"], false, "{report}");
    assert!(said.contains("not read to its end"), "{said}");
}

#[test]
fn what_the_thief_had_makes_the_difference() {
    let theft = Theft::new();
    theft.write("dump.csv", theft.csv());
    let listed = theft.place.run(&["keys", "list"]);
    let kek = format!("kek={}", listed["keys"][0]["kek"].as_str().unwrap());
    let had = |what: &[&str], code| {
        let options = what.iter().flat_map(|what| ["--thief-had", what]);
        let report = theft.report(&[&["--dump", "dump.csv"], &options.collect::<Vec<_>>()[..]].concat(), code).0;
        people(&report)
    };
    // The keyring alone, and the key-encryption key alone, open nothing.
    assert_eq!(had(&["keyring"], 0), [12, 0, 0, 12, 0, 0, 0]);
    assert_eq!(had(&[&kek], 0), [12, 0, 0, 12, 0, 0, 0]);
    assert_eq!(had(&["keyring", &kek], 1), [12, 12, 0, 0, 0, 0, 0]);
    assert_eq!(had(&["service"], 1), [12, 12, 0, 0, 0, 0, 0]);

    std::thread::sleep(std::time::Duration::from_millis(1100));
    theft.end_old(&[]);
    assert_eq!(had(&[], 0), [12, 0, 0, 6, 6, 0, 0]);
    let before = listed["keys"][1]["created"].as_str().unwrap();
    let [now, later] = ["2999-01-01T00:00:00Z"; 2];
    let at = |moment: &str, what: &[&str]| {
        let mut options = vec!["--dump", "dump.csv", "--at", moment];
        options.extend(what.iter().flat_map(|what| ["--thief-had", what]));
        people(&theft.report(&options, 1).0)
    };
    // A thief from before its end had the key. A later one has it only from an old copy of the keyring.
    assert_eq!(at(before, &["keyring", &kek]), [12, 12, 0, 0, 0, 0, 0]);
    assert_eq!(at(now, &["keyring", &kek]), [12, 6, 0, 0, 6, 0, 0]);
    assert_eq!(at(later, &["old-keyrings", &kek]), [12, 12, 0, 0, 0, 0, 0]);
    assert_eq!(at(now, &["service"]), [12, 6, 0, 0, 6, 0, 0]);

    // A keyring that lies in the dump was stolen with it.
    let keyring = fs::read_to_string(theft.place.path("keyring.json")).unwrap().replace('"', "\"\"");
    theft.write("with.csv", format!("{}99,\"{keyring}\",\n", theft.csv()));
    let (report, _) = theft.report(&["--dump", "with.csv", "--thief-had", &kek], 1);
    assert_eq!(people(&report), [12, 12, 0, 0, 0, 0, 0]);
    assert!(report["thief_had"].to_string().contains("stands in the dump"));

    for (what, code, said) in [
        ("kek=QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=", 1, "ever wrapped a key of the keyring, which are `local:"),
        ("everything", 2, "is one of `keyring`"),
    ] {
        let (_, message) = theft.report(&["--dump", "dump.csv", "--thief-had", what], code);
        assert!(message.contains(said) && !message.contains("QUJD"), "{message}");
    }
}

#[test]
fn a_shredded_key_is_shown_with_its_receipt() {
    let theft = Theft::new();
    theft.write("dump.csv", theft.csv());
    // The second key moves to a key-encryption key of its own, so that the first one can be destroyed.
    theft.place.run(&["keys", "init", "--name", "x", "--create-kek", "--kek=file:kek-2", "--keyring=other.json"]);
    let both = "file:kek,file:kek-2";
    let kek = theft.place.run(&["keys", "list"])["keys"][0]["kek"].as_str().unwrap().to_owned();
    theft.end_old(&["--kek", both]);
    theft.place.run(&["keys", "rewrap", "--from", &kek, "--kek", both, "--yes"]);
    theft.place.run(&["keys", "authenticate", "--kek", both, "--yes"]);
    theft.place.run(&["keys", "shred", &kek, "--receipt", "deleted <b>& gone", "--kek", both, "--yes"]);
    let arguments = ["--dump", "dump.csv", "--kek", both, "--html", "report.html"];
    let (report, said) = theft.report(&arguments, 0);
    assert_eq!(people(&report), [12, 0, 0, 6, 0, 6, 0], "{said}");
    let shredded = report["keys"].as_array().unwrap().iter().find(|key| key["standing"] == "shredded").unwrap();
    assert_eq!(shredded["receipt"], "deleted <b>& gone");

    let page = fs::read_to_string(theft.place.path("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("deleted &lt;b&gt;&amp; gone") && !page.contains("<b>"), "{page}");
    for forbidden in ["<script", "http-equiv=\"refresh", "src=", "href=", "url(", "fs1.", "javascript:"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let addresses = page.matches("http://").count() + page.matches("https://").count();
    assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    // The page is not overwritten.
    assert!(theft.report(&arguments, 1).1.contains("exists already"));
}

#[test]
fn values_in_the_clear_count_where_a_policy_tags_them() {
    let theft = Theft::new();
    let dump = format!("{}12,,+6591000012\n13,Tan Wei Ming,\n14,,\n", theft.csv().replace("phone\n", "tel\n"));
    theft.write("dump.csv", &dump);
    let (report, _) = theft.report(&["--dump", "dump.csv"], 0);
    assert_eq!(people(&report), [12, 0, 0, 12, 0, 0, 0]);
    let policy = ["--dump", "dump.csv", "--policy", "policy.toml", "--threshold", "2"];
    let (report, _) = theft.report(&policy, 1);
    assert_eq!(people(&report), [13, 1, 0, 12, 0, 0, 1]);
    let (report, _) = theft.report(&[&policy[..], &["--column", "tel=phone", "--assessed", "2026-12-30"]].concat(), 1);
    assert_eq!(people(&report), [14, 2, 0, 12, 0, 0, 2]);
    let notice = &report["notice"];
    assert_eq!((&notice["exposed_reaches_threshold"], &notice["notify_by"]), (&json!(true), &json!("2027-01-02")));
    let (_, said) = theft.report(&[&policy[..], &["--column", "tel=fax"]].concat(), 1);
    assert!(said.contains("no field `fax`"), "{said}");

    // A value of any type in a document.
    theft
        .write("dump.json", "{\"phone\": 6591000012, \"name\": null}\n{\"name\": {\"first\": \"Tan Wei Ming\"}}\n{}\n");
    let (report, _) = theft.report(&["--dump", "dump.json", "--policy", "policy.toml"], 1);
    assert_eq!(people(&report), [2, 2, 0, 0, 0, 0, 2]);
}

#[test]
fn a_record_counts_once_by_the_worst_of_its_values() {
    let (theft, other) = (Theft::new(), Theft::new());
    let ([name, phone], [_, foreign]) = (&theft.rows[0], &other.rows[0]);
    let rows = [
        (name.as_str(), "+6591000012", [1, 1, 0, 0, 0, 0, 1]),
        (name, foreign, [1, 0, 1, 0, 0, 0, 0]),
        ("Tan Wei Ming", foreign, [1, 1, 0, 0, 0, 0, 1]),
        (name, phone, [1, 0, 0, 1, 0, 0, 0]),
    ];
    for (name, phone, expected) in rows {
        theft.write("dump.csv", format!("name,phone\n{name},{phone}\n"));
        let (report, _) = theft.report(&["--dump", "dump.csv", "--policy", "policy.toml"], i32::from(expected[3] == 0));
        assert_eq!(people(&report), expected);
    }
}

#[test]
fn keys_that_are_in_no_keyring_count_as_if_they_were_exposed() {
    let (theft, other) = (Theft::new(), Theft::new());
    theft.write("dump.csv", format!("{}{}", theft.csv(), other.csv().replace("id,name,phone\n", "")));
    let (report, _) = theft.report(&["--dump", "dump.csv"], 1);
    assert_eq!(people(&report), [24, 0, 12, 12, 0, 0, 0]);
    assert_eq!(report["notice"]["exposed_at_most"], 12);
    let unknown = report["keys"].as_array().unwrap().iter().find(|key| key["id"] == other.old.as_str()).unwrap();
    assert!(unknown["meaning"].as_str().unwrap().starts_with("not in this keyring"), "{unknown}");

    for name in ["keyring.json", "kek"] {
        fs::copy(other.place.path(name), theft.place.path(&format!("other-{name}"))).unwrap();
    }
    let both = ["--dump", "dump.csv", "--other-keyring", "other-keyring.json", "--kek", "file:kek,file:other-kek"];
    assert_eq!(people(&theft.report(&both, 0).0), [24, 0, 0, 24, 0, 0, 0]);
}

#[test]
fn a_dump_that_was_cut_or_damaged_is_counted_as_far_as_it_goes() {
    let theft = Theft::new();
    let each = |line: &dyn Fn(&[String; 2]) -> String| theft.rows.iter().map(line).collect::<Vec<_>>().concat();
    let rows = each(&|[name, phone]| format!("{name}\t{phone}\n"));
    let copy = format!("COPY customers (name, phone) FROM stdin;\n{rows}");
    let end = copy.len();
    let inserts = each(&|[name, phone]| format!("INSERT INTO c VALUES ('{name}','{phone}');\n"));
    let csv = theft.csv();
    let lines = each(&|[name, _]| format!("{{\"name\":\"{name}\"}}\n"));
    for (name, dump, touched) in [
        ("no-end.sql", &copy[..], 12),
        ("within.sql", &copy[..end - 20], 12),
        ("inserts.sql", &inserts[..inserts.len() - 20], 12),
        ("cut.csv", &csv[..csv.len() - 125], 12),
        ("cut.json", &lines[..lines.len() - 20], 11),
        ("other.json", &format!("{lines}<html>"), 12),
    ] {
        theft.write(name, dump);
        let (report, said) = theft.report(&["--dump", name], 1);
        assert_eq!(
            (&report["is_complete"], &report["people"]["touched"]),
            (&json!(false), &json!(touched)),
            "{name}: {report}"
        );
        assert!(said.contains("not read to its end") && report["fault"].is_string(), "{name}: {said}");
        let tokens: u64 = report["keys"].as_array().unwrap().iter().map(|key| key["tokens"].as_u64().unwrap()).sum();
        assert_eq!(tokens, dump.matches("fs1.").count() as u64, "{name}");
    }
    // What is left of a token is one: who has the key reads it.
    theft.write("short.csv", format!("id,phone\n1,{}\n", &theft.rows[0][1][..60]));
    let (report, _) = theft.report(&["--dump", "short.csv"], 0);
    assert_eq!((people(&report)[0], &report["places"][0]["damaged"]), (1, &json!(1)));
}

#[test]
fn what_cannot_be_reported_on_is_refused_with_what_to_do() {
    let theft = Theft::new();
    theft.write("empty", "");
    theft.write("blank", "\n\n");
    theft.write("dump.gz", b"\x1f\x8b\x08\0\0\0");
    theft.write("dump.pg", b"PGDMP\x01");
    theft.write("dump.csv", theft.csv());
    theft.write("broken.json", "{\"format\": \"other\"}");
    fs::copy(theft.place.path("keyring.json"), theft.place.path("open.json")).unwrap();
    for (arguments, code, said) in [
        (&["--dump", "missing.csv"][..], 1, "`missing.csv` cannot be read"),
        (&["--dump", "."], 1, "cannot be read"),
        (&["--dump", "empty"], 1, "the dump is empty"),
        (&["--dump", "blank"], 1, "the dump is empty"),
        (&["--dump", "dump.gz"], 1, "unpack it first"),
        (&["--dump", "dump.pg"], 1, "pg_restore"),
        (&[], 2, "--dump"),
        (&["--dump", "dump.csv", "--keyring", "missing.json"], 1, "missing.json"),
        (&["--dump", "dump.csv", "--keyring", "broken.json"], 1, "broken.json"),
        (&["--dump", "dump.csv", "--kek", "file:missing"], 1, "missing"),
        (&["--dump", "dump.csv", "--assessed", "yesterday"], 2, "2026-11-24"),
        (&["--dump", "dump.csv", "--at", "yesterday"], 2, "2026-11-24T03:41:00Z"),
        (&["--dump", "dump.csv", "--policy", "missing.toml"], 1, "missing.toml"),
    ] {
        let (report, message) = theft.report(arguments, code);
        assert!(message.contains(said) && report.is_null(), "{arguments:?}: {message}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let keyring = theft.place.path("open.json");
        fs::set_permissions(keyring, fs::Permissions::from_mode(0o644)).unwrap();
        let (_, message) = theft.report(&["--dump", "dump.csv", "--keyring", "open.json"], 1);
        assert!(message.contains("open.json") && message.contains("chmod 600"), "{message}");
    }

    // Without its key-encryption key, a keyring is believed only where that is asked for.
    let mut command = theft.place.command(&["breach-report", "--dump", "dump.csv"]);
    let output = command.env_remove("FIELDSEAL_KEK_SPEC").output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--unauthenticated"));
    let altered = fs::read_to_string(theft.place.path("keyring.json")).unwrap().replace("\"enabled\"", "\"disabled\"");
    fs::write(theft.place.path("keyring.json"), altered).unwrap();
    assert!(theft.report(&["--dump", "dump.csv"], 1).1.contains("was altered"));
    let (report, _) = theft.report(&["--dump", "dump.csv", "--unauthenticated"], 0);
    assert!(report["notes"].to_string().contains("nothing proves what it says"), "{report}");
}

#[test]
fn the_text_for_a_person_has_the_figures() {
    let theft = Theft::new();
    theft.write("dump.csv", format!("{}12,,+6591000012\n", theft.csv()));
    let arguments = ["breach-report", "--dump", "dump.csv", "--policy", "policy.toml", "--threshold", "13"];
    let output = theft.place.command(&arguments).output().unwrap();
    let told = text(&output.stdout);
    for line in [
        "people     13 (records",
        "         1  exposed: 1 of them with values in the clear",
        "        12  closed, under keys that are alive",
        "  phone: 13 people, 12 tokens, 1 values in the clear, 1 people exposed",
        "  data taken of at most 13 people: threshold of 13 reached",
        "  exposed at least 1, at most 1 people: threshold of 13 not reached",
        "notify within 3 calendar days",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("fs1.") && !told.contains("6591"), "{told}");
}

#[test]
fn names_in_a_dump_that_somebody_made_up_harm_nobody() {
    let theft = Theft::new();
    let token = &theft.rows[0][0];
    theft.write(
        "dump.sql",
        format!(
            "COPY \"<script>alert(1)</script>\" (id, \"a\u{1b}[31m\u{202e}b&'\", \"{token}\") FROM stdin;\n1\t{token}\t{token}\n"
        ),
    );
    let (_, said) = theft.report(&["--dump", "dump.sql", "--html", "report.html"], 1);
    let told = theft.place.command(&["breach-report", "--dump", "dump.sql"]).output().unwrap();
    let page = fs::read_to_string(theft.place.path("report.html")).unwrap();
    for shown in [&said, &text(&told.stdout), &text(&told.stderr), &page] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}']) && !shown.contains("fs1."), "{shown}");
    }
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;") && page.contains("b&amp;&#39;"), "{page}");
}
