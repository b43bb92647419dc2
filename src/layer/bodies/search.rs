//! Searches in JSON: members called like fields with a blind index become such that ask for the index.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::cipher::{FieldCipher, Wanted};
use crate::error::{Error, ErrorKind};
use crate::policy::{FieldIndex, Policy, State};
use crate::secret::SecretBuffer;

/// Rewrites `search`, a JSON document.
///
/// # Errors
///
/// As [`FieldCipher::encrypt_search`], and [`ErrorKind::Refused`] for a member that is called like a tagged field and stands
/// where no path selects it: what a query asks for by such a name is refused as well.
pub(in super::super) fn encrypt(
    cipher: &FieldCipher,
    wanted: &Wanted,
    search: &[u8],
    out: &mut SecretBuffer,
) -> Result<(), Error> {
    let mut stream = cipher.search_encryptor(wanted.clone());
    stream.feed(search, out.as_mut_vec())?;
    stream.finish(out.as_mut_vec())?;
    check_names(cipher.policy(), search)
}

fn check_names(policy: &Policy, search: &[u8]) -> Result<(), Error> {
    let found = Cell::new(None);
    let names = Names { policy, state: policy.automaton().start(), found: &found };
    let read = names.deserialize(&mut serde_json::Deserializer::from_slice(search));
    match (found.get(), read) {
        (Some(field), _) => {
            let field = policy.place_name(field);
            let message = format!(
                "the search asks for protected field `{field}` by a name, or at a place, that its paths do not select: name \
                 it as the policy does, or add a path"
            );
            Err(Error::new(ErrorKind::Refused, message))
        }
        (None, Ok(())) => Ok(()),
        // The cause would quote what was sent.
        (None, Err(_)) => Err(Error::new(ErrorKind::Malformed, "the search holds a name or a text that is none")),
    }
}

/// Looks at the names of all members of a value that stands at `state`.
#[derive(Clone, Copy)]
struct Names<'p> {
    policy: &'p Policy,
    state: State,
    /// A field that a member is called like, which is not at its place.
    found: &'p Cell<Option<FieldIndex>>,
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let automaton = self.policy.automaton();
        let own = self.state.record().and_then(FieldIndex::in_record).unwrap_or(self.state);
        while let Some(name) = map.next_key::<String>()? {
            let state = automaton.member(own, name.as_bytes());
            if automaton.field(state).is_some() {
                map.next_value::<IgnoredAny>()?;
            } else if let Some(field) =
                self.policy.field_asked_for(&name).filter(|own| !self.policy.is_step(*own, &name))
            {
                self.found.set(Some(field));
                return Err(A::Error::custom("found"));
            } else {
                map.next_value_seed(Self { state, ..self })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while elements
            .next_element_seed(Self { state: self.policy.automaton().element(self.state, index), ..self })?
            .is_some()
        {
            index = index.saturating_add(1);
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
