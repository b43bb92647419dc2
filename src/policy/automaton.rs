//! All paths of a policy as one deterministic automaton, stepped once for each member or element.

use std::collections::HashMap;
use std::ops::Range;

use super::field::FieldIndex;
use super::names::Names;
use super::path::{Path, Selector};

const MOST_STATES: usize = 1024;

/// How much of the policy's paths is matched at one place of a document. The highest bit tells that a field stands there,
/// the one below it that an object there is a record, the one below that that it may hold the parts of an index, and the next that it
/// is the element of a list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u16);

const IS_FIELD: u16 = 1 << 15;
const IS_RECORD: u16 = 1 << 14;
const HAS_PARTS: u16 = 1 << 13;
const IS_ELEMENT: u16 = 1 << 12;

impl State {
    /// Nothing tagged can stand here or below.
    pub(crate) const DEAD: Self = Self(0);
    /// The root of a document, but for its bits.
    const START: Self = Self(1);

    fn place(self) -> usize {
        usize::from(self.0 & !(IS_FIELD | IS_RECORD | HAS_PARTS | IS_ELEMENT))
    }

    /// Returns whether an object at this place may hold the parts of an index of several fields.
    #[inline]
    pub(crate) fn has_parts(self) -> bool {
        self.0 & HAS_PARTS != 0
    }

    /// Returns whether something is to be known of what stands at this place before it is read.
    #[inline]
    pub(crate) fn is_looked_at(self) -> bool {
        self.0 & (IS_FIELD | IS_ELEMENT) != 0
    }

    /// Returns what an object at this place is passed on as, where it is a record.
    #[inline]
    pub(crate) fn record(self) -> Option<FieldIndex> {
        if self.0 & IS_RECORD == 0 { None } else { Some(FieldIndex(self.0)) }
    }
}

impl FieldIndex {
    /// What stands for a path of records while the automaton is built.
    pub(super) const RECORD: Self = Self(IS_RECORD);

    /// Returns the state within the record that this stands for, where it does.
    pub(crate) fn in_record(self) -> Option<State> {
        (self.0 & IS_RECORD != 0).then_some(State(self.0 & !IS_RECORD))
    }
}

/// Finds the field, if any, that stands at a place of a document.
#[derive(Debug)]
pub(crate) struct Automaton {
    /// Names that paths mention, sorted by length and then by bytes; the symbol of one is its place here, plus one.
    names: Vec<Box<[u8]>>,
    /// The same, told roughly.
    mentioned: Names,
    /// Which of `names` have a given length.
    names_by_length: Vec<Range<usize>>,
    /// Indexes that paths mention, sorted.
    indexes: Vec<u32>,
    /// The next state, by state and symbol: another name, the names, another index, the indexes.
    transitions: Vec<State>,
    symbols: usize,
    start: State,
    fields: Vec<Option<FieldIndex>>,
    /// Which states are places of objects.
    objects: Vec<Option<Object>>,
    /// The first of the states that differ in records alone.
    alike: Vec<State>,
}

/// Where a place is known as that of an object.
#[derive(Clone, Copy, Debug)]
enum Object {
    Anywhere,
    /// A wildcard leads there, so among members it may be anything.
    AsElement,
}

/// Why paths make no automaton.
#[derive(Debug)]
pub(super) enum Conflict {
    /// Two fields can both select one value.
    Overlap(FieldIndex, FieldIndex),
    /// The path at this place in the list never applies: it lies inside values that are encrypted whole.
    Unreachable(usize),
    /// There are too many combinations of partly matched paths.
    TooManyStates,
}

