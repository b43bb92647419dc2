//! Proves that the transformer and `serde_json` agree on what is JSON and on which values the policy tags.
//!
//! Where they may differ, and nowhere else:
//!
//! - **Depth.** Objects and arrays in each other: 128 here. `serde_json` allows 127 where it builds values and counts
//!   nothing where it skips them (`IgnoredAny`, `RawValue`).
//! - **UTF-8.** `IgnoredAny` skips strings without looking at their encoding; here invalid UTF-8 is refused everywhere.
//! - **Lone surrogates** such as `\ud800` are valid by RFC 8259 and pass here; `serde_json` passes them where it skips
//!   strings and refuses them where it builds them. A name that holds one equals no name of a policy.
//! - **Numbers** out of the range of `f64` pass here as they are; `serde_json` refuses to build them.
//!
//! A byte order mark is refused by both. The reference for accepting is therefore valid UTF-8, `IgnoredAny`, and 128.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

const DEEPEST: usize = 128;

/// One segment of a path.
#[derive(Clone, Debug)]
struct Step {
    descendant: bool,
    pick: Pick,
}

#[derive(Clone, Debug)]
enum Pick {
    Name(&'static str),
    Index(usize),
    Any,
}

/// The paths of each field.
type Paths = Vec<Vec<Vec<Step>>>;

/// A document as `serde_json` reads it, in order and with its duplicates. Every node keeps its own text.
#[derive(Debug)]
struct Tree {
    text: String,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Scalar,
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// The place of a node: which child to take at each level.
type Address = Vec<usize>;

/// Parts of names and texts, in several spellings.
const PIECES: &[&str] = &[
    "a",
    "b",
    "phone",
    "\\u0061",
    "ph\\u006Fne",
    "\\n",
    "\\/",
    "/",
    "\\\\",
    "\\\"",
    "\u{e9}",
    "\\u00e9",
    "\\u00E9",
    "\u{674e}",
    "\u{1f600}",
    "\\ud83d\\ude00",
    "\\u0000",
    " ",
    "fs1.",
    "\u{7f}",
    "\u{2028}",
    "\\b\\f\\r\\t",
    "{",
    "]",
    ",",
    ":",
    "0",
    "1",
];
const NAMES: &[&str] = &[
    "a",
    "\\u0061",
    "b",
    "\\u0062",
    "c",
    "phone",
    "ph\\u006fne",
    "\\u0070\\u0068\\u006f\\u006e\\u0065",
    "a b",
    "a\\u0020b",
    "\u{e9}",
    "\\u00e9",
    "\u{1f600}",
    "\\ud83d\\ude00",
    "",
    "0",
    "\\u0030",
    "1",
    "A",
    "a\\u0000",
    "it's",
    "it\\u0027s",
];
const POLICY_NAMES: &[&str] = &["a", "b", "c", "phone", "a b", "\u{e9}", "\u{1f600}", "", "0", "1", "it's", "a\0"];
const SCALARS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "0.0",
    "1.10",
    "-12.5e-3",
    "1e5",
    "1E+5",
    "0e0",
    "1e400",
    "-1e-400",
    "123456789012345678901234567890",
    "true",
    "false",
    "null",
    "null",
    "\"\"",
    "\"a\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
];
const BLANKS: &[&str] = &["", "", "", "", " ", "\n", "\t", "\r\n", "  "];
/// What mutations put in.
const NOISE: &[u8] = b"{}[]\",:\\/ue0123456789.+-tfnrlasE \t\r\n\x00\x01\x0b\x0c\x1f\x7f\x80\xbf\xc0\xc1\xc2\xc3\xe0\xe6\xed\xef\xbb\xf0\xf4\xf5\xff'x_#";

fn blank() -> impl Strategy<Value = &'static str> {
    select(BLANKS)
}

