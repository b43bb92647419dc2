//! What `#[pii(…)]` says of a type and of a field.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, ExprPath, LitInt, LitStr, Token};

/// Tags by the name of their variant.
const TAGS: [(&str, &str); 8] = [
    ("name", "Name"),
    ("phone", "Phone"),
    ("email", "Email"),
    ("address", "Address"),
    ("card_fragment", "CardFragment"),
    ("national_id", "NationalId"),
    ("date_of_birth", "DateOfBirth"),
    ("text", "Text"),
];

/// What is said of a type.
#[derive(Default)]
pub(crate) struct TypeAttributes {
    pub(crate) collection: Option<LitStr>,
    pub(crate) at: Vec<LitStr>,
}

impl TypeAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut found = Self::default();
        for attribute in own(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("collection") {
                    found.collection = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("at") {
                    found.at.push(meta.value()?.parse()?);
                } else {
                    return Err(
                        meta.error("a type has `collection = \"…\"` and `at = \"…\"`; tags stand on its fields")
                    );
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// What is said of a field.
pub(crate) enum FieldAttributes {
    /// Nothing: its type says.
    None,
    Plain,
    Tagged(Box<Tagged>),
}

pub(crate) struct Tagged {
    pub(crate) tag: Tag,
    pub(crate) index: Option<(Span, Option<LitStr>)>,
    pub(crate) field: Option<LitStr>,
    pub(crate) pad_to: Option<LitInt>,
    pub(crate) encrypts_null: bool,
    pub(crate) null_if_unreadable: bool,
    pub(crate) is_whole: bool,
    pub(crate) with: Option<ExprPath>,
}

#[derive(Clone)]
pub(crate) enum Tag {
    /// The name of the variant.
    Known(&'static str),
    Own(LitStr),
}

/// What stands in the attribute, before it is known whether that fits together.
#[derive(Default)]
struct Said {
    tag: Option<Tag>,
    plain: Option<Span>,
    index: Option<(Span, Option<LitStr>)>,
    field: Option<LitStr>,
    pad_to: Option<LitInt>,
    encrypts_null: bool,
    null_if_unreadable: bool,
    is_whole: bool,
    with: Option<ExprPath>,
}

impl FieldAttributes {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut said = Said::default();
        for attribute in own(attributes) {
            attribute.parse_nested_meta(|meta| said.take(&meta))?;
        }
        let Some(attribute) = own(attributes).last() else { return Ok(Self::None) };
        let Said { tag, plain, index, field, pad_to, encrypts_null, null_if_unreadable, is_whole, with } = said;
        let Some(tag) = tag else {
            let has_more = index.is_some() || field.is_some() || pad_to.is_some() || with.is_some();
            if plain.is_some() && !has_more && !encrypts_null && !null_if_unreadable && !is_whole {
                return Ok(Self::Plain);
            }
            return Err(Error::new_spanned(
                attribute,
                "a tag is missing, such as `phone`, or `plain` where nothing is personal",
            ));
        };
        if let Some(plain) = plain {
            return Err(Error::new(plain, "a field with a tag is not plain"));
        }
        let given = index.as_ref().filter(|(_, form)| form.is_none());
        if let (Some((at, _)), Tag::Known("Phone")) = (given, &tag) {
            return Err(Error::new(
                *at,
                "the country of numbers without a code is missing, such as `index = \"phone:SG\"`",
            ));
        }
        Ok(Self::Tagged(Box::new(Tagged {
            tag,
            index,
            field,
            pad_to,
            encrypts_null,
            null_if_unreadable,
            is_whole,
            with,
        })))
    }
}

impl Said {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let known = TAGS.iter().find(|(tag, _)| *tag == name).map(|(_, variant)| Tag::Known(variant));
        if let Some(tag) = known {
            return self.set_tag(meta, tag);
        }
        match &*name {
            "tag" => {
                let tag = Tag::Own(meta.value()?.parse()?);
                self.set_tag(meta, tag)?;
            }
            "plain" => self.plain = Some(meta.path.span()),
            "index" => {
                let form = if meta.input.peek(Token![=]) { Some(meta.value()?.parse()?) } else { None };
                self.index = Some((meta.path.span(), form));
            }
            "field" => self.field = Some(meta.value()?.parse()?),
            "pad_to" => self.pad_to = Some(meta.value()?.parse()?),
            "encrypt_null" => self.encrypts_null = true,
            "null_if_unreadable" => self.null_if_unreadable = true,
            "whole" => self.is_whole = true,
            "with" => self.with = Some(meta.value()?.parse()?),
            _ => {
                let tags: Vec<_> = TAGS.iter().map(|(tag, _)| *tag).collect();
                let message = format!("no tag is called so: use {}, `tag = \"…\"`, or `plain`", tags.join(", "));
                return Err(meta.error(message));
            }
        }
        Ok(())
    }

    fn set_tag(&mut self, meta: &ParseNestedMeta<'_>, tag: Tag) -> Result<(), Error> {
        if self.tag.replace(tag).is_some() {
            return Err(meta.error("a field has one tag"));
        }
        Ok(())
    }
}

fn own(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("pii"))
}