impl Automaton {
    /// Compiles `paths`, of which those of `compounds` are of indexes of several fields.
    pub(super) fn new(paths: &[(FieldIndex, Path)], compounds: &Range<u16>) -> Result<Self, Conflict> {
        let selectors = || paths.iter().flat_map(|(_, path)| &path.segments).map(|segment| &segment.selector);
        let mut names: Vec<Box<[u8]>> = selectors()
            .filter_map(
                |selector| if let Selector::Name(name) = selector { Some(name.as_bytes().into()) } else { None },
            )
            .collect();
        names.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        names.dedup();
        let mut indexes: Vec<u32> = selectors()
            .filter_map(|selector| if let Selector::Index(index) = selector { Some(*index) } else { None })
            .collect();
        indexes.sort_unstable();
        indexes.dedup();
        let names_by_length = (0..=names.last().map_or(0, |name| name.len()))
            .map(|length| {
                names.partition_point(|name| name.len() < length)..names.partition_point(|name| name.len() <= length)
            })
            .collect();
        let symbols = 1 + names.len() + 1 + indexes.len();
        let mentioned = names.iter().fold(Names::default(), |mentioned, name| mentioned.with(name));
        let mut automaton = Self {
            names,
            mentioned,
            names_by_length,
            indexes,
            transitions: Vec::new(),
            symbols,
            start: State::START,
            fields: Vec::new(),
            objects: Vec::new(),
            alike: Vec::new(),
        };
        automaton.build(paths, compounds)?;
        Ok(automaton)
    }

    /// Returns the state of a document's root.
    pub(crate) fn start(&self) -> State {
        self.start
    }

    /// Returns the state of the member called `name` (unescaped) in an object at `state`.
    #[inline]
    pub(crate) fn member(&self, state: State, name: &[u8]) -> State {
        self.transitions[state.place() * self.symbols + self.name_symbol(name)]
    }

    /// Returns the state of a member whose name no path mentions in an object at `state`.
    #[inline]
    pub(crate) fn other_member(&self, state: State) -> State {
        self.transitions[state.place() * self.symbols]
    }

    /// Returns the state of the element at `index` in an array at `state`.
    #[inline]
    pub(crate) fn element(&self, state: State, index: u32) -> State {
        // Almost no policy names an index, and then there is nothing to look for.
        let place = self.indexes.iter().position(|&mentioned| mentioned == index);
        let symbol = place.map_or(self.other_index(), |place| self.other_index() + 1 + place);
        self.transitions[state.place() * self.symbols + symbol]
    }

    /// Returns the field whose values stand at `state`.
    #[inline]
    pub(crate) fn field(&self, state: State) -> Option<FieldIndex> {
        // Almost everywhere there is none, which the state tells by itself.
        if state.0 & IS_FIELD == 0 { None } else { self.fields[state.place()] }
    }

    /// Returns whether it matters at which index of an array at `state` an element stands.
    pub(crate) fn tells_elements_apart(&self, state: State) -> bool {
        let row = state.place() * self.symbols;
        let elements = &self.transitions[row + self.other_index()..row + self.symbols];
        elements.iter().any(|next| *next != elements[0])
    }

    /// Whether the member called `name` of some record is encrypted.
    pub(super) fn encrypts_in_records(&self, name: &str) -> bool {
        let records = self.transitions.iter().chain([&self.start]).filter(|state| state.record().is_some());
        records.into_iter().any(|state| self.field(self.member(*state, name.as_bytes())).is_some())
    }

    /// Whether some places are those of records.
    pub(crate) fn knows_records(&self) -> bool {
        self.transitions.iter().chain([&self.start]).any(|state| state.record().is_some())
    }

    /// Returns whether the same fields stand at and below `one` and `other`, in whichever records.
    pub(crate) fn holds_alike(&self, one: State, other: State) -> bool {
        self.alike[one.place()] == self.alike[other.place()]
    }

    /// Returns whether the policy knows what stands at `state` as an object, so that an array there would be a record
    /// with its names left out. `is_element` tells an element of an array from a member.
    pub(crate) fn is_object(&self, state: State, is_element: bool) -> bool {
        match self.objects[state.place()] {
            Some(Object::Anywhere) => true,
            Some(Object::AsElement) => is_element,
            None => false,
        }
    }

    /// The names that paths mention, told roughly.
    pub(crate) fn mentioned(&self) -> Names {
        self.mentioned
    }

    /// The length of the longest name that a path mentions, in bytes.
    pub(crate) fn longest_name(&self) -> usize {
        self.names_by_length.len() - 1
    }

    #[inline]
    fn name_symbol(&self, name: &[u8]) -> usize {
        if !self.mentioned.may_hold(name) {
            return 0;
        }
        let Some(candidates) = self.names_by_length.get(name.len()) else { return 0 };
        candidates.clone().find(|&place| *self.names[place] == *name).map_or(0, |place| place + 1)
    }

