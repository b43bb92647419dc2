//! A field of a struct or a variant.

use syn::{Error, GenericArgument, PathArguments, Type};

use crate::case::Case;
use crate::pii_attributes::FieldAttributes;
use crate::serde_attributes::{Both, SerdeAttributes};

pub(crate) struct Field {
    /// Every spelling of its name, or none where it stands at a place of its own in an array.
    pub(crate) names: Vec<String>,
    pub(crate) kind: Type,
    pub(crate) is_flattened: bool,
    pub(crate) pii: FieldAttributes,
}

impl Field {
    /// Reads a field; nothing where `serde` neither writes nor reads it.
    pub(crate) fn read(field: &syn::Field, case: &Both<Case>) -> Result<Option<Self>, Error> {
        let serde = SerdeAttributes::read(&field.attrs)?;
        let pii = FieldAttributes::read(&field.attrs)?;
        if serde.skips_writing && serde.skips_reading {
            return Ok(None);
        }
        if let (Some((span, name)), FieldAttributes::None) = (&serde.shape, &pii) {
            let message = format!(
                "what `{name}` makes of the value cannot be told: give the field a tag, or write `#[pii(plain)]` if nothing in it is personal"
            );
            return Err(Error::new(*span, message));
        }
        if let (Some((span, name)), FieldAttributes::Tagged(tagged)) = (&serde.shape, &pii)
            && is_list(&field.ty)
            && !tagged.is_whole
        {
            let message = format!(
                "what `{name}` makes of the list cannot be told: write `#[pii(…, whole)]`, which encrypts whatever it is as one value"
            );
            return Err(Error::new(*span, message));
        }
        if field.ident.is_none() && (serde.skips_writing != serde.skips_reading || serde.may_be_left_out.is_some()) {
            let message = "an element that is left out on one side alone, or at times, moves those behind it, so that \
                           their places cannot be told: name the fields";
            return Err(Error::new_spanned(field, message));
        }
        if serde.is_flattened && matches!(pii, FieldAttributes::Tagged(_)) {
            return Err(Error::new_spanned(
                field,
                "a flattened field has no member of its own: tag the fields of its type",
            ));
        }
        let names = field.ident.as_ref().map(|ident| {
            let ident = ident.to_string();
            let ident = ident.strip_prefix("r#").unwrap_or(&ident);
            serde.spellings(|case| case.map_or_else(|| ident.to_owned(), |case| case.of_field(ident)), case)
        });
        let names = names.unwrap_or_default();
        if let FieldAttributes::Tagged(tagged) = &pii
            && let Some((span, _)) = tagged.index
            && names.len() > 1
        {
            let message =
                "a field with an index has one name, beside which the index stands: remove the alias, or the index";
            return Err(Error::new(span, message));
        }
        Ok(Some(Self { names, kind: field.ty.clone(), is_flattened: serde.is_flattened, pii }))
    }

    /// Whether its type is written as a list, by its name.
    pub(crate) fn is_list(&self) -> bool {
        is_list(&self.kind)
    }
}

fn is_list(kind: &Type) -> bool {
    match kind {
        Type::Array(_) | Type::Slice(_) => true,
        Type::Reference(reference) => is_list(&reference.elem),
        Type::Paren(paren) => is_list(&paren.elem),
        Type::Group(group) => is_list(&group.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| match &*last.ident.to_string() {
            "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => true,
            "Option" | "Box" | "Arc" | "Rc" | "Cow" => match &last.arguments {
                PathArguments::AngleBracketed(arguments) => arguments
                    .args
                    .iter()
                    .any(|argument| matches!(argument, GenericArgument::Type(inner) if is_list(inner))),
                _ => false,
            },
            _ => false,
        }),
        _ => false,
    }
}
