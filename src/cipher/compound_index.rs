//! Blind indexes of several fields: rows by what they agree in.

use zeroize::Zeroizing;

use super::field_cipher::FieldCipher;
use super::index::normal_form;
use crate::error::{Error, ErrorKind};
use crate::policy::{CompoundIndex, FieldIndex, Normalizer};

impl FieldCipher {
    /// Makes the blind index of several fields, for a column beside those of their tokens: the one called `index`, of
    /// these values of its parts. Nothing where one is empty.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] where the policy has no such index, the values are not those of all its parts, or one
    /// has no normal form; [`ErrorKind::KeyUnavailable`].
    pub fn compound_index(&self, index: &str, values: &[(&str, &str)]) -> Result<Option<String>, Error> {
        let (place, texts) = self.compound(index, values)?;
        self.compound_of(place, &texts)
    }

    /// Returns the indexes to ask for where rows are looked for by all parts of `index`: a row matches that has any of
    /// them. Several while the index key is being rotated.
    ///
    /// # Errors
    ///
    /// As [`compound_index`](Self::compound_index), and [`ErrorKind::InvalidValue`] where a value is empty: such rows have
    /// no index.
    pub fn compound_lookup(&self, index: &str, values: &[(&str, &str)]) -> Result<Vec<String>, Error> {
        let (place, texts) = self.compound(index, values)?;
        let fault = || Error::new(ErrorKind::InvalidValue, format!("rows without a part of `{index}` have no index"));
        let normal = self.normal_parts(place, &texts)?.ok_or_else(fault)?;
        let at = self.policy().indexed().len() + place;
        let mut terms = Vec::new();
        self.indexes()?.each(self.policy(), |keys| {
            terms.push(keys[at].index(normal.iter().map(|part| part.as_str()), None));
        })?;
        Ok(terms)
    }

    /// Finds the index called `name`, and the values of its parts in their order.
    fn compound<'v>(&self, name: &str, values: &[(&str, &'v str)]) -> Result<(usize, Vec<&'v str>), Error> {
        let fault = |message: String| Error::new(ErrorKind::InvalidValue, message);
        let find = |(_, (compound, _)): &(usize, (&CompoundIndex, &[FieldIndex]))| compound.name() == name;
        let (place, (compound, _)) = self
            .policy()
            .compounds()
            .enumerate()
            .find(find)
            .ok_or_else(|| fault(format!("the policy has no index `{name}` of several fields")))?;
        let value = |(part, _): &(String, Normalizer)| {
            let mut given = values.iter().filter(|(field, _)| field == part).map(|(_, value)| *value);
            given.next().filter(|_| given.next().is_none())
        };
        let texts: Option<Vec<_>> = compound.parts().iter().map(value).collect();
        match texts {
            Some(texts) if texts.len() == values.len() => Ok((place, texts)),
            _ => Err(fault(format!("index `{name}` needs a value of each of its parts, once"))),
        }
    }

    /// The index of `texts`, which are the values of all parts of the compound at `place`.
    pub(super) fn compound_of(&self, place: usize, texts: &[&str]) -> Result<Option<String>, Error> {
        let Some(normal) = self.normal_parts(place, texts)? else { return Ok(None) };
        let keys = self.indexes()?.primary(self.policy())?;
        let key = &keys[self.policy().indexed().len() + place];
        Ok(Some(key.index(normal.iter().map(|part| part.as_str()), None)))
    }

    /// The normal forms of the values of all parts; nothing where one is empty.
    fn normal_parts(&self, place: usize, texts: &[&str]) -> Result<Option<Vec<Zeroizing<String>>>, Error> {
        let compound = self.policy().compounds().nth(place).map(|(compound, _)| compound.parts()).unwrap_or_default();
        let normal = compound.iter().zip(texts).map(|((field, normalizer), text)| normal_form(field, normalizer, text));
        let normal = normal.collect::<Result<Vec<_>, _>>()?;
        Ok(normal.iter().all(|part| !part.is_empty()).then_some(normal))
    }
}
