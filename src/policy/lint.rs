//! What a policy may not say, and why.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use super::automaton::{Automaton, Conflict};
use super::compound_index::CompoundIndex;
use super::field::{Field, FieldIndex};
use super::path::{Path, Selector};
use super::record_binding::RecordBinding;
use super::strict::Strict;
use super::subsets::too_many_states_of;
use crate::crypto::padding;
use crate::text::Validation;

const MOST_FIELDS: usize = 256;
const LONGEST_NAME: usize = 255;
/// The most fields that one index is made of.
const MOST_PARTS: usize = 8;

/// Where in a policy a fault stands, for a reader of the policy's file to point at its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Collection,
    Field(usize),
    Path(usize, usize),
}

#[derive(Debug)]
pub(crate) struct Fault {
    #[cfg_attr(
        not(any(feature = "toml", feature = "openapi")),
        expect(dead_code, reason = "only a file has places to point at")
    )]
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// What is made of the fields of a policy that keeps to the rules.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) automaton: Automaton,
    /// What people call the fields by, as [`plain_name`]: their names, and the last names of their paths.
    #[cfg_attr(
        not(any(feature = "layer", feature = "openapi", feature = "redact")),
        expect(dead_code, reason = "for queries, descriptions of them, and logs")
    )]
    pub(super) called: HashMap<String, FieldIndex>,
    /// The fields with a blind index. The places of those have the numbers behind the fields'.
    pub(super) indexed: Vec<FieldIndex>,
    /// The fields of each index of several, whose places have the numbers behind those.
    pub(super) parts: Vec<Vec<FieldIndex>>,
    /// Where untagged personal data is not looked for.
    pub(super) exceptions: Option<Arc<Automaton>>,
    /// What is asked of each field for every value. It stands close together here: fields take a few cache lines each.
    pub(super) briefs: Box<[Brief]>,
}

/// What is asked of a field for every value.
#[derive(Debug)]
pub(super) struct Brief {
    pub(super) minimum: usize,
    pub(super) is_only_encrypted: bool,
    pub(super) is_required: bool,
}

/// Checks a policy and compiles its paths.
pub(super) fn check(
    collection: &str,
    fields: &[Field],
    compounds: &[CompoundIndex],
    records: Option<&RecordBinding>,
    strict: Option<&Strict>,
) -> Result<Checked, Fault> {
    let fault = |place, message: String| Err(Fault { place, message });
    if let Some(problem) = name_problem(collection) {
        return fault(Place::Collection, format!("the collection's name {problem}"));
    }
    if fields.is_empty() || fields.len() > MOST_FIELDS {
        return fault(
            Place::Collection,
            format!("a policy has 1 to {MOST_FIELDS} fields, this one has {}", fields.len()),
        );
    }
    let mut names = HashSet::new();
    let mut paths = Vec::new();
    let mut places = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        check_field(field).map_err(|message| Fault { place: Place::Field(index), message })?;
        if !names.insert(&field.name) {
            return fault(Place::Field(index), format!("field `{}` stands twice", field.name));
        }
        for (path_index, text) in field.paths.iter().enumerate() {
            let place = Place::Path(index, path_index);
            let path = parse(&field.name, text).map_err(|message| Fault { place, message })?;
            paths.push((FieldIndex(u16::try_from(index).expect("the number of fields was checked")), path));
            places.push(place);
        }
    }
    let indexed = index_places(fields, &mut paths, &mut places)?;
    let first_place = fields.len() + indexed.len();
    let parts = compound_places(fields, compounds, first_place, &mut paths);
    let parts = parts.map_err(|message| Fault { place: Place::Collection, message })?;
    places.resize(paths.len(), Place::Collection);
    let last_names = paths.iter().filter_map(|(field, path)| {
        let last = path.segments.iter().rev().find_map(|segment| match &segment.selector {
            Selector::Name(name) => Some(name),
            Selector::Index(_) | Selector::Elements | Selector::Members | Selector::Wildcard => None,
        });
        last.map(|name| (plain_name(name).into_owned(), *field))
    });
    // The name of a field is worth more than that of a path, and overwrites it.
    let called = last_names
        .chain((0..).zip(fields).map(|(index, field)| (plain_name(&field.name).into_owned(), FieldIndex(index))));
    let mut called = called.collect();
    add_parameters(fields, &mut called)?;
    if let Some(records) = records {
        record_places(records, &mut paths).map_err(|message| Fault { place: Place::Collection, message })?;
        places.resize(paths.len(), Place::Collection);
    }
    let number = |place: usize| u16::try_from(place).expect("the numbers of all were checked");
    let compound_range = number(first_place)..number(first_place + parts.len());
    let automaton = Automaton::new(&paths, &compound_range).map_err(|conflict| {
        // The place of a blind index stands for its field.
        let field = |field: FieldIndex| {
            let place = usize::from(field.0);
            let index = |index: usize| indexed.get(index).unwrap_or_else(|| &parts[index - indexed.len()][0]);
            &fields[place.checked_sub(fields.len()).map_or(place, |place| index(place).0.into())]
        };
        let name = |index: FieldIndex| &field(index).name;
        let paths_of = |index: FieldIndex| field(index).paths.join(", ");
        match conflict {
            Conflict::Overlap(one, other) => Fault {
                place: Place::Field(usize::from(other.0).min(fields.len() - 1)),
                message: format!(
                    "the paths of `{}` and `{}` can select the same value, which belongs to one field: {} and {}",
                    name(one),
                    name(other),
                    paths_of(one),
                    paths_of(other)
                ),
            },
            Conflict::Unreachable(path) if paths[path].0 == FieldIndex::RECORD => Fault {
                place: places[path],
                message: "a path of records lies inside a field, which is encrypted whole".to_owned(),
            },
            Conflict::Unreachable(path) => Fault {
                place: places[path],
                message: format!(
                    "a path of `{}` lies inside another field, which is encrypted whole, and would never apply",
                    name(paths[path].0)
                ),
            },
            Conflict::TooManyStates(path) => Fault {
                place: places[path],
                message: too_many_states_of(fields, records, places[path], paths.len() - path),
            },
        }
    })?;
    if let Some(RecordBinding { member, .. }) = records.filter(|records| automaton.encrypts_in_records(&records.member))
    {
        return fault(Place::Collection, format!("`{member}` tells records apart, and a wildcard encrypts it"));
    }
    let exceptions = strict.map_or(Ok(None), Strict::check);
    let exceptions = exceptions.map_err(|message| Fault { place: Place::Collection, message })?;
    let briefs = (0..).map(FieldIndex).zip(fields).map(|(index, field)| Brief {
        minimum: field.minimum(),
        is_only_encrypted: field.is_only_encrypted() && !parts.iter().flatten().any(|part| *part == index),
        is_required: field.validation().is_some_and(Validation::is_required),
    });
    let briefs = briefs.collect();
    Ok(Checked { automaton, called, indexed, parts, exceptions, briefs })
}

