//! The JSON transformer, in pieces of any length, against `serde_json`.

use fieldseal::{ErrorKind, JsonStream};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{cipher, head, is_sealed, pieces};

/// Four lengths of pieces, and a document.
pub fn run(data: &[u8]) {
    let mut document = data;
    let Some(lengths) = head(&mut document, 4) else { return };
    let cipher = cipher();
    let sealed = fed(cipher.json_encryptor(), &pieces(lengths, document));
    let whole = cipher.encrypt_json(document).map_err(|error| error.kind());
    // A token may be seen before what is malformed behind it in the same text has come.
    let is_earlier = matches!((&sealed, &whole), (Err(ErrorKind::TokenSubmitted), Err(ErrorKind::Malformed)));
    assert!(is_earlier || sealed.as_ref().err() == whole.as_ref().err(), "pieces and the whole differ");

    let is_json = str::from_utf8(document).is_ok() && serde_json::from_slice::<IgnoredAny>(document).is_ok();
    match &sealed {
        Ok(sealed) => {
            assert!(is_json, "what serde_json refuses was taken");
            // Where `serde_json` builds no value: lone surrogates, numbers out of range, the deepest of all.
            if let Ok(value) = serde_json::from_slice::<Value>(sealed) {
                assert!(is_sealed(&value), "a tagged value passed inward");
            }
            let opened = fed(cipher.json_decryptor(), &pieces(lengths, sealed));
            assert_eq!(opened.as_deref(), Ok(document), "it did not come back");
        }
        Err(ErrorKind::Malformed) => assert!(!is_json || is_deep(document), "what serde_json takes was refused"),
        Err(ErrorKind::TokenSubmitted | ErrorKind::Refused | ErrorKind::TooLarge) => {}
        Err(other) => panic!("{other:?}"),
    }
    // As if it were stored: most of it opens to nothing, and all of it alike, however it is cut.
    let opened = fed(cipher.json_decryptor(), &pieces(lengths, document));
    let whole = cipher.decrypt_json(document).map_err(|error| error.kind());
    assert_eq!(opened, whole, "pieces and the whole open differently");
    // Each line is a document, and a line end within one ends it.
    drop(fed(cipher.ndjson_encryptor(), &pieces(lengths, document)));
    // The patch has its own reader.
    drop(cipher.encrypt_json_patch(document));
}

fn fed(mut stream: JsonStream, pieces: &[&[u8]]) -> Result<Vec<u8>, ErrorKind> {
    let mut out = Vec::new();
    pieces.iter().try_for_each(|piece| stream.feed(piece, &mut out)).map_err(|error| error.kind())?;
    stream.finish(&mut out).map_err(|error| error.kind())?;
    Ok(out)
}

/// Whether some brackets may stand deeper than the transformer goes.
fn is_deep(document: &[u8]) -> bool {
    document.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > 128
}
