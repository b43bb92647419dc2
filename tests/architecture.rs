//! Proves that imports run downward only, that no file is long, and that what does not belong in a library is not there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 400;

/// What each module may import beside itself: a module, or a part of one.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("layer", &["cipher", "json", "keys", "policy", "crypto", "audit", "metrics", "percent", "secret", "error"]),
    ("sql", &["cipher", "error"]),
    (
        "reencrypt",
        &["cipher", "keys", "policy", "crypto::key_id", "crypto::random", "copy_text", "database_cause", "error"],
    ),
    (
        "breach",
        &["keys", "policy", "crypto::index_key", "crypto::key_id", "crypto::token", "copy_text", "timestamp", "error"],
    ),
    ("redact", &["policy", "crypto::token_search"]),
    ("cipher", &["json", "keys", "policy", "text", "crypto", "audit", "metrics", "secret", "timestamp", "error"]),
    ("openapi", &["policy", "percent", "timestamp", "error"]),
    ("json", &["policy", "secret", "error"]),
    ("keys", &["crypto", "audit", "database_cause", "secret", "timestamp", "error"]),
    ("policy", &["text", "crypto::padding", "timestamp", "error"]),
    ("text", &["error"]),
    ("crypto", &["secret", "error"]),
    ("metrics", &["policy", "audit", "error"]),
    ("memory", &["error"]),
    ("audit", &["crypto::key_id"]),
    ("copy_text", &[]),
    ("database_cause", &[]),
    ("percent", &[]),
    ("secret", &["crypto::random", "error"]),
    ("timestamp", &["error"]),
    ("error", &[]),
    ("docs", &[]),
];

/// Macros that talk past the caller, or stand for what is not written yet.
const NO_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg", "todo", "unimplemented"];

/// A piece of code that is not a comment, a text or a number, and its line.
#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Takes code apart: words, `::`, and single other characters. Comments and literals are left out.
fn code_tokens(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    let at_is =
        |at: usize, text: &str| text.chars().enumerate().all(|(offset, c)| characters.get(at + offset) == Some(&c));
    while let Some(&c) = characters.get(at) {
        let start = at;
        if at_is(at, "//") {
            while characters.get(at).is_some_and(|&c| c != '\n') {
                at += 1;
            }
        } else if at_is(at, "/*") {
            let mut depth = 0;
            loop {
                if at_is(at, "/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if at_is(at, "*/") {
                    (depth, at) = (depth - 1, at + 2);
                } else {
                    at += 1;
                }
                if depth == 0 || at >= characters.len() {
                    break;
                }
            }
        } else if let Some(end) = end_of_literal(&characters, at) {
            at = end;
        } else if is_word(c) {
            while characters.get(at).is_some_and(|&c| is_word(c)) {
                at += 1;
            }
            tokens.push(Token { line, text: characters[start..at].iter().collect() });
        } else if at_is(at, "::") {
            at += 2;
            tokens.push(Token { line, text: "::".to_owned() });
        } else {
            at += 1;
            if !c.is_whitespace() {
                tokens.push(Token { line, text: c.to_string() });
            }
        }
        line += characters[start..at].iter().filter(|&&c| c == '\n').count();
    }
    tokens
}

/// Returns where the text, byte text or character that begins at `at` ends.
fn end_of_literal(characters: &[char], at: usize) -> Option<usize> {
    let follows_word = at > 0 && is_word(characters[at - 1]);
    let mut open = at;
    while !follows_word && open - at < 2 && matches!(characters.get(open), Some('b' | 'c' | 'r')) {
        open += 1;
    }
    let is_raw = open > at && characters[open - 1] == 'r';
    let hashes = if is_raw { characters[open..].iter().take_while(|&&c| c == '#').count() } else { 0 };
    match characters.get(open + hashes) {
        Some('"') if is_raw => {
            let mut end = open + hashes + 1;
            while end < characters.len() {
                end += 1;
                let closing = &characters[end..(end + hashes).min(characters.len())];
                if characters[end - 1] == '"' && closing.len() == hashes && closing.iter().all(|&c| c == '#') {
                    break;
                }
            }
            Some(end + hashes)
        }
        Some(&quote @ ('"' | '\'')) if hashes == 0 && !is_raw => {
            let is_lifetime =
                quote == '\'' && characters.get(open + 1) != Some(&'\\') && characters.get(open + 2) != Some(&'\'');
            if is_lifetime {
                return Some(open + 1);
            }
            let mut end = open + 1;
            while characters.get(end).is_some_and(|&c| c != quote) {
                end += if characters[end] == '\\' { 2 } else { 1 };
            }
            Some(end + 1)
        }
        _ => None,
    }
}