/// Adds what query parameters call the fields beside their names.
fn add_parameters(fields: &[Field], called: &mut HashMap<String, FieldIndex>) -> Result<(), Fault> {
    for (number, field) in (0..).zip(fields) {
        for parameter in &field.parameters {
            let fault = |problem: String| {
                let message = format!("field `{}`: the name of a parameter {problem}", field.name);
                Err(Fault { place: Place::Field(number.into()), message })
            };
            if let Some(problem) = name_problem(parameter) {
                return fault(problem.to_owned());
            }
            let other = called.insert(plain_name(parameter).into_owned(), FieldIndex(number));
            if other.is_some_and(|other| other.0 != number) {
                return fault(format!("is that of another field or of an index: `{parameter}`"));
            }
        }
    }
    Ok(())
}

/// Adds the places of blind indexes to the paths: beside the members that they are of.
fn index_places(
    fields: &[Field],
    paths: &mut Vec<(FieldIndex, Path)>,
    places: &mut Vec<Place>,
) -> Result<Vec<FieldIndex>, Fault> {
    let mut indexed = Vec::new();
    for (number, field) in (0..).zip(fields) {
        let (Some(index), Some(sibling)) = (field.index(), field.index_name()) else { continue };
        let fault = |message: String| Fault { place: Place::Field(number.into()), message };
        let name = &field.name;
        if let Some(problem) = name_problem(&sibling).or_else(|| needs_escapes(&sibling)) {
            return Err(fault(format!("field `{name}`: the name of its blind index {problem}")));
        }
        if let Some(problem) = index.problem(name, &field.tag) {
            return Err(fault(format!("field `{name}`: {problem}")));
        }
        let place = FieldIndex(u16::try_from(fields.len() + indexed.len()).expect("there are 256 fields at most"));
        let own: Vec<_> = paths.iter().filter(|(field, _)| field.0 == number).map(|(_, path)| path.clone()).collect();
        let mut last_name = None;
        for mut path in own {
            let last = path.segments.last_mut().map(|segment| &mut segment.selector);
            match last {
                Some(Selector::Name(own)) if last_name.as_ref().is_none_or(|last| last == own) => {
                    last_name = Some(mem::replace(own, sibling.clone().into_owned()));
                }
                _ => {
                    let message = "has a blind index, which stands beside it: its paths must all end in one name";
                    return Err(fault(format!("field `{name}` {message}")));
                }
            }
            paths.push((place, path));
            places.push(Place::Field(number.into()));
        }
        indexed.push(FieldIndex(number));
    }
    Ok(indexed)
}

