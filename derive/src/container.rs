//! The type that derives.

use syn::spanned::Spanned as _;
use syn::{DeriveInput, Error, Generics, Ident};

use crate::case::Case;
use crate::field::Field;
use crate::pii_attributes::TypeAttributes;
use crate::serde_attributes::{Both, SerdeAttributes};

pub(crate) struct Container {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) pii: TypeAttributes,
    pub(crate) data: Data,
}

pub(crate) enum Data {
    Struct(Shape),
    Enum(Vec<Variant>, Bare),
}

/// How fields are written.
pub(crate) enum Shape {
    /// As members of an object.
    Members(Vec<Field>),
    /// As what the one of them holds that is written.
    Inner(Vec<Field>),
    /// As elements of an array, in order.
    Elements(Vec<Field>),
}

/// Whether a value may be no object.
#[derive(Clone, Copy)]
pub(crate) enum Bare {
    /// It may be the name of a variant.
    Named,
    /// It may be what an untagged variant holds.
    Untagged,
    Never,
}

pub(crate) struct Variant {
    /// The members that lead to its fields, each in every spelling.
    pub(crate) around: Vec<Vec<String>>,
    is_untagged: bool,
    pub(crate) shape: Shape,
}

impl Container {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self, Error> {
        let serde = SerdeAttributes::read(&input.attrs)?;
        if let Some((span, name)) = &serde.shape {
            let message =
                format!("`{name}` gives the type another shape, which cannot be told: implement `Pii` by hand");
            return Err(Error::new(*span, message));
        }
        let data = match &input.data {
            syn::Data::Struct(data) => {
                Data::Struct(Shape::read(&data.fields, &serde.rename_all, serde.is_transparent)?)
            }
            syn::Data::Enum(data) => {
                let variants = data.variants.iter().map(|variant| Variant::read(variant, &serde));
                let variants: Vec<_> = variants.filter_map(Result::transpose).collect::<Result<_, _>>()?;
                let is_named = serde.tag.is_none() && data.variants.iter().any(|variant| variant.fields.is_empty());
                let is_untagged = serde.is_untagged || variants.iter().any(|variant| variant.is_untagged);
                let bare = match (is_untagged, is_named) {
                    (true, _) => Bare::Untagged,
                    (false, true) => Bare::Named,
                    (false, false) => Bare::Never,
                };
                Data::Enum(variants, bare)
            }
            syn::Data::Union(data) => {
                return Err(Error::new(data.union_token.span(), "`Pii` is derived for structs and enums"));
            }
        };
        let pii = TypeAttributes::read(&input.attrs)?;
        Ok(Self { ident: input.ident.clone(), generics: input.generics.clone(), pii, data })
    }
}

impl Shape {
    fn read(fields: &syn::Fields, case: &Both<Case>, is_transparent: bool) -> Result<Self, Error> {
        let read = fields.iter().map(|field| Field::read(field, case)).collect::<Result<Vec<_>, _>>()?;
        Ok(match fields {
            // What is left out has no place, either.
            syn::Fields::Unnamed(_) if read.len() > 1 && !is_transparent => {
                Self::Elements(read.into_iter().flatten().collect())
            }
            syn::Fields::Unnamed(_) => Self::Inner(read.into_iter().flatten().collect()),
            syn::Fields::Named(_) if is_transparent => Self::Inner(read.into_iter().flatten().collect()),
            syn::Fields::Named(_) | syn::Fields::Unit => Self::Members(read.into_iter().flatten().collect()),
        })
    }
}

impl Variant {
    /// Reads a variant; nothing where `serde` neither writes nor reads it.
    fn read(variant: &syn::Variant, container: &SerdeAttributes) -> Result<Option<Self>, Error> {
        let serde = SerdeAttributes::read(&variant.attrs)?;
        if serde.skips_writing && serde.skips_reading {
            return Ok(None);
        }
        if let Some((span, name)) = &serde.shape {
            let message =
                format!("`{name}` gives the variant another shape, which cannot be told: implement `Pii` by hand");
            return Err(Error::new(*span, message));
        }
        if let Some(attribute) = variant.attrs.iter().find(|attribute| attribute.path().is_ident("pii")) {
            return Err(Error::new_spanned(attribute, "tags stand on the fields of a variant"));
        }
        let fields = &container.rename_all_fields;
        let case =
            Both { written: serde.rename_all.written.or(fields.written), read: serde.rename_all.read.or(fields.read) };
        let ident = variant.ident.to_string();
        let ident = ident.strip_prefix("r#").unwrap_or(&ident);
        let cased = |case: Option<Case>| case.map_or_else(|| ident.to_owned(), |case| case.of_variant(ident));
        let around = match (&container.tag, &container.content) {
            _ if container.is_untagged || serde.is_untagged => Vec::new(),
            (Some(_), Some(content)) => vec![vec![content.clone()]],
            (Some(_), None) => Vec::new(),
            _ => vec![serde.spellings(cased, &container.rename_all)],
        };
        let is_untagged = serde.is_untagged;
        Ok(Some(Self { around, is_untagged, shape: Shape::read(&variant.fields, &case, false)? }))
    }
}
