//! What `serde` is told of a type, as far as it changes names and shapes.

use syn::meta::ParseNestedMeta;
use syn::parse::Parse as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, LitStr, Token};

use crate::case::Case;

/// What `serde` writes and what it reads.
#[derive(Clone)]
pub(crate) struct Both<T> {
    pub(crate) written: Option<T>,
    pub(crate) read: Option<T>,
}

impl<T> Default for Both<T> {
    fn default() -> Self {
        Self { written: None, read: None }
    }
}

/// The attributes of a type, a variant or a field. Each has some of them.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute that is there or not")]
pub(crate) struct SerdeAttributes {
    pub(crate) rename: Both<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) rename_all: Both<Case>,
    pub(crate) rename_all_fields: Both<Case>,
    pub(crate) tag: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) is_untagged: bool,
    pub(crate) is_transparent: bool,
    pub(crate) is_flattened: bool,
    pub(crate) skips_writing: bool,
    pub(crate) skips_reading: bool,
    /// Where it is left out by its value.
    pub(crate) may_be_left_out: Option<proc_macro2::Span>,
    /// What gives the value another shape than its type has.
    pub(crate) shape: Option<(proc_macro2::Span, String)>,
}

impl SerdeAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut found = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| found.take(&meta))?;
        }
        Ok(found)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match &*name {
            "rename" => self.take_rename(meta)?,
            "alias" => self.aliases.push(text(meta)?.value()),
            "rename_all" => self.rename_all = both(meta, Case::read, |_| {})?,
            "rename_all_fields" => self.rename_all_fields = both(meta, Case::read, |_| {})?,
            "tag" => self.tag = Some(text(meta)?.value()),
            "content" => self.content = Some(text(meta)?.value()),
            "untagged" => self.is_untagged = true,
            "transparent" => self.is_transparent = true,
            "flatten" => self.is_flattened = true,
            "skip" => (self.skips_writing, self.skips_reading) = (true, true),
            "skip_serializing" => self.skips_writing = true,
            "skip_deserializing" => self.skips_reading = true,
            "with" | "serialize_with" | "deserialize_with" | "from" | "try_from" | "into" | "remote" | "getter" => {
                pass(meta)?;
                self.shape.get_or_insert((meta.path.span(), name));
            }
            "skip_serializing_if" => {
                pass(meta)?;
                self.may_be_left_out = Some(meta.path.span());
            }
            // These change neither names nor shapes.
            "default"
            | "deny_unknown_fields"
            | "bound"
            | "crate"
            | "expecting"
            | "borrow"
            | "other"
            | "variant_identifier"
            | "field_identifier" => pass(meta)?,
            _ => {
                return Err(meta.error("`Pii` does not know this attribute of serde, so what it writes cannot be told"));
            }
        }
        Ok(())
    }

    /// A name may be read in several spellings.
    fn take_rename(&mut self, meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
        let Both { written, read } = both(meta, |text| Ok(text.value()), |former| self.aliases.push(former))?;
        self.rename.written = written.or(self.rename.written.take());
        let former = read.and_then(|read| self.rename.read.replace(read));
        self.aliases.extend(former);
        Ok(())
    }

    /// Every spelling of a name, the one that is written first.
    pub(crate) fn spellings(&self, cased: impl Fn(Option<Case>) -> String, all: &Both<Case>) -> Vec<String> {
        let written = self.rename.written.clone().unwrap_or_else(|| cased(all.written));
        let read = self.rename.read.clone().unwrap_or_else(|| cased(all.read));
        let mut names = Vec::new();
        for name in [written, read].into_iter().chain(self.aliases.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr, Error> {
    meta.value()?.parse()
}

/// `= "x"`, or `(serialize = "x", deserialize = "y")`. What is read under several names is given to `former`, but for the
/// last.
fn both<T: Clone>(
    meta: &ParseNestedMeta<'_>,
    read: impl Fn(&LitStr) -> Result<T, Error>,
    mut former: impl FnMut(T),
) -> Result<Both<T>, Error> {
    if meta.input.peek(Token![=]) {
        let value = read(&text(meta)?)?;
        return Ok(Both { written: Some(value.clone()), read: Some(value) });
    }
    let mut found = Both::default();
    meta.parse_nested_meta(|inner| {
        let value = Some(read(&text(&inner)?)?);
        if inner.path.is_ident("serialize") {
            found.written = value;
        } else if inner.path.is_ident("deserialize") {
            if let Some(other) = std::mem::replace(&mut found.read, value) {
                former(other);
            }
        } else {
            return Err(inner.error("`serialize` or `deserialize` is expected"));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Goes past whatever the attribute holds.
fn pass(meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
    if meta.input.peek(Token![=]) {
        let value = meta.value()?;
        Expr::parse(value)?;
    } else if meta.input.peek(syn::token::Paren) {
        meta.parse_nested_meta(|inner| pass(&inner))?;
    }
    Ok(())
}