/// Adds the places of indexes of several fields: in the objects that hold them. The first one's is `first_place`.
fn compound_places(
    fields: &[Field],
    compounds: &[CompoundIndex],
    first_place: usize,
    paths: &mut Vec<(FieldIndex, Path)>,
) -> Result<Vec<Vec<FieldIndex>>, String> {
    if compounds.len() > MOST_FIELDS {
        return Err(format!("a policy has {MOST_FIELDS} indexes of several fields at most"));
    }
    let mut all = Vec::new();
    for (number, compound) in compounds.iter().enumerate() {
        let name = &compound.name;
        let fault = |message: &str| format!("the index `{name}` {message}");
        if let Some(problem) = name_problem(name).or_else(|| needs_escapes(name)) {
            return Err(format!("the name of an index of several fields {problem}"));
        }
        if compounds[..number].iter().any(|other| other.name == *name) {
            return Err(fault("stands twice"));
        }
        let mut parts = Vec::new();
        for (part, _) in &compound.parts {
            let part = (0..).zip(fields).find(|(_, field)| field.name == *part).map(|(place, _)| FieldIndex(place));
            parts.push(part.ok_or_else(|| fault("has a part which is no field"))?);
        }
        let is_repeated = (1..parts.len()).any(|at| parts[..at].contains(&parts[at]));
        if is_repeated || !(2..=MOST_PARTS).contains(&parts.len()) {
            return Err(fault("needs two to eight different fields"));
        }
        let places =
            parts.iter().map(|part| beside(paths, *part, name).ok_or_else(|| fault("has a part that is no member")));
        let mut places = places.collect::<Result<Vec<_>, _>>()?;
        let first = places.swap_remove(0);
        if places.iter().any(|other| other.len() != first.len() || !first.iter().all(|path| other.contains(path))) {
            return Err(fault("has parts that stand in different objects, by their paths"));
        }
        let place = FieldIndex(u16::try_from(first_place + number).expect("the numbers of all were checked"));
        paths.extend(first.into_iter().map(|path| (place, path)));
        all.push(parts);
    }
    Ok(all)
}

/// Returns the places of a member called `name` beside the values of `field`; nothing where those are no members.
fn beside(paths: &[(FieldIndex, Path)], field: FieldIndex, name: &str) -> Option<Vec<Path>> {
    let own = paths.iter().filter(|(other, _)| *other == field).map(|(_, path)| path.clone());
    let beside = own.map(|mut path| match path.segments.last_mut().map(|segment| &mut segment.selector) {
        Some(Selector::Name(last)) => {
            name.clone_into(last);
            Some(path)
        }
        _ => None,
    });
    beside.collect()
}

/// Adds the paths at which records stand.
fn record_places(records: &RecordBinding, paths: &mut Vec<(FieldIndex, Path)>) -> Result<(), String> {
    let member = &records.member;
    if let Some(problem) = name_problem(member) {
        return Err(format!("the name of the member that is a record's id {problem}"));
    }
    let is_member = |path: &Path| {
        let last = path.segments.last().map(|segment| &segment.selector);
        matches!(last, Some(Selector::Name(name)) if name == member)
    };
    if paths.iter().any(|(_, path)| is_member(path)) {
        return Err(format!("`{member}` tells records apart, and cannot itself be encrypted or an index"));
    }
    for text in &records.paths {
        // The root alone is no path of a field.
        let path = if text == "$" { Ok(Path { segments: Vec::new() }) } else { Path::parse(text) };
        let path =
            path.map_err(|error| format!("path of records `{text}`, character {}: {}", error.column, error.message))?;
        paths.push((FieldIndex::RECORD, path));
    }
    Ok(())
}

fn needs_escapes(name: &str) -> Option<&'static str> {
    name.contains(['"', '\\']).then_some("holds a quote or a backslash")
}

/// A name without case and without what words are joined by.
pub(crate) fn plain_name(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return name.into();
    }
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
    // A name of nothing else is told from no name.
    if plain.is_empty() { name.into() } else { plain.into() }
}

fn check_field(field: &Field) -> Result<(), String> {
    let name = &field.name;
    if let Some(problem) = name_problem(name) {
        return Err(format!("the name of a field {problem}"));
    }
    if let Some(problem) = name_problem(field.tag.name()) {
        return Err(format!("field `{name}`: the tag's name {problem}"));
    }
    if let Some(reason) = never_encrypted(name) {
        return Err(format!("field `{name}`: {reason}"));
    }
    if field.paths == [Field::default_path(name)] && name.contains(['.', '[', '*', '$']) {
        return Err(format!("the name `{name}` looks like a path; give the field a plain name, and add `.path(..)`"));
    }
    if field.null_if_unreadable && field.encrypt_null {
        return Err(format!(
            "field `{name}`: a `null` that is encrypted cannot be told from one that stands for an unreadable value; \
             choose `encrypt_null` or `null_if_unreadable`"
        ));
    }
    if let Some(problem) = minimum_problem(field.minimum) {
        return Err(format!("field `{name}`: {problem}"));
    }
    Ok(())
}

