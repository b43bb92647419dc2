//! The implementation that is written.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse_quote;
use syn::spanned::Spanned as _;

use crate::container::{Bare, Container, Data, Shape};
use crate::field::Field;
use crate::pii_attributes::{FieldAttributes, Tag, Tagged};

pub(crate) fn expand(container: &Container) -> TokenStream {
    let Container { ident, generics, pii, data } = container;
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::fieldseal::Pii));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let collection = pii.collection.as_ref().map(|collection| {
        quote!(const COLLECTION: ::core::option::Option<&'static str> = ::core::option::Option::Some(#collection);)
    });
    let at = &pii.at;
    let at = (!at.is_empty()).then(|| quote!(const AT: &'static [&'static str] = &[#(#at),*];));
    let body = match data {
        Data::Struct(shape) => of_shape(shape),
        Data::Enum(variants, bare) => {
            let bare = match bare {
                Bare::Named => Some(quote!(places.bare();)),
                Bare::Untagged => Some(quote!(places.untagged();)),
                Bare::Never => None,
            };
            let variants = variants.iter().map(|variant| {
                let inner = of_shape(&variant.shape);
                variant.around.iter().rev().fold(inner, |inner, names| member(names, &inner))
            });
            quote!(#bare #(#variants)*)
        }
    };
    quote! {
        #[automatically_derived]
        impl #impl_generics ::fieldseal::Pii for #ident #type_generics #where_clause {
            #collection
            #at

            #[allow(unused_variables)]
            fn describe(places: &mut ::fieldseal::policy::PiiPlaces) {
                #body
            }
        }
    }
}

fn of_shape(shape: &Shape) -> TokenStream {
    match shape {
        Shape::Members(fields) => fields
            .iter()
            .map(|field| {
                let inner = of_field(field);
                if field.is_flattened || inner.is_empty() { inner } else { member(&field.names, &inner) }
            })
            .collect(),
        Shape::Inner(fields) => fields.iter().map(of_field).collect(),
        Shape::Elements(fields) => (0_u32..)
            .zip(fields)
            .map(|(index, field)| {
                let inner = of_field(field);
                quote!(places.element(#index, |places| { #inner });)
            })
            .collect(),
    }
}

fn member(names: &[String], inner: &TokenStream) -> TokenStream {
    if inner.is_empty() {
        return TokenStream::new();
    }
    quote!(places.member(&[#(#names),*], |places| { #inner });)
}

fn of_field(field: &Field) -> TokenStream {
    match &field.pii {
        FieldAttributes::Plain => TokenStream::new(),
        FieldAttributes::None => {
            let kind = &field.kind;
            quote_spanned!(kind.span()=> places.nested::<#kind>();)
        }
        FieldAttributes::Tagged(tagged) => {
            let tagged_here = tagged_value(tagged);
            if field.is_list() && !tagged.is_whole {
                quote!(places.elements(|places| { #tagged_here });)
            } else {
                tagged_here
            }
        }
    }
}

fn tagged_value(tagged: &Tagged) -> TokenStream {
    let Tagged { tag, index, field, pad_to, encrypts_null, null_if_unreadable, is_whole: _, with } = tagged;
    let name = field.as_ref().map_or_else(|| quote!(None), |name| quote!(Some(#name)));
    let name = quote!(::core::option::Option::#name);
    let value = match tag {
        Tag::Known(variant) => {
            let variant = Ident::new(variant, Span::call_site());
            quote!(::fieldseal::Tag::#variant)
        }
        Tag::Own(tag) => quote!(::fieldseal::Tag::custom(#tag)),
    };
    let pad_to = pad_to.as_ref().map(|bytes| quote!(.pad_to(#bytes)));
    let encrypt_null = encrypts_null.then(|| quote!(.encrypt_null()));
    let null_if_unreadable = null_if_unreadable.then(|| quote!(.null_if_unreadable()));
    let index = index.as_ref().map(|(_, form)| {
        let form = match (form, tag) {
            (Some(form), _) => form.value(),
            (None, Tag::Known("Email")) => "email".to_owned(),
            (None, Tag::Known("Name")) => "name".to_owned(),
            (None, _) => "exact".to_owned(),
        };
        quote! {
            .blind_index(::fieldseal::policy::BlindIndex::new(::fieldseal::policy::Normalizer::by_name(#form)?))
        }
    });
    let field = quote!(::fieldseal::Field::new(name, #value) #pad_to #encrypt_null #null_if_unreadable #index);
    let field = match with {
        Some(with) => quote_spanned!(with.span()=> #with(#field)),
        None => field,
    };
    quote!(places.tagged(#name, |name| ::core::result::Result::Ok(#field));)
}
