//! Proves that exactly the grammar of RFC 8259 is accepted, and that what is accepted comes through byte for byte.
//!
//! `Y` has to be accepted, `N` refused; `I` is left to the implementation, and what ours does is said beside it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fieldseal::keys::{DataKey, Keys, SecretKey};
use fieldseal::{ErrorKind, Field, FieldCipher, Policy, Tag};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Y,
    N,
    /// Left open by RFC 8259, accepted here.
    IAccepted,
    /// Left open by RFC 8259, refused here.
    IRefused,
}
use Verdict::{IAccepted, IRefused, N, Y};

const CASES: &[(Verdict, &str, &[u8])] = &[
    // Section 2: structure and white space.
    (Y, "white space before and after", b" \t\r\n[] \t\r\n"),
    (Y, "white space within an empty array", b"[ \t\r\n ]"),
    (Y, "white space within an empty object", b"{ \t\r\n }"),
    (Y, "white space around every token", b" { \"a\" : [ 1 , 2 ] , \"b\" : null } "),
    (Y, "a scalar with white space around it", b" 1 "),
    (Y, "carriage returns alone", b"[1,\r2]\r"),
    (N, "nothing", b""),
    (N, "white space alone", b" "),
    (N, "a line feed alone", b"\n"),
    (N, "form feed as white space", b"[\x0c]"),
    (N, "vertical tab as white space", b"[\x0b]"),
    (N, "NUL as white space", b"[\x00]"),
    (N, "NUL after the document", b"[]\x00"),
    (N, "NUL before the document", b"\x00[]"),
    (N, "backspace as white space", b"\x08[]"),
    (N, "delete as white space", b"[]\x7f"),
    (N, "information separator as white space", b"\x1e[]"),
    (N, "no-break space as white space", "[\u{a0}]".as_bytes()),
    (N, "next line as white space", "[\u{85}]".as_bytes()),
    (N, "line separator as white space", "[\u{2028}]".as_bytes()),
    (N, "ideographic space as white space", "[\u{3000}]".as_bytes()),
    (N, "zero width space", "[\u{200b}]".as_bytes()),
    (N, "word joiner", "[\u{2060}]".as_bytes()),
    (N, "an array that does not end", b"["),
    (N, "an array that does not begin", b"]"),
    (N, "an object that does not end", b"{"),
    (N, "an object that does not begin", b"}"),
    (N, "an array closed as an object", b"[}"),
    (N, "an object closed as an array", b"{]"),
    (N, "closed crosswise", b"[{]}"),
    (N, "closed twice", b"[]]"),
    (N, "a closing brace too many", b"{}}"),
    (N, "a comma alone", b","),
    (N, "a colon alone", b":"),
    (N, "a quote alone", b"\""),
    (N, "two documents", b"[][]"),
    (N, "two numbers", b"1 2"),
    (N, "two strings", b"\"a\"\"b\""),
    (N, "two documents on two lines", b"{}\n{}"),
    (N, "text after the document", b"[] x"),
    (N, "a comma after the document", b"[],"),
    (N, "a line comment", b"[1 // one\n]"),
    (N, "a block comment", b"[/* one */1]"),
    (N, "a comment after the document", b"[]#"),
    (N, "an HTML comment", b"[]<!-- -->"),
    (N, "angle brackets", b"<null>"),
    (N, "parentheses", b"(1)"),
    (N, "a backslash outside a string", b"[\\n]"),
    (N, "a Unicode escape outside a string", b"[\\u0020]"),
    (N, "bytes that are not UTF-8 outside a string", b"[\xe5]"),
    (N, "a letter outside ASCII", "[\u{e9}]".as_bytes()),
    (N, "a script prefix", b")]}',[]"),
    // Section 3: values.
    (Y, "null", b"null"),
    (Y, "true", b"true"),
    (Y, "false", b"false"),
    (Y, "the three literals", b"[true,false,null]"),
    (N, "a literal in capitals", b"TRUE"),
    (N, "a literal with a capital", b"True"),
    (N, "Null", b"Null"),
    (N, "a literal cut short", b"nul"),
    (N, "a literal of one letter", b"t"),
    (N, "a literal too long", b"nulll"),
    (N, "two literals in one", b"truefalse"),
    (N, "a literal and a digit", b"true1"),
    (N, "a literal cut by white space", b"[tr ue]"),
    (N, "a literal with another end", b"[fals0]"),
    (N, "undefined", b"undefined"),
    (N, "NaN", b"NaN"),
    (N, "minus NaN", b"-NaN"),
    (N, "Infinity", b"Infinity"),
    (N, "minus Infinity", b"[-Infinity]"),
    (N, "inf", b"[inf]"),
    (N, "None", b"None"),
    (N, "a bare word", b"[abc]"),
    (N, "a literal in wide letters", "\u{ff54}rue".as_bytes()),
    // Section 4: objects.
    (Y, "an empty object", b"{}"),
    (Y, "a member", b"{\"a\":1}"),
    (Y, "an empty name", b"{\"\":0}"),
    (Y, "a name twice", b"{\"a\":1,\"a\":2}"),
    (Y, "a name and a value twice", b"{\"a\":1,\"a\":1}"),
    (Y, "a name twice in two spellings", b"{\"a\":1,\"\\u0061\":2}"),
    (Y, "a name with NUL escaped", b"{\"a\\u0000b\":1}"),
    (Y, "a name with every escape", b"{\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\":1}"),
    (Y, "objects in objects", b"{\"a\":{\"b\":{\"c\":{}}}}"),
    (Y, "a long name", b"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":0}"),
    (Y, "a name in UTF-8", "{\"\u{59d3}\u{540d}\u{1f600}\":0}".as_bytes()),
    (N, "a comma after the last member", b"{\"a\":1,}"),
    (N, "two commas after the last member", b"{\"a\":1,,}"),
    (N, "two commas between members", b"{\"a\":1,,\"b\":2}"),
    (N, "a comma before the first member", b"{,\"a\":1}"),
    (N, "a comma in an empty object", b"{,}"),
    (N, "no comma between members", b"{\"a\":1 \"b\":2}"),
    (N, "a semicolon between members", b"{\"a\":1;\"b\":2}"),
    (N, "no colon", b"{\"a\" 1}"),
    (N, "two colons", b"{\"a\"::1}"),
    (N, "a comma for a colon", b"{\"a\",1}"),
    (N, "an equals sign for a colon", b"{\"a\"=1}"),
    (N, "no value", b"{\"a\":}"),
    (N, "no value and a comma", b"{\"a\":,\"b\":1}"),
    (N, "no name", b"{:1}"),
    (N, "a name alone", b"{\"a\"}"),
    (N, "a bare name", b"{a:1}"),
    (N, "a name in single quotes", b"{'a':1}"),
    (N, "a number for a name", b"{1:1}"),
    (N, "a literal for a name", b"{null:1}"),
    (N, "an array for a name", b"{[]:1}"),
    (N, "an object for a name", b"{{}:1}"),
    (N, "two values", b"{\"a\":1 2}"),
    (N, "two names", b"{\"a\":\"b\":1}"),
    (N, "a member that does not end", b"{\"a\":1"),
    (N, "a comment between members", b"{\"a\":1/**/,\"b\":2}"),
    (N, "a name that does not end", b"{\"a"),
    (N, "a colon and the end", b"{\"a\":"),
    (N, "a spread", b"{...{}}"),
    // Section 5: arrays.
    (Y, "an empty array", b"[]"),
    (Y, "empty arrays in arrays", b"[[],[[]],[[],[]]]"),
    (Y, "values of every kind", b"[null,1,\"1\",{},[],true]"),
    (N, "a comma after the last element", b"[1,]"),
    (N, "two commas after the last element", b"[1,,]"),
    (N, "two commas between elements", b"[1,,2]"),
    (N, "a comma before the first element", b"[,1]"),
    (N, "a comma in an empty array", b"[,]"),
    (N, "no comma between elements", b"[1 2]"),
    (N, "no comma between containers", b"[[][]]"),
    (N, "no comma between strings", b"[\"a\" \"b\"]"),
    (N, "a colon between elements", b"[1:2]"),
    (N, "a semicolon between elements", b"[1;2]"),
    (N, "a member in an array", b"[\"a\":1]"),
    (N, "an element and no end", b"[1"),
    (N, "a comma and no end", b"[1,"),
    (N, "an element before the array", b"1[]"),
    (N, "ellipsis", b"[...]"),
    (N, "a star", b"[*]"),
    // Section 6: numbers.
    (Y, "zero", b"0"),
    (Y, "minus zero", b"-0"),
    (Y, "one digit", b"7"),
    (Y, "many digits", b"1234567890"),
    (Y, "minus", b"-123"),
    (Y, "a fraction", b"0.5"),
    (Y, "minus and a fraction", b"-0.0"),
    (Y, "zeros at the end of a fraction", b"1.000"),
    (Y, "zeros at the start of a fraction", b"1.0005"),
    (Y, "exponents", b"[0e0,0E0,1e5,1E5,1e+5,1E-5]"),
    (Y, "a fraction and an exponent", b"-1.5e+10"),
    (Y, "zeros at the start of an exponent", b"1e0005"),
    (Y, "the largest number of 64 bits", b"18446744073709551615"),
    (Y, "the smallest number of 64 bits", b"-9223372036854775808"),
    (IAccepted, "a number that no 64 bits hold", b"123456789012345678901234567890"),
    (IAccepted, "a number over the range of f64", b"1e400"),
    (IAccepted, "a number under the range of f64", b"-1e-400"),
    (
        IAccepted,
        "an exponent that no 64 bits hold",
        b"0.4e00669999999999999999999999999999999999999999999999969999999006",
    ),
    (IAccepted, "more digits than f64 tells apart", b"0.1000000000000000055511151231257827021181583404541015625"),
    (N, "plus", b"+1"),
    (N, "plus and minus", b"[+-1]"),
    (N, "minus alone", b"-"),
    (N, "minus twice", b"--1"),
    (N, "minus and a space", b"- 1"),
    (N, "minus and a letter", b"[-a]"),
    (N, "a zero at the start", b"01"),
    (N, "two zeros", b"00"),
    (N, "minus and a zero at the start", b"-01"),
    (N, "a zero before a fraction's zero", b"00.5"),
    (N, "no digit before the point", b".5"),
    (N, "minus and no digit before the point", b"-.5"),
    (N, "no digit after the point", b"1."),
    (N, "an exponent right after the point", b"1.e5"),
    (N, "two points", b"1.2.3"),
    (N, "two points in a row", b"1..2"),
    (N, "a comma in a number", b"1,5"),
    (N, "no digit in the exponent", b"1e"),
    (N, "a sign and no digit in the exponent", b"1e+"),
    (N, "two signs in the exponent", b"1e+-5"),
    (N, "two exponents", b"1e5e5"),
    (N, "a fraction in the exponent", b"1e5.0"),
    (N, "an exponent alone", b"e5"),
    (N, "an exponent after minus", b"-e5"),
    (N, "a space before the exponent", b"1 e5"),
    (N, "a space in the number", b"1 000"),
    (N, "an underscore in the number", b"1_000"),
    (N, "hexadecimal", b"0x1F"),
    (N, "octal", b"0o17"),
    (N, "binary", b"0b1"),
    (N, "a letter after a number", b"1a"),
    (N, "a suffix", b"1f"),
    (N, "a big integer's suffix", b"1n"),
    (N, "a sum", b"[1+2]"),
    (N, "wide digits", "[\u{ff11}]".as_bytes()),
    (N, "Arabic digits", "[\u{661}]".as_bytes()),
    (N, "a wide minus", "[\u{2212}1]".as_bytes()),
    (N, "bytes that are not UTF-8 after a number", b"[1\xe5]"),
    (N, "NUL after a number", b"[1\x00]"),
    // Section 7: strings.
    (Y, "an empty string", b"\"\""),
    (Y, "a space", b"\" \""),
    (Y, "the short escapes", b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    (Y, "a slash that is not escaped", b"\"a/b\""),
    (Y, "hexadecimal digits in both cases", b"\"\\u00aF\\u00Fa\""),
    (Y, "an escaped NUL", b"\"\\u0000\""),
    (Y, "every escaped control character", b"\"\\u0001\\u001f\\u007f\\u0080\""),
    (Y, "an escaped surrogate pair", b"\"\\ud83d\\ude00\\uD83D\\uDE00\""),
    (Y, "the last surrogate pair", b"\"\\udbff\\udfff\""),
    (Y, "an escaped backslash before u", b"\"\\\\u0000\""),
    (Y, "an escaped backslash at the end", b"\"\\\\\""),
    (Y, "an escaped quote at the end", b"\"\\\"\""),
    (Y, "delete", b"\"\x7f\""),
    (Y, "two bytes", "\"\u{80}\u{7ff}\"".as_bytes()),
    (Y, "three bytes", "\"\u{800}\u{d7ff}\u{e000}\u{fffd}\"".as_bytes()),
    (Y, "four bytes", "\"\u{10000}\u{10ffff}\"".as_bytes()),
    (Y, "noncharacters", "\"\u{fffe}\u{ffff}\u{fdd0}\u{1ffff}\"".as_bytes()),
    (Y, "escaped noncharacters", b"\"\\ufffe\\uffff\\ufdd0\""),
    (Y, "line and paragraph separators", "\"\u{2028}\u{2029}\"".as_bytes()),
    (Y, "a byte order mark in a string", "\"\u{feff}\"".as_bytes()),
    (Y, "combining characters", "\"e\u{301}\u{200d}\"".as_bytes()),
    (Y, "structure in a string", b"\"[{}],:\\\"\""),
    (IAccepted, "a high surrogate alone", b"\"\\ud800\""),
    (IAccepted, "a low surrogate alone", b"\"\\udc00\""),
    (IAccepted, "surrogates in the wrong order", b"\"\\ude00\\ud83d\""),
    (IAccepted, "two high surrogates", b"\"\\ud83d\\ud83d\""),
    (IAccepted, "a high surrogate and a letter", b"\"\\ud83dx\""),
    (IAccepted, "a high surrogate and an escape", b"\"\\ud83d\\n\""),
    (IAccepted, "a lone surrogate in a name", b"{\"\\ud800\":1}"),
    (N, "a line feed in a string", b"\"a\nb\""),
    (N, "a carriage return in a string", b"\"a\rb\""),
    (N, "a tab in a string", b"\"a\tb\""),
    (N, "NUL in a string", b"\"a\x00b\""),
    (N, "the last control character in a string", b"\"\x1f\""),
    (N, "a control character in a name", b"{\"a\x01\":1}"),
    (N, "a control character after a backslash", b"\"\\\x00\""),
    (N, "an escaped line feed", b"\"\\\n\""),
    (N, "an escaped letter without meaning", b"\"\\a\""),
    (N, "an escaped single quote", b"\"\\'\""),
    (N, "an escaped digit", b"\"\\0\""),
    (N, "a hexadecimal escape", b"\"\\x41\""),
    (N, "an escape in capitals", b"\"\\U0041\""),
    (N, "an escaped space", b"\"\\ \""),
    (N, "an escaped letter outside ASCII", "\"\\\u{e9}\"".as_bytes()),
    (N, "an escape that is not UTF-8", b"\"\\\xe5\""),
    (N, "no digits after u", b"\"\\u\""),
    (N, "one digit after u", b"\"\\u0\""),
    (N, "three digits after u", b"\"\\u00A\""),
    (N, "no hexadecimal digit after u", b"\"\\u00g0\""),
    (N, "a sign after u", b"\"\\u+041\""),
    (N, "a space after u", b"\"\\u 041\""),
    (N, "braces after u", b"\"\\u{41}\""),
    (N, "a wide digit after u", "\"\\u004\u{ff11}\"".as_bytes()),
    (N, "a low surrogate cut short", b"\"\\ud83d\\ude\""),
    (N, "a surrogate pair cut at the backslash", b"\"\\ud83d\\\""),
    (N, "a string that does not end", b"\"abc"),
    (N, "a string that ends in a backslash", b"\"abc\\\""),
    (N, "single quotes", b"'abc'"),
    (N, "backquotes", b"`abc`"),
    (N, "curly quotes", "\u{201c}abc\u{201d}".as_bytes()),
    (N, "no quotes", b"abc"),
    (N, "a quote too many", b"\"a\"\""),
    (N, "a prefix before a string", b"u\"a\""),
    (N, "a string joined to another", b"\"a\"+\"b\""),
    // Section 8.1: encoding.
    (IRefused, "a byte order mark", b"\xef\xbb\xbf{}"),
    (N, "a byte order mark alone", b"\xef\xbb\xbf"),
    (N, "a byte order mark cut short", b"\xef\xbb{}"),
    (N, "UTF-16, little-endian", b"[\x00\"\x00\xe9\x00\"\x00]\x00"),
    (N, "UTF-16, big-endian", b"\x00[\x00\"\x00\xe9\x00\"\x00]"),
    (N, "UTF-16 with a byte order mark", b"\xff\xfe[\x00]\x00"),
    (N, "UTF-32", b"[\x00\x00\x00]\x00\x00\x00"),
    (N, "Latin-1", b"\"\xe9\""),
    (N, "a continuation byte alone", b"\"\x80\""),
    (N, "the last continuation byte alone", b"\"\xbf\""),
    (N, "an overlong slash in two bytes", b"\"\xc0\xaf\""),
    (N, "an overlong NUL", b"\"\xc0\x80\""),
    (N, "the last overlong two bytes", b"\"\xc1\xbf\""),
    (N, "an overlong slash in three bytes", b"\"\xe0\x80\xaf\""),
    (N, "the last overlong three bytes", b"\"\xe0\x9f\xbf\""),
    (N, "an overlong slash in four bytes", b"\"\xf0\x80\x80\xaf\""),
    (N, "the last overlong four bytes", b"\"\xf0\x8f\xbf\xbf\""),
    (N, "a surrogate in UTF-8", b"\"\xed\xa0\x80\""),
    (N, "the last surrogate in UTF-8", b"\"\xed\xbf\xbf\""),
    (N, "a surrogate pair in UTF-8", b"\"\xed\xa0\xbd\xed\xb8\x80\""),
    (N, "the first code point too large", b"\"\xf4\x90\x80\x80\""),
    (N, "a first byte too large", b"\"\xf5\x80\x80\x80\""),
    (N, "five bytes", b"\"\xf8\x88\x80\x80\x80\""),
    (N, "six bytes", b"\"\xfc\x84\x80\x80\x80\x80\""),
    (N, "byte fe", b"\"\xfe\""),
    (N, "byte ff", b"\"\xff\""),
    (N, "two bytes cut short by the quote", b"\"\xc3\""),
    (N, "three bytes cut short by the quote", b"\"\xe6\x9d\""),
    (N, "four bytes cut short by the quote", b"\"\xf0\x9f\x98\""),
    (N, "three bytes cut short by a letter", b"\"\xe6\x9dx\""),
    (N, "two bytes cut short by a backslash", b"\"\xc3\\n\""),
    (N, "two bytes cut short by another first byte", b"\"\xc3\xc3\xa9\""),
    (N, "bytes that are not UTF-8 in a name", b"{\"\xff\":1}"),
    (N, "bytes that are not UTF-8 after an escape", b"\"\\n\xff\""),
    (N, "two bytes cut short by the end", b"\"\xc3"),
];

fn cipher(path: &str) -> FieldCipher {
    let policy = Policy::builder("documents").field(Field::new("value", Tag::Text).path(path).encrypt_null());
    let keys = Keys::from_data_key(DataKey::new(&SecretKey::from_bytes(&[7; 32])));
    FieldCipher::new(policy.build().unwrap(), keys)
}

/// Four ways through the same parser: everything passes, everything on the first level is held back, and the same with
/// the case inside a tagged value or after one.
fn ways(text: &[u8]) -> [(FieldCipher, Vec<u8>); 4] {
    [
        (cipher("$..['no such name']"), text.to_vec()),
        (cipher("$[*]"), text.to_vec()),
        (cipher("$.tagged"), [b"{\"tagged\":", text, b"}"].concat()),
        (cipher("$[0]"), [b"[\"+65\",", text, b"]"].concat()),
    ]
}

#[test]
fn what_the_grammar_allows_comes_through_byte_for_byte() {
    for (verdict, name, text) in CASES.iter().filter(|(verdict, ..)| matches!(verdict, Y | IAccepted)) {
        for (cipher, document) in ways(text) {
            let stored = cipher.encrypt_json(&document).unwrap_or_else(|error| panic!("{verdict:?} {name}: {error}"));
            assert_eq!(cipher.decrypt_json(&stored).unwrap(), document, "{name}");
        }
        let untouched = cipher("$..['no such name']").encrypt_json(text).unwrap();
        assert_eq!(untouched, *text, "{name}");
    }
}

#[test]
fn what_the_grammar_does_not_allow_is_refused() {
    // In an array it is two numbers.
    let valid_inside = "a comma in a number";
    for (verdict, name, text) in CASES.iter().filter(|(verdict, ..)| matches!(verdict, N | IRefused)) {
        for (way, (cipher, document)) in ways(text).into_iter().enumerate() {
            if way == 3 && *name == valid_inside {
                continue;
            }
            for result in [cipher.encrypt_json(&document), cipher.decrypt_json(&document)] {
                let error = result.expect_err(&format!("{verdict:?} {name}, way {way}"));
                // On the way out, a value that is no token may be met before the fault is.
                let met_earlier = error.kind() == ErrorKind::NotEncrypted;
                assert!(error.kind() == ErrorKind::Malformed || met_earlier, "{name}, way {way}: {error:?}");
            }
            assert_eq!(cipher.encrypt_json(&document).unwrap_err().kind(), ErrorKind::Malformed, "{name}, way {way}");
        }
    }
}

#[test]
fn the_reference_parser_has_the_same_opinion() {
    for (verdict, name, text) in CASES {
        let accepted = str::from_utf8(text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(accepted, matches!(verdict, Y | IAccepted), "{name}");
    }
}

#[test]
fn no_case_stands_twice() {
    let names: std::collections::HashSet<_> = CASES.iter().map(|(_, name, _)| name).collect();
    let texts: std::collections::HashSet<_> = CASES.iter().map(|(.., text)| text).collect();
    assert_eq!((names.len(), texts.len()), (CASES.len(), CASES.len()));
    assert!(CASES.len() >= 150, "{}", CASES.len());
}

#[test]
fn a_refusal_says_what_is_wrong_however_the_document_is_cut() {
    let cipher = cipher("$..['no such name']");
    for (text, at, message) in [
        ("{} x", 3, "something stands after the document"),
        ("[1 2]", 3, "a comma or the end of the container is expected"),
        ("{\"a\":1 \"b\"}", 7, "a comma or the end of the container is expected"),
        ("{1:2}", 1, "a member's name is expected"),
        ("{\"a\":1,}", 7, "a member's name is expected"),
        ("{\"a\" 1}", 5, "a colon is expected"),
        ("\u{feff}{}", 0, "a value is expected (is there a byte order mark, or a content coding?)"),
        ("[1,]", 3, "a value is expected"),
        ("[x]", 1, "a value is expected"),
        ("[\"a\u{1}\"]", 3, "a control character stands in a string"),
        ("[\"a\\u00g0\"]", 7, "`\\u` needs four hexadecimal digits"),
    ] {
        let expected = format!("not valid JSON at byte {at}: {message}");
        for size in [1, 1000] {
            let (mut stream, mut out) = (cipher.json_encryptor(), Vec::new());
            let error = text.as_bytes().chunks(size).try_for_each(|piece| stream.feed(piece, &mut out)).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text} in pieces of {size}");
        }
    }
}
