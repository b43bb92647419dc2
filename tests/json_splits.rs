//! Proves that a document cut into chunks at any place gives the output, or the error, of the whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{Error, ErrorKind, Field, FieldCipher, JsonStream, Policy, Tag};

/// Documents up to this length are cut at every pair of places too.
const SHORT: usize = 80;

const DOCUMENTS: &[&str] = &[
    r#"{"phone":"+65 9123 4567"}"#,
    r#"{"phone":7}"#,
    r#"{"phone":-0.0e+10,"n":1E5}"#,
    r#"{"phone":true,"x":false}"#,
    r#"{"phone":null,"y":null}"#,
    r#"{"phone":[1,[],{"a":"]"}]}"#,
    r#"{"phone":{"b":{},"c":"}"},"d":0}"#,
    r#"{"phone":"a\"b\\c\/\b\f\n\r\té"}"#,
    r#"{"phone":"\ud83d\ude00\uD83D\uDE00"}"#,
    r#"{"phone":"\ud800","x":"\udfff\ud800x"}"#,
    r#"{"phone":"\ude00\ud83d"}"#,
    "{\"phone\":\"\u{e9}\u{674e}\u{1f600}\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\"}",
    "{\"\u{e9}\u{674e}\u{1f600}\":\"\u{1f600}\u{674e}\u{e9}\"}",
    r#"{"\u00e9\u674E\ud83d\uDE00":1,"\u00e9\u674e":2}"#,
    r#"{"p\u0068on\u0065":1,"phon\u0065\u0000":2,"ph\ud83done":3}"#,
    r#"{"\u0070\u0068\u006f\u006e\u0065":"all escaped"}"#,
    r#"{"\u0070\u0068\u006f\u006e\u0065x":"one more"}"#,
    r#"{"it's \"\\ \/":1,"it's \u0022\u005c \u002F":2}"#,
    r#"{"":"empty name","\u0000":1}"#,
    "\u{20}\t\r\n{ \"phone\"\n:\t\"x\"\r,\n \"y\" : [ 1 , 2 ]\n}\r\n ",
    r#"{"list":["a","b","c"],"listed":["a","b"]}"#,
    r#"[{"phone":1},{"phone":[{"phone":2}]},3]"#,
    r#"{"phone":1,"phone":2,"phone":null}"#,
    r#"{"a":{"a":{"phone":"deep"}},"phone":[[[]]]}"#,
    r#"{"number":1e5,"phone":12.5e-3}"#,
    "0",
    "-1.25E+7",
    "[1,20,300e1,0.5]",
    "\"\u{674e}\\ud83d\\ude00\"",
    "null ",
    "true",
    " []",
    r#"{"\u0069\u0074\u0027\u0073\u0020\u0022\u005c\u0020\u002f":"spelled as long as it can be"}"#,
    r#"{"\u0069\u0074\u0027\u0073\u0020\u0022\u005c\u0020\u002f\u0078":"one character longer"}"#,
    r#"{"a_name_longer_than_any_that_the_policy_mentions_even_when_all_of_it_is_escaped_as_unicode":{"phone":1}}"#,
];

const LINES: &[&str] = &[
    "{\"phone\":1}\n{\"phone\":\"x\"}",
    "{\"phone\":1}\r\n\r\n \t\n[{\"phone\":2}]\n",
    "\n\n1\n2e5\n-0\ntrue\nnull\n\"\u{674e}\"\n[]\n",
    "",
    " \r\t",
    "{\"phone\":[1,\r2]}\n{\"list\":[0,1]}\n{\"phone\":null}\n",
];