    fn other_index(&self) -> usize {
        self.names.len() + 1
    }

    /// Subset construction. An item is a path and how many of its segments are matched.
    fn build(&mut self, paths: &[(FieldIndex, Path)], compounds: &Range<u16>) -> Result<(), Conflict> {
        let start: Vec<(usize, usize)> = (0..paths.len()).map(|path| (path, 0)).collect();
        let mut states = HashMap::from([(Vec::new(), State::DEAD), (start.clone(), State::START)]);
        let mut sets = vec![Vec::new(), start];
        let mut is_reached = vec![false; paths.len()];
        let mut is_record = Vec::new();
        let mut without_records = HashMap::new();
        let mut next = 0;
        while next < sets.len() {
            let set = sets[next].clone();
            let field = accepted(&set, paths, &mut is_reached)?;
            self.fields.push(field);
            let is_complete = |&(path, matched): &(usize, usize)| {
                let (field, path) = &paths[path];
                *field == FieldIndex::RECORD && matched == path.segments.len()
            };
            is_record.push(field.is_none() && set.iter().any(is_complete));
            let fields: Vec<_> = set.iter().copied().filter(|&(path, _)| paths[path].0 != FieldIndex::RECORD).collect();
            let state = State(u16::try_from(next).unwrap_or(u16::MAX));
            self.alike.push(*without_records.entry(fields).or_insert(state));
            self.objects.push(if field.is_none() { object(&set, paths) } else { None });
            for symbol in 0..self.symbols {
                // A tagged value is encrypted whole: nothing below it is looked at.
                let target = if field.is_some() { Vec::new() } else { self.step(&set, symbol, paths) };
                let count = sets.len();
                let state = *states.entry(target).or_insert_with_key(|target| {
                    sets.push(target.clone());
                    State(u16::try_from(count).unwrap_or(u16::MAX))
                });
                self.transitions.push(state);
            }
            if sets.len() > MOST_STATES {
                return Err(Conflict::TooManyStates);
            }
            next += 1;
        }
        let is_element: Vec<_> = sets.iter().map(|set| is_element_by_slice(set, paths)).collect();
        let has_parts = self.states_with(compounds);
        for state in self.transitions.iter_mut().chain([&mut self.start]) {
            if self.fields[state.place()].is_some() {
                state.0 |= IS_FIELD;
            }
            if is_record[state.place()] {
                state.0 |= IS_RECORD;
            }
            if has_parts[state.place()] {
                state.0 |= HAS_PARTS;
            }
            if is_element[state.place()] && self.fields[state.place()].is_none() {
                state.0 |= IS_ELEMENT;
            }
        }
        match is_reached.iter().position(|is_reached| !is_reached) {
            Some(path) => Err(Conflict::Unreachable(path)),
            None => Ok(()),
        }
    }

    /// Tells of each state whether one of `fields` is a member of an object there.
    fn states_with(&self, fields: &Range<u16>) -> Vec<bool> {
        let is_one = |state: &State| self.fields[state.place()].is_some_and(|field| fields.contains(&field.0));
        let rows = self.transitions.chunks(self.symbols);
        rows.map(|row| row[..self.other_index()].iter().any(is_one)).collect()
    }

    fn step(&self, set: &[(usize, usize)], symbol: usize, paths: &[(FieldIndex, Path)]) -> Vec<(usize, usize)> {
        let mut target = Vec::new();
        for &(path, matched) in set {
            let Some(segment) = paths[path].1.segments.get(matched) else { continue };
            if segment.descendant {
                target.push((path, matched));
            }
            let matches = match &segment.selector {
                // The members of an object are not records, so there a wildcard stands for elements.
                Selector::Wildcard => paths[path].0 != FieldIndex::RECORD || symbol >= self.other_index(),
                Selector::Elements => symbol >= self.other_index(),
                Selector::Members => symbol < self.other_index(),
                Selector::Name(name) => self.name_symbol(name.as_bytes()) == symbol,
                Selector::Index(index) => {
                    symbol > self.other_index() && self.indexes[symbol - self.other_index() - 1] == *index
                }
            };
            if matches {
                target.push((path, matched + 1));
            }
        }
        target.sort_unstable();
        target.dedup();
        target
    }
}

