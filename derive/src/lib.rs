//! The derive macro of [`fieldseal`](https://docs.rs/fieldseal). Use it through the feature `derive` of that crate.

mod case;
mod container;
mod expand;
mod field;
mod pii_attributes;
mod serde_attributes;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

use container::Container;

/// Implements `fieldseal::Pii`: a type tells which of its fields are personal, as `serde` writes and reads them.
///
/// On the type: `#[pii(collection = "customers")]`, where its records are stored as such, and `at = "$.items[:]"`, for
/// each place of documents that holds them, in place of `$` and `$[:]`. On a field:
///
/// - a tag: `name`, `phone`, `email`, `address`, `card_fragment`, `national_id`, `date_of_birth`, `text`, or one of your
///   own, `tag = "loyalty_number"`;
/// - `index`, or `index = "phone:SG"`: a blind index over that normal form;
/// - `field = "phone"`: the name that tokens are bound to, where it is not that of the member;
/// - `pad_to = 256`, `encrypt_null`, `null_if_unreadable`: as the methods of `fieldseal::Field`;
/// - `whole`: a list is encrypted as one value, and not each of its elements;
/// - `with = function`: what takes the `Field` and returns it with more;
/// - or `plain` alone: nothing in it is personal, whatever its type.
#[proc_macro_derive(Pii, attributes(pii))]
pub fn derive_pii(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    Container::read(&input).map_or_else(Error::into_compile_error, |container| expand::expand(&container)).into()
}