const MALFORMED: &[&[u8]] = &[
    b"",
    b" \n",
    b"{",
    b"{\"phone\"",
    b"{\"phone\":",
    b"{\"phone\":1",
    b"{\"phone\":1,",
    b"{\"phone\":1,}",
    b"{\"phone\" 1}",
    b"{\"phone\"::1}",
    b"{,\"phone\":1}",
    b"{\"phone\":1]",
    b"{phone:1}",
    b"{\"phone\":\"x\"}}",
    b"{\"phone\":\"x\"} {}",
    b"[1,]",
    b"[,1]",
    b"[1 2]",
    b"[1",
    b"[\"phone\":1]",
    b"{\"phone\":tru}",
    b"{\"phone\":True}",
    b"{\"phone\":nul",
    b"{\"phone\":falsehood}",
    b"{\"phone\":01}",
    b"{\"phone\":-}",
    b"{\"phone\":1.}",
    b"{\"phone\":1.e5}",
    b"{\"phone\":1e}",
    b"{\"phone\":1e+}",
    b"{\"phone\":+1}",
    b"{\"phone\":.5}",
    b"{\"phone\":0x10}",
    b"{\"phone\":1e5.5}",
    b"1.",
    b"-",
    b"1e+",
    b"tru",
    b"\"abc",
    b"\"\\",
    b"\"\\u12",
    b"{\"phone\":\"\\x\"}",
    b"{\"phone\":\"\\u12g4\"}",
    b"{\"phone\":\"\\u+123\"}",
    b"{\"phone\":\"a\nb\"}",
    b"{\"phone\":\"a\x00b\"}",
    b"{\"pho\tne\":1}",
    b"{\"phone\":\"\x80\"}",
    b"{\"phone\":\"\xc0\xaf\"}",
    b"{\"phone\":\"\xc3\"}",
    b"{\"phone\":\"\xe0\x80\xaf\"}",
    b"{\"phone\":\"\xed\xa0\x80\"}",
    b"{\"phone\":\"\xf4\x90\x80\x80\"}",
    b"{\"phone\":\"\xf0\x9f\x98\"}",
    b"{\"\xe6\x9d\":1}",
    b"\xef\xbb\xbf{}",
    b"{\"phone\":1}\x00",
    b"{\"phone\":1}\x0b",
    b"{\"phone\":1}\x0c",
    b"{\xc2\xa0\"phone\":1}",
    b"{\"phone\":\"x\"//\n}",
    b"'phone'",
];

const MALFORMED_LINES: &[&[u8]] = &[
    b"{\"phone\":\n1}",
    b"{\"phone\"\n:1}",
    b"[1,\n2]",
    b"{\n}",
    b"1 2\n",
    b"{} {}\n",
    b"{}\r{}\n",
    b"{}\n{\"phone\":\"x",
    b"{\"phone\":\"x\ny\"}\n",
    b"{}\n\x1e{}\n",
    b"{}\n]\n",
];

fn cipher() -> FieldCipher {
    let policy = Policy::builder("customers")
        .field(Field::new("phone", Tag::Phone))
        .field(Field::new("name", Tag::Name).path("$..['\u{e9}\u{674e}\u{1f600}']").path(r#"$..["it's \"\\ /"]"#))
        .field(Field::new("second", Tag::Text).path("$..list[1]"))
        .field(Field::new("empty", Tag::Text).path("$..['']"))
        .build()
        .unwrap();
    FieldCipher::new(policy, Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32]))))
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Single,
    Lines,
}

fn encryptor(cipher: &FieldCipher, framing: Framing) -> JsonStream {
    match framing {
        Framing::Single => cipher.json_encryptor(),
        Framing::Lines => cipher.ndjson_encryptor(),
    }
}

fn decryptor(cipher: &FieldCipher, framing: Framing) -> JsonStream {
    match framing {
        Framing::Single => cipher.json_decryptor(),
        Framing::Lines => cipher.ndjson_decryptor(),
    }
}

/// Feeds `input` cut at `cuts`, which ascend.
fn run(mut stream: JsonStream, input: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&input.len()]) {
        stream.feed(&input[start..cut], &mut out)?;
        start = cut;
    }
    stream.finish(&mut out)?;
    Ok(out)
}

/// Puts the length of each token in its place. What is left are the bytes that were not touched.
fn masked(output: &[u8]) -> String {
    let mut rest = str::from_utf8(output).unwrap();
    let mut masked = String::new();
    while let Some(at) = rest.find("\"fs1.") {
        let length = rest[at + 1..].find('"').unwrap();
        write!(masked, "{}<token of {length}>", &rest[..at]).unwrap();
        rest = &rest[at + length + 2..];
    }
    masked + rest
}

/// Calls `check` with every way to cut `length` bytes in two, in three where that is short, and into single bytes.
fn for_every_cut(length: usize, shortest_for_three: usize, mut check: impl FnMut(&[usize])) {
    for first in 0..=length {
        check(&[first]);
    }
    if length <= shortest_for_three {
        for first in 0..=length {
            for second in first..=length {
                check(&[first, second]);
            }
        }
    }
    check(&(1..length).collect::<Vec<_>>());
    // An empty chunk between any two bytes changes nothing.
    check(&(0..=length).flat_map(|at| [at, at]).collect::<Vec<_>>());
}

