//! The token's grammar, in both forms. The tokens of the corpus hold [`VALUE`] as the `phone`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldseal::ErrorKind;

use super::cipher;

/// What the tokens of the corpus hold.
pub const VALUE: &str = "+65 9123 4567";

/// A token, or what is none.
pub fn run(data: &[u8]) {
    let cipher = cipher();
    let opened = cipher.decrypt_value::<String>("phone", data);
    match &opened {
        Ok(value) => assert_eq!(value, VALUE, "a forgery opened"),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Decryption | ErrorKind::KeyUnavailable), "{error:?}"),
    }
    assert!(cipher.decrypt_value::<String>("name", data).is_err(), "it opened in another place");

    // Both forms of a token are one token, and each is spelled in one way.
    if let Some(text) = data.strip_prefix(b"fs1.") {
        let binary = URL_SAFE_NO_PAD.decode(text).ok();
        let is_spelled = binary.as_ref().is_some_and(|binary| URL_SAFE_NO_PAD.encode(binary).as_bytes() == text);
        assert!(is_spelled || opened.is_err(), "a second spelling opened");
        let other = binary.filter(|_| is_spelled).map(|binary| cipher.decrypt_value::<String>("phone", binary).is_ok());
        assert_eq!(other.unwrap_or_default(), opened.is_ok(), "the forms differ");
    } else {
        let text = format!("fs1.{}", URL_SAFE_NO_PAD.encode(data));
        assert_eq!(cipher.decrypt_value::<String>("phone", &text).is_ok(), opened.is_ok(), "the forms differ");
    }

    // What may be taken for a token is refused as a value, and in any text around it.
    let Ok(text) = str::from_utf8(data) else { return };
    let value = cipher.encrypt_value("name", text).map_err(|error| error.kind());
    if opened.is_ok() {
        assert_eq!(value, Err(ErrorKind::TokenSubmitted));
    }
    if let Err(kind) = value {
        assert!(matches!(kind, ErrorKind::TokenSubmitted | ErrorKind::TooLarge), "{kind:?}");
        let document = serde_json::to_vec(&serde_json::json!({ "note": format!("see {text}, please") })).unwrap();
        assert_eq!(cipher.encrypt_json(&document).map_err(|error| error.kind()), Err(ErrorKind::TokenSubmitted));
    }
}