/// Whether these items stand at an element to which slices lead alone, and which the policy knows as an object: whatever
/// else stands there is no record of the list.
fn is_element_by_slice(set: &[(usize, usize)], paths: &[(FieldIndex, Path)]) -> bool {
    let mut fields = set.iter().filter(|&&(path, _)| paths[path].0 != FieldIndex::RECORD).peekable();
    fields.peek().is_some()
        && fields.all(|&(path, matched)| {
            let segments = &paths[path].1.segments;
            let by_slice = matched > 0
                && !segments[matched - 1].descendant
                && segments[matched - 1].selector == Selector::Elements;
            let on_by_name = segments
                .get(matched)
                .is_some_and(|next| !next.descendant && matches!(next.selector, Selector::Name(_)));
            by_slice && on_by_name
        })
}

/// What the policy knows of a place where these items stand.
fn object(set: &[(usize, usize)], paths: &[(FieldIndex, Path)]) -> Option<Object> {
    let set: Vec<_> = set.iter().copied().filter(|&(path, _)| paths[path].0 != FieldIndex::RECORD).collect();
    let next = |&(path, matched): &(usize, usize)| paths[path].1.segments.get(matched);
    let by_name = |item: &&(usize, usize)| {
        next(item).is_some_and(|next| !next.descendant && matches!(next.selector, Selector::Name(_)))
    };
    // Where a path goes on by elements, an array may as well be a list.
    let is_list = |item: &(usize, usize)| {
        next(item).is_some_and(|next| match next.selector {
            Selector::Name(_) | Selector::Members => false,
            Selector::Index(_) | Selector::Elements | Selector::Wildcard => !next.descendant,
        })
    };
    if set.iter().any(is_list) {
        return None;
    }
    let came_by_wildcard = |&(path, matched): &(usize, usize)| {
        let elements = [Selector::Wildcard, Selector::Elements];
        matched > 0 && elements.contains(&paths[path].1.segments[matched - 1].selector)
    };
    let mut named = set.iter().filter(by_name).peekable();
    named.peek()?;
    Some(if named.all(came_by_wildcard) { Object::AsElement } else { Object::Anywhere })
}

