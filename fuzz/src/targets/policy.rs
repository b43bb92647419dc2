//! Policies in TOML: what is read is written, and read again as the same.

use fieldseal::Policy;

/// A file.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(policy) = Policy::from_toml(text) else { return };
    let Ok(written) = policy.to_toml() else { return };
    let read = Policy::from_toml(&written).unwrap_or_else(|error| panic!("{error}:\n{written}"));
    assert_eq!(read.to_toml().unwrap(), written);
    assert_eq!(read.fields().len(), policy.fields().len());
}
