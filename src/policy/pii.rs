//! Types that tell which of their fields are personal.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::num;
use std::rc::Rc;
use std::sync::Arc;

use super::blind_index::BlindIndex;
use super::field::Field;
use super::policy::{Policy, PolicyBuilder};
use crate::error::{Error, ErrorKind};

/// How deep types may stand in each other.
const DEEPEST: usize = 64;
/// How many paths a place may have: each spelling of each name around it makes others.
const MOST_PATHS: usize = 512;
/// The elements of an array, and all that an array or an object holds. As long as each other, so that one takes the place of
/// the other.
const ELEMENTS: &str = "[:]";
const ANYTHING: &str = "[*]";

/// A type that tells which of its fields are personal, as `serde` writes and reads them.
///
/// `#[derive(Pii)]` implements it, see the [guide](crate::docs::derive). Types of the standard library hold nothing of
/// their own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which of its fields are personal",
    label = "not known to hold nothing personal",
    note = "derive `fieldseal::Pii` for `{Self}`, or write `#[pii(plain)]` on the field if nothing in it is personal"
)]
pub trait Pii {
    /// The collection of records of this type, where one is named.
    const COLLECTION: Option<&'static str> = None;

    /// Where documents hold records of this type: alone, and in a list.
    const AT: &'static [&'static str] = &["$", "$[:]"];

    /// Tells `places` the tagged fields.
    fn describe(places: &mut PiiPlaces);

    /// Returns a builder of the policy of records of this type, to add to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`] where the type names no collection, or its fields cannot be told: a type that holds itself,
    /// two fields of one name with different tags.
    fn policy_builder() -> Result<PolicyBuilder, Error>
    where
        Self: Sized,
    {
        let collection = Self::COLLECTION.ok_or_else(|| {
            let message = format!("`{}` names no collection: `#[pii(collection = \"…\")]`", type_name::<Self>());
            Error::new(ErrorKind::Policy, message)
        })?;
        let mut places = PiiPlaces::new(Self::AT);
        places.nested::<Self>();
        let fields = places.finish()?;
        Ok(fields.into_iter().fold(Policy::builder(collection), PolicyBuilder::field))
    }

    /// Returns the policy of records of this type.
    ///
    /// # Errors
    ///
    /// As [`policy_builder`](Self::policy_builder) and [`PolicyBuilder::build`].
    ///
    /// # Example
    ///
    /// ```
    /// use fieldseal::Pii;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Pii)]
    /// #[pii(collection = "customers")]
    /// struct Customer {
    ///     id: u64,
    ///     #[pii(phone)]
    ///     #[serde(alias = "tel")]
    ///     phone: Option<String>,
    /// }
    ///
    /// let policy = Customer::policy()?;
    /// assert_eq!(policy.fields()[0].paths(), ["$['phone']", "$['tel']", "$[:]['phone']", "$[:]['tel']"]);
    /// # Ok::<(), fieldseal::Error>(())
    /// ```
    fn policy() -> Result<Policy, Error>
    where
        Self: Sized,
    {
        Self::policy_builder()?.build()
    }
}

/// The places in a document at which a type is described.
#[derive(Debug)]
pub struct PiiPlaces {
    /// The paths of this place.
    paths: Vec<String>,
    /// The names that lead here, from the record on.
    names: Vec<String>,
    /// The types around it.
    types: Vec<&'static str>,
    fields: Vec<Field>,
    /// Paths of elements that need not be objects.
    bare: Vec<String>,
    fault: Option<Error>,
}

impl PiiPlaces {
    fn new(at: &[&str]) -> Self {
        let paths = at.iter().map(|&path| path.to_owned()).collect();
        Self { paths, names: Vec::new(), types: Vec::new(), fields: Vec::new(), bare: Vec::new(), fault: None }
    }

    /// Describes the member that is called by any of `names`, of which the first is the one that it is written under.
    pub fn member(&mut self, names: &[&str], inside: impl FnOnce(&mut Self)) {
        let spelled: Vec<_> = names.iter().map(|name| format!("['{}']", quoted(name))).collect();
        self.names.extend(names.first().map(|&name| name.to_owned()));
        self.within(&spelled, inside);
        self.names.pop();
    }

    /// Describes the elements of an array.
    pub fn elements(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(&[ELEMENTS.to_owned()], inside);
    }

    /// Describes the element at `index` of an array.
    pub fn element(&mut self, index: u32, inside: impl FnOnce(&mut Self)) {
        self.names.push(index.to_string());
        self.within(&[format!("[{index}]")], inside);
        self.names.pop();
    }

    /// Describes the members of an object, whatever they are called.
    pub fn any_member(&mut self, inside: impl FnOnce(&mut Self)) {
        self.within(&[".{*}".to_owned()], inside);
    }

    /// Says that what stands here need not be an object, though some of it is: elements of a list that are no records are
    /// refused otherwise, since `serde` reads a record also from an array of its members.
    pub fn bare(&mut self) {
        let elements = self.paths.iter().filter(|path| path.ends_with(ELEMENTS)).cloned();
        self.bare.extend(elements);
    }

    /// Says the same of what may be anything, arrays as well: where a record stands alone or in a list, an array of other
    /// things than objects may be a record, and is refused.
    pub fn untagged(&mut self) {
        let is_list = |path: &&String| {
            let list = path.strip_suffix(ELEMENTS);
            list.is_some_and(|list| self.paths.iter().all(|other| other != list))
        };
        let elements: Vec<_> = self.paths.iter().filter(is_list).cloned().collect();
        self.bare.extend(elements);
    }