fn scalar() -> impl Strategy<Value = String> {
    let text = vec(select(PIECES), 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    prop_oneof![select(SCALARS).prop_map(str::to_owned), text]
}

fn name() -> impl Strategy<Value = String> {
    let any = vec(select(PIECES), 0..3).prop_map(|pieces| pieces.concat());
    let frequent = select(&["a", "a", "b", "b", "c", "phone", "ph\\u006fne"][..]);
    prop_oneof![
        20 => frequent.prop_map(str::to_owned),
        12 => select(NAMES).prop_map(str::to_owned),
        4 => any,
        1 => Just("a\\ud800".to_owned()),
    ]
}

fn document() -> impl Strategy<Value = String> {
    let value = scalar().prop_recursive(5, 32, 4, |value| {
        let element =
            (blank(), value.clone(), blank()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (blank(), name(), blank(), blank(), value, blank())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"));
        prop_oneof![
            1 => (vec(element, 0..4), blank()).prop_map(|(elements, blank)| {
                let inside = if elements.is_empty() { blank.to_owned() } else { elements.join(",") };
                format!("[{inside}]")
            }),
            2 => (vec(member, 0..4), blank()).prop_map(|(members, blank)| {
                let inside = if members.is_empty() { blank.to_owned() } else { members.join(",") };
                format!("{{{inside}}}")
            }),
        ]
    });
    let listed = vec(value, 1..5).prop_map(|values| format!("[{}]", values.join(",")));
    let root = prop_oneof![
        1 => listed.clone(),
        2 => (name(), listed.clone(), name(), listed).prop_map(|(a, x, b, y)| format!("{{\"{a}\":{x},\"{b}\":{y}}}")),
    ];
    (blank(), root, blank()).prop_map(|(before, root, after)| format!("{before}{root}{after}"))
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Put(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Cut(Index),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        3 => (at(), select(NOISE)).prop_map(|(at, byte)| Mutation::Put(at, byte)),
        3 => (at(), select(NOISE)).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => at().prop_map(Mutation::Delete),
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutated(document: String, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = document.into_bytes();
    for mutation in mutations {
        let length = bytes.len();
        match *mutation {
            Mutation::Insert(at, byte) => bytes.insert(at.index(length + 1), byte),
            Mutation::Cut(at) => bytes.truncate(at.index(length + 1)),
            _ if length == 0 => {}
            Mutation::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Mutation::Put(at, byte) => bytes[at.index(length)] = byte,
            Mutation::Delete(at) => drop(bytes.remove(at.index(length))),
            Mutation::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

fn step() -> impl Strategy<Value = Step> {
    let pick = prop_oneof![
        3 => select(&["a", "b", "c", "phone"][..]).prop_map(Pick::Name),
        3 => select(POLICY_NAMES).prop_map(Pick::Name),
        1 => (0..3usize).prop_map(Pick::Index),
        2 => Just(Pick::Any),
    ];
    (prop::bool::weighted(0.3), pick).prop_map(|(descendant, pick)| Step { descendant, pick })
}

fn paths() -> impl Strategy<Value = Paths> {
    let one_field = vec(vec(step(), 1..4), 1..4).prop_map(|paths| vec![paths]);
    let fields = vec(vec(vec(step(), 1..4), 1..3), 2..4);
    prop_oneof![one_field, fields]
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dots = if self.descendant { ".." } else { "" };
        match self.pick {
            Pick::Name(name) => {
                let name = name.replace('\\', "\\\\").replace('\'', "\\'").replace('\0', "\\u0000");
                write!(f, "{dots}['{name}']")
            }
            Pick::Index(index) => write!(f, "{dots}[{index}]"),
            Pick::Any => write!(f, "{dots}[*]"),
        }
    }
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32]))));

/// Makes a cipher, unless the paths overlap or hide each other.
fn cipher(paths: &Paths) -> Option<FieldCipher> {
    let mut policy = Policy::builder("documents");
    for (number, paths) in paths.iter().enumerate() {
        let mut field = Field::new(format!("field {number}"), Tag::Text);
        for path in paths {
            field = field.path(path.iter().fold("$".to_owned(), |text, step| format!("{text}{step}")));
        }
        policy = policy.field(field);
    }
    Some(FieldCipher::new(policy.build().ok()?, KEYS.clone()))
}

fn plain_cipher() -> FieldCipher {
    cipher(&plain_paths()).unwrap()
}

/// What RFC 8259 allows, with UTF-8 (section 8.1) and a bound on depth (section 9).
fn is_acceptable(document: &[u8]) -> bool {
    str::from_utf8(document).is_ok()
        && serde_json::from_slice::<IgnoredAny>(document).is_ok()
        && depth(document) <= DEEPEST
}

/// How deep containers stand in each other in a valid document.
fn depth(document: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut after_backslash) = (0, 0, false, false);
    for byte in document {
        match (in_string, byte) {
            (true, _) if after_backslash => after_backslash = false,
            (true, b'\\') => after_backslash = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Reads a document with `serde_json`, or returns nothing where a name holds a lone surrogate.
fn tree(text: &str) -> Option<Tree> {
    struct Children;

    impl<'de> Visitor<'de> for Children {
        type Value = Option<Node>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut children = Vec::new();
            while let Some(element) = elements.next_element::<&RawValue>()? {
                let Some(child) = tree(element.get()) else { return Ok(None) };
                children.push(child);
            }
            Ok(Some(Node::Array(children)))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut children = Vec::new();
            while let Some((name, member)) = members.next_entry::<String, &RawValue>()? {
                let Some(child) = tree(member.get()) else { return Ok(None) };
                children.push((name, child));
            }
            Ok(Some(Node::Object(children)))
        }
    }

    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let node = if text.starts_with(['{', '[']) {
        serde_json::Deserializer::from_str(text).deserialize_any(Children).ok()??
    } else {
        Node::Scalar
    };
    Some(Tree { text: text.to_owned(), node })
}

/// RFC 9535, section 2.1.2: each segment turns a list of nodes into the next. Every member of a repeated name counts.
fn select_nodes(root: &Tree, path: &[Step]) -> Vec<Address> {
    let mut nodes = vec![(Address::new(), root)];
    for step in path {
        if step.descendant {
            nodes = nodes.into_iter().flat_map(|(address, node)| with_descendants(&address, node)).collect();
        }
        nodes = nodes
            .into_iter()
            .flat_map(|(address, node)| children(node).into_iter().map(move |child| (address.clone(), child)))
            .filter(|(_, (place, name, _))| match step.pick {
                Pick::Any => true,
                Pick::Name(wanted) => *name == Some(wanted),
                Pick::Index(wanted) => name.is_none() && *place == wanted,
            })
            .map(|(address, (place, _, child))| ([address, vec![place]].concat(), child))
            .collect();
    }
    nodes.into_iter().map(|(address, _)| address).collect()
}

/// Returns whether an array stands where a path comes without a wildcard and goes on by a name.
fn has_misplaced_array(root: &Tree, paths: &Paths) -> bool {
    let at = |address: &Address| address.iter().fold(root, |node, place| children(node)[*place].2);
    paths.iter().flatten().any(|path| {
        (0..path.len()).any(|matched| {
            let goes_on_by_name = !path[matched].descendant && matches!(path[matched].pick, Pick::Name(_));
            let came_by_wildcard = matched > 0 && matches!(path[matched - 1].pick, Pick::Any);
            // Behind a wildcard only what stands in an array itself is known not to be one.
            let is_misplaced = |address: &Address| {
                let is_array = |address: &Address| matches!(at(address).node, Node::Array(_));
                let around = address.split_last().map(|(_, around)| around.to_vec());
                is_array(address) && (!came_by_wildcard || around.is_some_and(|around| is_array(&around)))
            };
            goes_on_by_name && select_nodes(root, &path[..matched]).iter().any(is_misplaced)
        })
    })
}

fn with_descendants<'t>(address: &Address, node: &'t Tree) -> Vec<(Address, &'t Tree)> {
    let mut nodes = vec![(address.clone(), node)];
    for (place, _, child) in children(node) {
        nodes.extend(with_descendants(&[&address[..], &[place]].concat(), child));
    }
    nodes
}

fn children(node: &Tree) -> Vec<(usize, Option<&str>, &Tree)> {
    match &node.node {
        Node::Scalar => Vec::new(),
        Node::Array(elements) => (0..).zip(elements).map(|(place, child)| (place, None, child)).collect(),
        Node::Object(members) => {
            (0..).zip(members).map(|(place, (name, child))| (place, Some(&**name), child)).collect()
        }
    }
}

/// Compares what went in with what came out, and returns how many values were replaced by tokens.
fn compare(
    cipher: &FieldCipher,
    selected: &HashMap<Address, usize>,
    address: &Address,
    input: &Tree,
    output: &Tree,
) -> usize {
    if let Some(field) = selected.get(address)
        && input.text != "null"
    {
        let token: String = serde_json::from_str(&output.text).unwrap();
        assert!(token.starts_with("fs1."), "at {address:?} no token stands but {}", output.text);
        let value: Box<RawValue> = cipher.decrypt_value(&format!("field {field}"), &token).unwrap();
        assert_eq!(value.get(), input.text);
        return 1;
    }
    let (before, after) = (children(input), children(output));
    assert_eq!(before.len(), after.len());
    if before.is_empty() {
        assert_eq!(input.text, output.text, "at {address:?}");
    }
    let pairs = before.into_iter().zip(after);
    pairs
        .map(|((place, name, input), (_, name_after, output))| {
            assert_eq!(name, name_after);
            compare(cipher, selected, &[&address[..], &[place]].concat(), input, output)
        })
        .sum()
}

/// Holds one document against the references.
fn check(cipher: &FieldCipher, paths: &Paths, document: &[u8], cut: usize) -> Outcome {
    let encrypted = cipher.encrypt_json(document);
    let mut stream = cipher.json_encryptor();
    let mut in_two = Vec::new();
    let cut_result = stream
        .feed(&document[..cut], &mut in_two)
        .and_then(|()| stream.feed(&document[cut..], &mut in_two))
        .and_then(|()| stream.finish(&mut in_two));
    let stored = match (encrypted, is_acceptable(document)) {
        (Ok(stored), true) => stored,
        (Err(error), false) => {
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert_eq!(cut_result.unwrap_err().to_string(), error.to_string());
            return Outcome::Refused;
        }
        (Ok(_), false) => panic!("accepted what the reference refuses"),
        (Err(error), true) if error.kind() == ErrorKind::Refused => {
            let tree = tree(str::from_utf8(document).unwrap());
            assert!(tree.is_none_or(|tree| has_misplaced_array(&tree, paths)), "{error}");
            assert_eq!(cut_result.unwrap_err().to_string(), error.to_string());
            return Outcome::Misplaced;
        }
        (Err(error), true) => panic!("refused what the reference accepts: {error}"),
    };
    cut_result.unwrap();
    assert_eq!(cipher.decrypt_json(&stored).unwrap(), document);
    assert_eq!(cipher.decrypt_json(&in_two).unwrap(), document);
    let [input, output] = [document, &stored].map(|text| tree(str::from_utf8(text).unwrap()));
    let (Some(input), Some(output)) = (input, output) else { return Outcome::Unbuildable };
    let selected = paths.iter().enumerate().flat_map(|(field, paths)| {
        paths
            .iter()
            .flat_map(|path| select_nodes(&input, path))
            .map(move |address| (address, field))
            .collect::<Vec<_>>()
    });
    Outcome::Accepted(compare(cipher, &selected.collect(), &Address::new(), &input, &output))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Refused,
    /// Refused because an array stands where a path knows the members of an object.
    Misplaced,
    /// Accepted by both, but a name holds a lone surrogate, so no structure can be compared.
    Unbuildable,
    /// So many values were replaced.
    Accepted(usize),
}

fn plain_paths() -> Paths {
    let step = |descendant, name| Step { descendant, pick: Pick::Name(name) };
    vec![vec![vec![step(true, "phone")]], vec![vec![step(true, "a"), step(true, "b")]]]
}

/// Runs `check` over `cases` random inputs, and reports how many had each outcome.
fn run<S: Strategy>(cases: u32, strategy: S, mut check: impl FnMut(S::Value) -> Outcome) -> (u32, u32, u32, usize) {
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::with_cases(cases) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let counts = std::cell::Cell::new((0, 0, 0, 0));
    let check = std::cell::RefCell::new(&mut check);
    let result = runner.run(&strategy, |input| {
        let (accepted, refused, unbuildable, tokens) = counts.get();
        counts.set(match (check.borrow_mut())(input) {
            Outcome::Accepted(more) => (accepted + 1, refused, unbuildable, tokens + more),
            Outcome::Refused => (accepted, refused + 1, unbuildable, tokens),
            Outcome::Misplaced => (accepted, refused, unbuildable, tokens),
            Outcome::Unbuildable => (accepted, refused, unbuildable + 1, tokens),
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    counts.get()
}

#[test]
fn valid_documents_keep_their_structure_and_only_what_a_reference_matcher_selects_becomes_a_token() {
    let (accepted, refused, unbuildable, tokens) =
        run(7500, (document(), paths(), any::<Index>()), |(document, paths, cut)| {
            let policy = cipher(&paths);
            // Paths that no policy may have together still meet the document, under a policy that always stands.
            let (cipher, paths) = match policy {
                Some(cipher) => (cipher, paths),
                None => (plain_cipher(), plain_paths()),
            };
            let cut = cut.index(document.len() + 1);
            check(&cipher, &paths, document.as_bytes(), cut)
        });
    assert_eq!(refused, 0);
    assert!(accepted > 4500 && unbuildable > 50 && tokens > 3000, "{accepted} {unbuildable} {tokens}");
}

#[test]
fn mutated_documents_are_accepted_or_refused_as_by_serde_json() {
    let (cipher, paths) = (plain_cipher(), plain_paths());
    let inputs = (document(), vec(mutation(), 1..3), any::<Index>());
    let (accepted, refused, _, tokens) = run(14_000, inputs, |(document, mutations, cut)| {
        let document = mutated(document, &mutations);
        let cut = cut.index(document.len() + 1);
        check(&cipher, &paths, &document, cut)
    });
    assert!(accepted > 1000 && refused > 5000 && tokens > 500, "{accepted} {refused} {tokens}");
}

#[test]
fn noise_is_accepted_or_refused_as_by_serde_json() {
    let (cipher, paths) = (plain_cipher(), plain_paths());
    let (accepted, refused, ..) =
        run(4000, vec(select(NOISE), 0..8), |document| check(&cipher, &paths, &document, document.len() / 2));
    assert!(accepted > 10 && refused > 3000, "{accepted} {refused}");
}

#[test]
fn every_short_text_is_accepted_or_refused_as_by_serde_json() {
    let cipher = plain_cipher();
    let mut accepted = 0;
    for (alphabet, longest) in [
        (&b"{}[]\",:\\ue0123.+-tn \n\x00\x7f\x80\xc3"[..], 3),
        (b"[]{}\",:0 ", 6),
        (b"-+.eE01 ]", 5),
        (b"\"\\ud8\xc3\xa9\x1f", 6),
    ] {
        for length in 0..=longest {
            for number in 0..alphabet.len().pow(length) {
                let mut rest = number;
                let document: Vec<u8> = (0..length)
                    .map(|_| {
                        let byte = alphabet[rest % alphabet.len()];
                        rest /= alphabet.len();
                        byte
                    })
                    .collect();
                let is_accepted = cipher.encrypt_json(&document).is_ok();
                assert_eq!(is_accepted, is_acceptable(&document), "{}", document.escape_ascii());
                accepted += u32::from(is_accepted);
            }
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn every_line_is_accepted_or_refused_as_by_serde_json() {
    let cipher = plain_cipher();
    let line = (document(), vec(mutation(), 0..2)).prop_map(|(document, mutations)| mutated(document, &mutations));
    let inputs = (vec(line, 0..4), vec(select(&["\n", "\r\n", "\n\n", " \n\t"][..]), 4), any::<Index>());
    let (accepted, refused, ..) = run(3000, inputs, |(lines, breaks, cut)| {
        let joined: Vec<u8> = lines.iter().zip(&breaks).flat_map(|(line, br)| [line, br.as_bytes()].concat()).collect();
        let is_blank = |line: &[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        let expected = joined.split(|&byte| byte == b'\n').all(|line| is_blank(line) || is_acceptable(line));
        let feed = |mut stream: fieldseal::JsonStream, text: &[u8]| {
            let mut out = Vec::new();
            let (one, other) = text.split_at(cut.index(text.len() + 1));
            stream.feed(one, &mut out)?;
            stream.feed(other, &mut out)?;
            stream.finish(&mut out)?;
            Ok::<_, fieldseal::Error>(out)
        };
        let stored = feed(cipher.ndjson_encryptor(), &joined);
        assert_eq!(stored.is_ok(), expected, "{stored:?}");
        let Ok(stored) = stored else { return Outcome::Refused };
        assert_eq!(feed(cipher.ndjson_decryptor(), &stored).unwrap(), joined);
        Outcome::Accepted(0)
    });
    assert!(accepted > 500 && refused > 500, "{accepted} {refused}");
}

#[test]
fn containers_stand_in_each_other_to_128_and_no_deeper() {
    let cipher = plain_cipher();
    let shapes: [(&str, &str); 5] =
        [("[", "]"), ("{\"x\":", "}"), ("{\"phone\":", "}"), ("[ 0 ,", "]"), ("{\"a\":", "}")];
    for depth in 1..=140 {
        for (open, close) in shapes {
            for core in ["0", "[]", "{}", "\"x\""] {
                let document = format!("{}{core}{}", open.repeat(depth), close.repeat(depth));
                let own = depth + usize::from(core == "[]" || core == "{}");
                let is_accepted = cipher.encrypt_json(document.as_bytes()).is_ok();
                assert_eq!(is_accepted, own <= DEEPEST, "{own} of {open}");
                let is_built = serde_json::from_str::<serde_json::Value>(&document).is_ok();
                assert_eq!(is_built, own < DEEPEST, "{own} of {open}, built by serde_json");
                assert!(
                    serde_json::from_str::<IgnoredAny>(&document).is_ok(),
                    "{own} of {open}, skipped by serde_json"
                );
            }
        }
    }
    for open in ["[", "{\"x\":", "{\"phone\":", "[[{\"phone\":"] {
        let error = cipher.encrypt_json(open.repeat(200_000).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains("nested deeper than 128"), "{error}");
    }
}

#[test]
fn random_nesting_around_the_bound_is_accepted_or_refused_as_stated() {
    let (cipher, paths) = (plain_cipher(), plain_paths());
    let shapes =
        &[("[", "]"), ("{\"x\":", "}"), ("{\"phone\":", "}"), ("{\"a\":", "}"), ("{\"b\":", "}"), ("[1,", "]")][..];
    let (accepted, refused, ..) = run(600, (vec(select(shapes), 122..132), document()), |(shapes, core)| {
        let open: String = shapes.iter().map(|(open, _)| *open).collect();
        let close: String = shapes.iter().rev().map(|(_, close)| *close).collect();
        let document = format!("{open}{core}{close}");
        check(&cipher, &paths, document.as_bytes(), document.len() / 3)
    });
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

#[test]
fn where_the_parsers_differ_is_as_stated() {
    let cipher = plain_cipher();
    let accepts = |document: &[u8]| cipher.encrypt_json(document).is_ok();
    let builds = |document: &[u8]| serde_json::from_slice::<serde_json::Value>(document).is_ok();
    let skips = |document: &[u8]| serde_json::from_slice::<IgnoredAny>(document).is_ok();
    for (document, accepted, built, skipped) in [
        (&b"\"\\ud800\""[..], true, false, true),
        (b"{\"\\udc00\":1}", true, false, true),
        (b"1e999", true, false, true),
        (b"\"\xff\"", false, false, true),
        (b"\"\xed\xa0\x80\"", false, false, true),
        (b"{\"\xc0\x80\":1}", false, false, true),
        (b"\xef\xbb\xbf{}", false, false, false),
        (b"{}\x00", false, false, false),
    ] {
        let name = document.escape_ascii();
        assert_eq!((accepts(document), builds(document), skips(document)), (accepted, built, skipped), "{name}");
    }
}
