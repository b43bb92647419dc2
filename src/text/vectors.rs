//! Frozen normal forms, which tell a build that would give others.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// What `options` make of a text: its normal form, or none.
pub(super) type Vector<O> = (O, &'static str, Option<&'static str>);

/// Refuses `form` in a build in which a vector does not hold. Tries them once, and remembers it in `holds`.
///
/// What is stored was found under the normal forms of the build that stored it. A library beneath that gives others
/// would let values silently be found no more.
pub(super) fn check<O: Copy>(
    form: &str,
    holds: &OnceLock<bool>,
    vectors: &[Vector<O>],
    normalize: impl Fn(O, &str) -> Option<Zeroizing<String>>,
) -> Result<(), Error> {
    let holds = holds.get_or_init(|| {
        vectors.iter().all(|&(options, text, normal)| {
            let found = normalize(options, text);
            found.as_ref().map(|found| found.as_str()) == normal
        })
    });
    if *holds {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Policy, format!("this build of `{form}` gives other normal forms than version 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the guard takes it")]
    fn lower_case((): (), text: &str) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new(text.to_lowercase()))
    }

    #[test]
    fn a_build_with_other_normal_forms_is_refused() {
        for changed in [((), "B", Some("B")), ((), "B", None)] {
            let error = check("lower", &OnceLock::new(), &[((), "A", Some("a")), changed], lower_case).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Policy);
            assert_eq!(error.to_string(), "this build of `lower` gives other normal forms than version 1");
        }
    }

    #[test]
    fn vectors_are_tried_once() {
        let holds = OnceLock::new();
        check("lower", &holds, &[((), "A", Some("a"))], lower_case).unwrap();
        check("lower", &holds, &[((), "A", Some("a"))], |(), _| panic!("tried again")).unwrap();
    }
}