fn all_documents() -> impl Iterator<Item = (Framing, &'static str)> {
    let single = DOCUMENTS.iter().map(|document| (Framing::Single, *document));
    let lines = LINES.iter().chain(&DOCUMENTS[..3]).map(|document| (Framing::Lines, *document));
    single.chain(lines)
}

#[test]
fn encryption_gives_the_same_however_the_document_is_cut() {
    let cipher = cipher();
    let mut tokens = 0;
    for (framing, document) in all_documents() {
        let whole = run(encryptor(&cipher, framing), document.as_bytes(), &[]).unwrap();
        let expected = masked(&whole);
        tokens += expected.matches("<token of").count();
        for_every_cut(document.len(), SHORT, |cuts| {
            let output = run(encryptor(&cipher, framing), document.as_bytes(), cuts)
                .unwrap_or_else(|error| panic!("{document} cut at {cuts:?}: {error}"));
            assert_eq!(masked(&output), expected, "{document} cut at {cuts:?}");
            let opened = run(decryptor(&cipher, framing), &output, &[]).unwrap();
            assert_eq!(opened, document.as_bytes(), "{document} cut at {cuts:?}");
        });
    }
    assert_eq!(tokens, 38, "tagged values in all documents");
}

#[test]
fn decryption_gives_the_same_however_the_document_is_cut() {
    let cipher = cipher();
    for (framing, document) in all_documents() {
        let stored = run(encryptor(&cipher, framing), document.as_bytes(), &[]).unwrap();
        for_every_cut(stored.len(), 125, |cuts| {
            let opened = run(decryptor(&cipher, framing), &stored, cuts)
                .unwrap_or_else(|error| panic!("{document} cut at {cuts:?}: {error}"));
            assert_eq!(opened, document.as_bytes(), "{document} cut at {cuts:?}");
        });
    }
}

#[test]
fn a_token_that_storage_escaped_opens_however_it_is_cut() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "+65 9123 4567").unwrap();
    let escaped = token.bytes().map(|byte| format!("\\u{byte:04X}")).collect::<Vec<_>>().concat();
    let stored = format!("{{\"phone\":\"{escaped}\"}}");
    for_every_cut(stored.len(), 0, |cuts| {
        let opened = run(cipher.json_decryptor(), stored.as_bytes(), cuts).unwrap();
        assert_eq!(opened, br#"{"phone":"+65 9123 4567"}"#, "cut at {cuts:?}");
    });
}

#[test]
fn a_malformed_document_gives_the_same_error_however_it_is_cut() {
    let cipher = cipher();
    let single = MALFORMED.iter().map(|document| (Framing::Single, *document));
    let lines = MALFORMED_LINES.iter().map(|document| (Framing::Lines, *document));
    for (framing, document) in single.chain(lines) {
        let name = String::from_utf8_lossy(document);
        let expected = run(encryptor(&cipher, framing), document, &[]).expect_err(&name);
        assert_eq!(expected.kind(), ErrorKind::Malformed, "{name}");
        assert!(expected.to_string().contains("at byte "), "{name}: {expected}");
        for stream in [encryptor, decryptor] {
            for_every_cut(document.len(), SHORT, |cuts| {
                let error = run(stream(&cipher, framing), document, cuts).expect_err(&name);
                // Decryption may stop earlier, at a value that is no token.
                if error.kind() != ErrorKind::NotEncrypted {
                    assert_eq!(
                        (error.kind(), error.to_string()),
                        (expected.kind(), expected.to_string()),
                        "{name} cut at {cuts:?}"
                    );
                }
            });
        }
    }
}

#[test]
fn the_offset_in_the_message_is_that_of_the_first_byte_that_cannot_be() {
    let cipher = cipher();
    for (document, offset) in [
        (&b""[..], 0),
        (b"  ", 2),
        (b"{\"a\":1,}", 7),
        (b"[1 2]", 3),
        (b"[01]", 2),
        (b"[tru ]", 4),
        (b"[\"a\x01\"]", 3),
        (b"[\"\xe6\x9d\"]", 4),
        (b"[\"\\u00g0\"]", 6),
        (b"{} x", 3),
        (b"[1.]", 3),
        (b"[-", 2),
    ] {
        let message = cipher.encrypt_json(document).unwrap_err().to_string();
        let expected = format!("at byte {offset}:");
        assert!(message.contains(&expected), "{:?}: {message}", String::from_utf8_lossy(document));
    }
}