/// Reads the paths of a tree such as `a::{b, c::d}` that begins at `at`.
fn read_tree(tokens: &[Token], at: &mut usize, before: &[String], paths: &mut Vec<Vec<String>>) {
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    let mut path = before.to_vec();
    loop {
        match text(*at) {
            "{" => {
                *at += 1;
                while !matches!(text(*at), "}" | "") {
                    read_tree(tokens, at, &path, paths);
                    // Past `as NAME` and the comma.
                    while !matches!(text(*at), "," | "}" | "") {
                        *at += 1;
                    }
                    if text(*at) == "," {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "self" if !path.is_empty() => *at += 1,
            "*" => {
                path.push("*".to_owned());
                *at += 1;
            }
            word if word.chars().all(is_word) && !word.is_empty() => {
                path.push(word.to_owned());
                *at += 1;
            }
            _ => {}
        }
        let goes_on = text(*at) == "::" && (matches!(text(*at + 1), "{" | "*") || text(*at + 1).starts_with(is_word));
        if !goes_on {
            paths.push(path);
            return;
        }
        *at += 1;
    }
}

/// The paths from the root of the crate that the code of `module` names, each with its line.
fn paths_from_root(module: &[&str], tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| &*token.text);
    let mut found = Vec::new();
    // The inline modules around the token, by the depth of the braces that they stand in.
    let mut inline = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].line;
        match text(at) {
            "{" => {
                depth += 1;
                if at >= 2 && text(at - 2) == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth -= 1;
            }
            "crate" | "super" if text(at.wrapping_sub(1)) != "::" => {
                let mut supers = 0;
                while text(at) == "super" {
                    supers += 1;
                    at += if text(at + 1) == "::" { 2 } else { 1 };
                }
                let from_root = supers == 0;
                if from_root {
                    at += if text(at + 1) == "::" { 2 } else { 1 };
                }
                let is_visibility = text(at) == ")";
                if !is_visibility && (from_root || supers >= module.len() + inline.len()) {
                    let mut paths = Vec::new();
                    let mut end = at;
                    read_tree(tokens, &mut end, &[], &mut paths);
                    found.extend(paths.into_iter().map(|path| (line, path)));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// What the root of the crate gives other names to: `Error` is of `error`.
fn reexports(root: &str) -> HashMap<String, String> {
    let tokens = code_tokens(root);
    let mut names = HashMap::new();
    for at in 0..tokens.len() {
        if tokens[at].text == "use" {
            let mut paths = Vec::new();
            read_tree(&tokens, &mut (at + 1), &[], &mut paths);
            names.extend(paths.into_iter().map(|path| (path[path.len() - 1].clone(), path[0].clone())));
        }
    }
    names
}

/// Returns what is wrong with the imports of one file, at `place` below `src`.
fn import_faults(place: &str, source: &str, reexports: &HashMap<String, String>) -> Vec<String> {
    let module: Vec<&str> =
        place.strip_suffix(".rs").unwrap().split('/').filter(|part| !matches!(*part, "mod" | "lib")).collect();
    let Some(own) = module.first() else { return Vec::new() };
    if *own == "bin" {
        // The program is a crate of its own, which has only the public API.
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| name == own) else {
        return vec![format!("{place}: the module `{own}` has no place in the order")];
    };
    let mut faults = Vec::new();
    for (line, path) in paths_from_root(&module, &code_tokens(source)) {
        let first = path.first().map_or("", String::as_str);
        let target = reexports.get(first).map_or(first, String::as_str);
        let full = [&[target], &path.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..]].concat().join("::");
        let is_allowed = |allowed: &&str| full == **allowed || full.starts_with(&format!("{allowed}::"));
        if target != *own && !allowed.iter().any(is_allowed) {
            faults.push(format!("{place}:{line}: `{own}` imports `{full}`"));
        }
    }
    faults
}

/// Returns the words and macros in a file that do not belong in this library.
fn word_faults(place: &str, source: &str) -> Vec<String> {
    let tokens = code_tokens(source);
    let mut faults = Vec::new();
    for (at, Token { line, text }) in tokens.iter().enumerate() {
        let is_macro = tokens.get(at + 1).is_some_and(|next| next.text == "!") && NO_MACROS.contains(&&**text);
        if text == "unsafe" || is_macro {
            faults.push(format!("{place}:{line}: `{text}`"));
        }
    }
    faults
}

/// Counts lines without the tests at the foot of a file.
fn length(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    let tail = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    tail.unwrap_or(lines.len())
}

fn length_fault(place: &str, source: &str) -> Option<String> {
    let length = length(source);
    (length > LONGEST_FILE).then(|| format!("{place}: {length} lines"))
}

/// Every file below `src`, by its place there, with its text.
fn sources() -> Vec<(String, String)> {
    fn gather(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    gather(&root, &mut files);
    files.sort();
    let place = |path: &Path| {
        let parts: Vec<_> = path.strip_prefix(&root).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
        parts.join("/")
    };
    files.iter().map(|path| (place(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn imports_run_downward_only() {
    let sources = sources();
    let (_, root) = sources.iter().find(|(place, _)| place == "lib.rs").unwrap();
    let reexports = reexports(root);
    assert_eq!(reexports["FieldCipher"], "cipher");
    let faults: Vec<_> = sources.iter().flat_map(|(place, source)| import_faults(place, source, &reexports)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let imports: usize =
        sources.iter().map(|(place, source)| paths_from_root(&[place], &code_tokens(source)).len()).sum();
    assert!(imports > 100, "only {imports} imports were seen");
}

#[test]
fn nothing_in_the_library_is_unsafe_prints_or_is_not_written_yet() {
    let faults: Vec<_> = sources().iter().flat_map(|(place, source)| word_faults(place, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_longer_than_400_lines_without_its_tests() {
    let faults: Vec<_> = sources().iter().filter_map(|(place, source)| length_fault(place, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_has_its_place_in_the_order_and_the_order_has_no_circle() {
    let below = |name: &str| -> &[&str] { MAY_IMPORT.iter().find(|(module, _)| *module == name).unwrap().1 };
    // A part of a module, such as `crypto::random`, is lower than the module: it is held to by name.
    for (name, _) in MAY_IMPORT {
        let mut open = below(name).to_vec();
        let mut steps = 0;
        while let Some(next) = open.pop() {
            assert_ne!(next, *name, "`{name}` is below itself");
            if !next.contains("::") {
                open.extend(below(next));
            }
            steps += 1;
            assert!(steps < 10_000, "`{name}` leads into a circle");
        }
    }
}

fn faults_in(place: &str, source: &str) -> Vec<String> {
    let reexports = reexports(
        "mod error;\npub use cipher::{FieldCipher, Scope};\npub use error::Error;\npub use policy::Policy as Rules;",
    );
    import_faults(place, source, &reexports)
}

#[test]
fn the_check_finds_an_import_that_runs_upward() {
    for (place, source, fault) in [
        ("crypto/token.rs", "use crate::json::Framing;", "crypto/token.rs:1: `crypto` imports `json::Framing`"),
        ("keys/mod.rs", "\n\nuse crate::policy;", "keys/mod.rs:3: `keys` imports `policy`"),
        (
            "json/mod.rs",
            "use crate::{error::Error, keys::{Keys, KeySet}};",
            "json/mod.rs:1: `json` imports `keys::Keys`",
        ),
        (
            "json/mod.rs",
            "use crate::crypto::padding::LONGEST_VALUE;",
            "json/mod.rs:1: `json` imports `crypto::padding::LONGEST_VALUE`",
        ),
        ("policy/tag.rs", "use crate::crypto::{padding, token};", "policy/tag.rs:1: `policy` imports `crypto::token`"),
        (
            "policy/tag.rs",
            "use crate::crypto::padding_of::X;",
            "policy/tag.rs:1: `policy` imports `crypto::padding_of::X`",
        ),
        ("policy/tag.rs", "use crate::crypto;", "policy/tag.rs:1: `policy` imports `crypto`"),
        (
            "error.rs",
            "fn f() { let x = crate::secret::SecretKey::generate(); }",
            "error.rs:1: `error` imports `secret::SecretKey::generate`",
        ),
        ("error.rs", "use super::audit;", "error.rs:1: `error` imports `audit`"),
        (
            "keys/state.rs",
            "use super::super::cipher::FieldCipher as C;",
            "keys/state.rs:1: `keys` imports `cipher::FieldCipher`",
        ),
        ("keys/state.rs", "mod tests {\n use super::super::super::json;\n}", "keys/state.rs:2: `keys` imports `json`"),
        ("keys/state.rs", "mod a {} use super::super::json;", "keys/state.rs:1: `keys` imports `json`"),
        ("crypto/token.rs", "fn f(c: &crate::FieldCipher) {}", "crypto/token.rs:1: `crypto` imports `cipher`"),
        ("crypto/token.rs", "use crate::*;", "crypto/token.rs:1: `crypto` imports `*`"),
        ("crypto/token.rs", "pub(in crate::json) fn f() {}", "crypto/token.rs:1: `crypto` imports `json`"),
        (
            "crypto/token.rs",
            "// \" a quote in a comment\nuse crate::json;",
            "crypto/token.rs:2: `crypto` imports `json`",
        ),
        (
            "crypto/token.rs",
            "const A: &str = \"// no comment\"; use crate::json;",
            "crypto/token.rs:1: `crypto` imports `json`",
        ),
        (
            "crypto/token.rs",
            "const A: &str = r#\"\"//\"#; use crate::json;",
            "crypto/token.rs:1: `crypto` imports `json`",
        ),
        (
            "crypto/token.rs",
            "fn f<'a>(x: &'a u8) { let q = '\"'; } use crate::json;",
            "crypto/token.rs:1: `crypto` imports `json`",
        ),
        (
            "secret.rs",
            "use crate::crypto::random; use crate::crypto::xaes;",
            "secret.rs:1: `secret` imports `crypto::xaes`",
        ),
        ("util/mod.rs", "", "util/mod.rs: the module `util` has no place in the order"),
        ("helpers.rs", "", "helpers.rs: the module `helpers` has no place in the order"),
    ] {
        assert!(faults_in(place, source).contains(&fault.to_owned()), "{source}: {:?}", faults_in(place, source));
    }
    assert_eq!(faults_in("json/mod.rs", "use crate::{error::Error, keys::{Keys, KeySet as S}, cipher};").len(), 3);
}

#[test]
fn the_check_lets_imports_pass_that_run_downward() {
    for (place, source) in [
        (
            "layer/body.rs",
            "use crate::cipher::{FieldCipher, JsonStream}; use crate::{Error, Scope}; use super::fault::Fault;",
        ),
        (
            "cipher/value.rs",
            "use super::field_cipher::FieldCipher; use crate::crypto::token; use crate::json::{self, Visitor};",
        ),
        (
            "json/patch.rs",
            "use super::pointer::{self, Target}; use crate::policy::{Automaton, State}; pub(crate) fn f() {}",
        ),
        ("json/patch.rs", "pub(super) fn f() {} mod tests { use super::super::transformer::Framing; use super::*; }"),
        ("crypto/token.rs", "use crate::crypto::padding; use crate::secret::SecretBuffer;"),
        ("policy/tag.rs", "use crate::crypto::padding::{SMALLEST, FILL};"),
        ("policy/tag.rs", "use crate::crypto::padding;"),
        (
            "crypto/token.rs",
            "/// See [`FieldCipher`](crate::FieldCipher).\n/* use crate::json; /* use crate::keys; */ */",
        ),
        (
            "crypto/token.rs",
            "const A: &str = \"use crate::json\"; const B: &[u8] = br##\"crate::json\"#\"##; const C: char = '\\'';",
        ),
        ("error.rs", "use std::fmt; fn f() -> crate::error::Error { self::g() }"),
        ("lib.rs", "pub use cipher::FieldCipher; use crate::layer;"),
    ] {
        assert_eq!(faults_in(place, source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn the_check_finds_words_that_do_not_belong() {
    let source =
        "fn f() {\n unsafe { g() }\n println!(\"a\");\n std::dbg!(1);\n todo!()\n}\nfn g() { unimplemented!() }";
    let found: Vec<_> = word_faults("a.rs", source);
    assert_eq!(
        found,
        ["a.rs:2: `unsafe`", "a.rs:3: `println`", "a.rs:4: `dbg`", "a.rs:5: `todo`", "a.rs:7: `unimplemented`"]
    );
    let clean = "#![forbid(unsafe_code)] // println!()\n/// `dbg!`\nconst A: &str = \"todo!()\"; fn todo() {} fn f() { todo(); }";
    assert_eq!(word_faults("a.rs", clean), Vec::<String>::new());
}

#[test]
fn the_check_finds_a_long_file_and_does_not_count_its_tests() {
    let code = "x\n".repeat(400);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "y\n".repeat(500));
    assert_eq!(length_fault("a.rs", &format!("{code}{tests}")), None);
    assert_eq!(length_fault("a.rs", &format!("{code}x\n{tests}")), Some("a.rs: 401 lines".to_owned()));
    let attribute = format!("#[cfg(test)]\nuse a;\n{code}");
    assert_eq!(length_fault("a.rs", &attribute), Some("a.rs: 402 lines".to_owned()));
}