fn accepted(
    set: &[(usize, usize)],
    paths: &[(FieldIndex, Path)],
    is_reached: &mut [bool],
) -> Result<Option<FieldIndex>, Conflict> {
    let mut accepted = None;
    for &(path, matched) in set {
        let (field, Path { segments }) = &paths[path];
        if matched < segments.len() {
            continue;
        }
        is_reached[path] = true;
        match accepted {
            _ if *field == FieldIndex::RECORD => {}
            Some(other) if other != *field => return Err(Conflict::Overlap(other, *field)),
            _ => accepted = Some(*field),
        }
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automaton(paths: &[&str]) -> Result<Automaton, Conflict> {
        let parsed = paths.iter().zip(0..).map(|(path, field)| (FieldIndex(field), Path::parse(path).unwrap()));
        Automaton::new(&parsed.collect::<Vec<_>>(), &(0..0))
    }

    /// Follows `place`, where numbers are indexes, and returns the field there.
    fn field_at(automaton: &Automaton, place: &[&str]) -> Option<u16> {
        let state = place.iter().fold(State::START, |state, step| match step.parse() {
            Ok(index) => automaton.element(state, index),
            Err(_) => automaton.member(state, step.as_bytes()),
        });
        automaton.field(state).map(|field| field.0)
    }

    #[test]
    fn selects_as_rfc_9535_says() {
        let automaton =
            automaton(&["$..phone", "$.customer.email", "$.items[*].address", "$[0].name", "$.a..b.*.c"]).unwrap();
        for (place, field) in [
            (&["phone"][..], Some(0)),
            (&["x", "3", "y", "phone"], Some(0)),
            (&["phones"], None),
            (&["Phone"], None),
            (&["customer", "email"], Some(1)),
            (&["x", "customer", "email"], None),
            (&["items", "7", "address"], Some(2)),
            (&["items", "x", "address"], Some(2)),
            (&["items", "address"], None),
            (&["0", "name"], Some(3)),
            (&["1", "name"], None),
            (&["a", "b", "x", "c"], Some(4)),
            (&["a", "x", "b", "b", "c"], Some(4)),
            (&["a", "b", "b", "c"], Some(4)),
            (&["a", "b", "c"], None),
        ] {
            assert_eq!(field_at(&automaton, place), field, "{place:?}");
        }
    }

    #[test]
    fn nothing_matters_below_a_dead_place_or_a_field() {
        let automaton = automaton(&["$.a.b"]).unwrap();
        let elsewhere = automaton.member(State::START, b"x");
        assert_eq!(elsewhere, State::DEAD);
        let field = automaton.member(automaton.member(State::START, b"a"), b"b");
        assert_eq!(automaton.member(field, b"b"), State::DEAD);
    }

    #[test]
    fn paths_that_cannot_all_hold_are_told() {
        assert!(matches!(automaton(&["$..phone", "$.customer.*"]), Err(Conflict::Overlap(..))));
        assert!(matches!(automaton(&["$.address", "$.address.postcode"]), Err(Conflict::Unreachable(1))));
        assert!(matches!(automaton(&["$..a.*.*.*.*.*.*.*.*.*.*.*"]), Err(Conflict::TooManyStates)));
    }

    #[test]
    fn as_many_places_are_told_apart_as_may_be_and_no_more() {
        // One for each name, one for the root and one for all other places.
        let of_places = |places: usize| automaton(&[&format!("${}", ".a".repeat(places - 2))]).map(drop);
        of_places(MOST_STATES).unwrap();
        assert!(matches!(of_places(MOST_STATES + 1), Err(Conflict::TooManyStates)));
    }

    #[test]
    fn members_are_told_from_elements() {
        let automaton = automaton(&["$.{*}.phone", "$.list[:].email", "$.list[1].name"]).unwrap();
        for (place, field) in [
            (&["x", "phone"][..], Some(0)),
            (&["list", "phone"], Some(0)),
            (&["phone", "phone"], Some(0)),
            (&["0", "phone"], None),
            (&["1", "phone"], None),
            (&["list", "0", "email"], Some(1)),
            (&["list", "1", "email"], Some(1)),
            (&["list", "x", "email"], None),
            (&["list", "1", "name"], Some(2)),
        ] {
            assert_eq!(field_at(&automaton, place), field, "{place:?}");
        }
    }

    #[test]
    fn the_longest_name_is_that_of_a_path() {
        assert_eq!(automaton(&["$.a.phone", "$..email[*].b"]).unwrap().longest_name(), 5);
        assert_eq!(automaton(&["$[*]"]).unwrap().longest_name(), 0);
    }

    /// An array there would be a record with its names left out.
    #[test]
    fn an_object_is_known_by_a_name_in_it_whatever_else_holds_at_any_depth() {
        for (paths, is_known) in [
            (&["$.customer.name"][..], true),
            (&["$.customer.name", "$..phone"], true),
            (&["$..phone"], false),
            (&["$.customer..phone"], false),
            (&["$.customer.name", "$.customer[*].name"], false),
            (&["$.customer"], false),
        ] {
            let automaton = automaton(paths).unwrap();
            let customer = automaton.member(State::START, b"customer");
            assert_eq!(automaton.is_object(customer, false), is_known, "{paths:?}");
        }
    }

    #[test]
    fn an_element_is_looked_at_where_slices_alone_lead_to_an_object() {
        for (paths, is_looked_at) in [
            (&["$.rows[:].phone"][..], true),
            (&["$.rows[:].phone", "$.rows[:].email"], true),
            (&["$.rows[:]..phone"], false),
            (&["$.rows[:][*]"], false),
            (&["$.rows[:][*].phone"], false),
            (&["$.rows[*].phone"], false),
            (&["$.rows[:].phone", "$..email"], false),
        ] {
            let automaton = automaton(paths).unwrap();
            let element = automaton.element(automaton.member(State::START, b"rows"), 0);
            assert_eq!(element.is_looked_at(), is_looked_at, "{paths:?}");
        }
    }
}