    /// Describes what stands here as a `T`.
    pub fn nested<T: Pii + ?Sized>(&mut self) {
        let name = type_name::<T>();
        if self.types.contains(&name) || self.types.len() >= DEEPEST {
            return self.fail(format!("`{name}` holds itself: give its fields paths such as `$..phone` in a policy"));
        }
        self.types.push(name);
        T::describe(self);
        self.types.pop();
    }

    /// Says that the value here is the tagged field that `make` makes of a name: `name`, or where there is none the names
    /// that lead here, with dots between them.
    pub fn tagged(&mut self, name: Option<&str>, make: impl FnOnce(String) -> Result<Field, Error>) {
        let name = name.map_or_else(|| self.names.join("."), str::to_owned);
        if name.is_empty() {
            return self
                .fail("a tagged value that is the whole record has no name: give it one, `field = \"…\"`".to_owned());
        }
        let mut field = match make(name) {
            Ok(field) => field,
            Err(fault) => {
                self.fault.get_or_insert(fault);
                return;
            }
        };
        if let (Some(index), Some(last)) = (&mut field.index, self.names.last()) {
            index.name.get_or_insert_with(|| BlindIndex::usual_name(last));
        }
        let Some(same) = self.fields.iter_mut().find(|other| other.name == field.name) else {
            field.paths.extend(self.paths.iter().cloned());
            self.fields.push(field);
            return;
        };
        if same.tag != field.tag {
            let message = format!("`{}` is the name of two fields with different tags", field.name);
            return self.fail(message);
        }
        let new: Vec<_> = self.paths.iter().filter(|path| !same.paths.contains(path)).cloned().collect();
        same.paths.extend(new);
    }

    fn finish(self) -> Result<Vec<Field>, Error> {
        let Self { mut fields, bare, fault, .. } = self;
        for path in fields.iter_mut().flat_map(|field| &mut field.paths) {
            let told = path.clone();
            for bare in bare.iter().filter(|bare| told.starts_with(&***bare)) {
                // A wildcard stands for any value.
                path.replace_range(bare.len() - ELEMENTS.len()..bare.len(), ANYTHING);
            }
        }
        fault.map_or(Ok(fields), Err)
    }

    fn within(&mut self, segments: &[String], inside: impl FnOnce(&mut Self)) {
        let inner = self.paths.iter().flat_map(|path| segments.iter().map(move |segment| format!("{path}{segment}")));
        let inner: Vec<_> = inner.collect();
        if inner.len() > MOST_PATHS {
            return self.fail("the names of a place and of what is around it have too many spellings".to_owned());
        }
        let outer = std::mem::replace(&mut self.paths, inner);
        inside(self);
        self.paths = outer;
    }

    fn fail(&mut self, message: String) {
        self.fault.get_or_insert_with(|| Error::new(ErrorKind::Policy, message));
    }
}

fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\'', "\\'")
}

/// Types that hold nothing personal by themselves.
macro_rules! plain {
    ($($plain:ty),* $(,)?) => {
        $(impl Pii for $plain {
            fn describe(_: &mut PiiPlaces) {}
        })*
    };
}

plain!(
    (),
    bool,
    char,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    num::NonZeroI32,
    num::NonZeroI64,
    num::NonZeroU32,
    num::NonZeroU64,
    num::NonZeroUsize,
    str,
    String,
    std::path::Path,
    std::path::PathBuf,
    std::time::Duration,
    std::time::SystemTime,
    std::net::IpAddr,
    std::net::Ipv4Addr,
    std::net::Ipv6Addr,
    std::net::SocketAddr,
);

/// Types that `serde` writes as what they hold.
macro_rules! transparent {
    ($($outer:ty),* $(,)?) => {
        $(impl<T: Pii + ?Sized> Pii for $outer {
            fn describe(places: &mut PiiPlaces) {
                T::describe(places);
            }
        })*
    };
}

transparent!(&T, &mut T, Box<T>, Rc<T>, Arc<T>, std::cell::RefCell<T>, std::sync::Mutex<T>, std::sync::RwLock<T>);

impl<T: Pii> Pii for Option<T> {
    fn describe(places: &mut PiiPlaces) {
        T::describe(places);
    }
}

impl<T: ?Sized> Pii for PhantomData<T> {
    fn describe(_: &mut PiiPlaces) {}
}

impl<T: Pii> Pii for std::cell::Cell<T> {
    fn describe(places: &mut PiiPlaces) {
        T::describe(places);
    }
}

impl<T: Pii + ToOwned + ?Sized> Pii for Cow<'_, T> {
    fn describe(places: &mut PiiPlaces) {
        T::describe(places);
    }
}

/// Types that `serde` writes as arrays.
macro_rules! list {
    ($([$($generics:tt)*] $list:ty),* $(,)?) => {
        $(impl<T: Pii, $($generics)*> Pii for $list {
            fn describe(places: &mut PiiPlaces) {
                places.elements(T::describe);
            }
        })*
    };
}

list!([] [T], [const N: usize] [T; N], [] Vec<T>, [] VecDeque<T>, [] BTreeSet<T>, [S] HashSet<T, S>);

impl<K, T: Pii, S> Pii for HashMap<K, T, S> {
    fn describe(places: &mut PiiPlaces) {
        places.any_member(T::describe);
    }
}

impl<K, T: Pii> Pii for BTreeMap<K, T> {
    fn describe(places: &mut PiiPlaces) {
        places.any_member(T::describe);
    }
}

macro_rules! tuple {
    ($($part:ident $index:literal),*) => {
        impl<$($part: Pii),*> Pii for ($($part,)*) {
            fn describe(places: &mut PiiPlaces) {
                $(places.element($index, $part::describe);)*
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