#[test]
fn a_refused_value_gives_the_same_error_however_it_is_cut() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    let submitted = format!("{{\"x\":0,\"phone\":\"{token}\",\"y\":1}}");
    for_every_cut(submitted.len(), 0, |cuts| {
        let error = run(cipher.json_encryptor(), submitted.as_bytes(), cuts).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenSubmitted, "cut at {cuts:?}");
    });
    let moved = submitted.replace("\"phone\"", "\"it's \\\"\\\\ /\"");
    let plain = br#"{"phone":"+65 9123 4567"}"#;
    for (stored, kind) in [(moved.as_bytes(), ErrorKind::Decryption), (plain, ErrorKind::NotEncrypted)] {
        for_every_cut(stored.len(), 0, |cuts| {
            let error = run(cipher.json_decryptor(), stored, cuts).unwrap_err();
            assert_eq!(error.kind(), kind, "cut at {cuts:?}");
        });
    }
}

#[test]
fn after_an_error_every_call_fails() {
    let cipher = cipher();
    let token = cipher.encrypt_value("phone", "x").unwrap();
    let submitted = format!("{{\"phone\":\"{token}\"");
    let causes: [&[u8]; 12] = [
        b"[[\"a\"]]x",
        b"{\"x\":{\"a\":1}}}",
        b"}",
        b"{\"phone\":\"a\x01",
        b"{\"phone\":1x",
        b"{\"pho\x00",
        b"{\"x\":\"\\q",
        b"[1 2",
        b"{\"phone\":[}",
        b"12x",
        b"nulL",
        submitted.as_bytes(),
    ];
    let mut lenient = Vec::new();
    for framing in [Framing::Single, Framing::Lines] {
        for cause in causes {
            for cut in 0..cause.len() {
                for next in
                    [&b""[..], b" ", b"\n", b"\t\r", b"}", b"\"", b"\"}", b"\"]]", b"]]]", b"}}}", b"{}", b"1", b"l"]
                {
                    let mut stream = encryptor(&cipher, framing);
                    let mut out = Vec::new();
                    stream.feed(&cause[..cut], &mut out).unwrap();
                    stream.feed(&cause[cut..], &mut out).unwrap_err();
                    let before = out.len();
                    let fed = stream.feed(next, &mut out).is_ok();
                    let finished = stream.finish(&mut out).is_ok();
                    if fed || finished || out.len() != before {
                        lenient
                            .push([&cause[..cut], &cause[cut..], next].map(|chunk| chunk.escape_ascii().to_string()));
                    }
                }
            }
        }
    }
    let count = lenient.len();
    assert!(lenient.is_empty(), "{count} streams went on after an error, such as {:?}", &lenient[..count.min(8)]);
}

#[test]
fn an_error_at_the_end_is_final_too() {
    let cipher = cipher();
    for cut_short in [&b"{\"phone\":"[..], b"{\"phone\":\"a", b"{\"phone\":1", b"[tr", b"{\"pho", b"-", b"1e"] {
        let mut stream = cipher.json_encryptor();
        let mut out = Vec::new();
        stream.feed(cut_short, &mut out).unwrap();
        stream.finish(&mut out).unwrap_err();
        for next in [&b""[..], b"\"", b"1", b"ue", b"}"] {
            assert!(stream.feed(next, &mut out).is_err(), "{:?} was taken", next.escape_ascii().to_string());
        }
        assert!(stream.finish(&mut out).is_err());
    }
}

#[test]
fn after_the_end_nothing_more_is_taken() {
    let cipher = cipher();
    for document in [&b"{}"[..], b"1", b"12.5e3", b"null", b"\"x\"", b"[1] "] {
        for next in [&b"x"[..], b"{}", b"1", b"\"", b" ", b"\n", b""] {
            let mut stream = cipher.json_encryptor();
            let mut out = Vec::new();
            stream.feed(document, &mut out).unwrap();
            stream.finish(&mut out).unwrap();
            let (document, next_shown) = (document.escape_ascii().to_string(), next.escape_ascii().to_string());
            assert!(stream.feed(next, &mut out).is_err(), "{next_shown:?} was taken after the end of {document:?}");
            assert!(stream.finish(&mut out).is_err(), "{document:?} ended twice");
            assert_eq!(out, document.replace("\\\"", "\"").as_bytes());
        }
    }
}