fn parse(field: &str, text: &str) -> Result<Path, String> {
    let path = Path::parse(text)
        .map_err(|error| format!("field `{field}`, path `{text}`, character {}: {}", error.column, error.message))?;
    if let Some(Selector::Name(name)) = path.segments.last().map(|segment| &segment.selector)
        && let Some(reason) = never_encrypted(name)
    {
        return Err(format!("field `{field}`, path `{text}`: {reason}"));
    }
    Ok(path)
}

/// What is wrong with a minimum that values are padded to.
pub(super) fn minimum_problem(minimum: usize) -> Option<String> {
    (!padding::is_minimum(minimum))
        .then(|| format!("values are padded to a power of two from 32 to 4,096, not {minimum}"))
}

fn name_problem(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        name if name.len() > LONGEST_NAME => Some("is longer than 255 bytes"),
        name if name.contains(char::is_control) => Some("holds a control character"),
        _ => None,
    }
}

/// What encryption is the wrong answer for.
fn never_encrypted(name: &str) -> Option<&'static str> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match &name[..] {
        "cvv" | "cvc" | "cvv2" | "cvc2" | "cardverificationcode" => {
            Some("a card verification code may not be stored at all, encrypted or not (PCI DSS, requirement 3.3.1)")
        }
        "passwd" | "pwd" | "passphrase" => Some(PASSWORD),
        name if name.ends_with("password") || name.ends_with("passwordhash") => Some(PASSWORD),
        _ => None,
    }
}

const PASSWORD: &str = "a password is not encrypted but hashed (Argon2id), so that nobody can turn it back";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{BlindIndex, Normalizer, Tag};

    fn fields() -> Vec<Field> {
        let index = BlindIndex::new(Normalizer::exact());
        vec![
            Field::new("phone", Tag::Phone).path("$.phone").blind_index(index),
            Field::new("postcode", Tag::Address).path("$.postcode"),
            Field::new("birth_year", Tag::DateOfBirth).path("$.birth_year"),
        ]
    }

    fn compound(name: &str) -> CompoundIndex {
        CompoundIndex::new(name).part("postcode", Normalizer::exact()).part("birth_year", Normalizer::exact())
    }

    fn checked(fields: &[Field], compounds: &[CompoundIndex]) -> Result<Checked, Fault> {
        check("customers", fields, compounds, None, None)
    }

    #[test]
    fn an_index_that_stands_where_a_field_does_is_told_by_the_fields_that_it_is_of() {
        for (name, other) in [("birth_year", "birth_year"), ("phone_index", "phone")] {
            let fault = checked(&fields(), &[compound(name)]).unwrap_err();
            let message = &fault.message;
            assert!(message.contains("`postcode`") && message.contains(&format!("`{other}`")), "{message}");
            // The last field stands for what is none.
            assert!(format!("{fault:?}").contains("place: Field(2)"), "{fault:?}");
        }
    }

    #[test]
    fn a_policy_has_so_many_indexes_of_several_fields_and_no_more() {
        let indexes = |count: usize| (0..count).map(|number| compound(&format!("index_{number}"))).collect::<Vec<_>>();
        assert_eq!(checked(&fields(), &indexes(MOST_FIELDS)).unwrap().parts.len(), MOST_FIELDS);
        let fault = checked(&fields(), &indexes(MOST_FIELDS + 1)).unwrap_err();
        assert!(fault.message.contains("256 indexes of several fields at most"), "{}", fault.message);
    }

    #[test]
    fn an_index_stands_beside_its_own_parts_whatever_other_fields_there_are() {
        let mut fields = fields();
        fields.push(Field::new("tags", Tag::Text).path("$.tags[*]"));
        fields.push(Field::new("city", Tag::Address).path("$.home.city"));
        let Checked { automaton, parts, .. } = checked(&fields, &[compound("place_and_year")]).unwrap();
        assert_eq!(parts, [[FieldIndex(1), FieldIndex(2)]]);
        let root = automaton.start();
        assert!(automaton.field(automaton.member(root, b"place_and_year")).is_some());
        let home = automaton.member(root, b"home");
        assert_eq!(automaton.field(automaton.member(home, b"place_and_year")), None);
    }
}
