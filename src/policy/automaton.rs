//! All paths of a policy as one deterministic automaton, stepped once for each member or element.

use std::collections::HashMap;
use std::ops::Range;

use super::field::FieldIndex;
use super::names::Names;
use super::path::{Path, Selector};
use super::subsets::{Item, Subsets};

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

    /// Returns whether an object at this place is none that a field, a record or the parts of an index make of it.
    #[inline]
    pub(crate) fn is_plain_object(self) -> bool {
        self.0 & (IS_FIELD | IS_RECORD | HAS_PARTS) == 0
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
    /// There are too many combinations of partly matched paths, most of them of the path at this place in the list.
    TooManyStates(usize),
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

    /// Whether a path mentions `name`.
    pub(crate) fn mentions(&self, name: &[u8]) -> bool {
        self.name_symbol(name) != 0
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

    fn build(&mut self, paths: &[(FieldIndex, Path)], compounds: &Range<u16>) -> Result<(), Conflict> {
        let mut subsets = Subsets::new(paths, &self.names, &self.indexes)?;
        let state = |place: usize| State(u16::try_from(place).expect("there are 1,024 at most"));
        let mut is_reached = vec![false; paths.len()];
        let (mut is_record, mut is_element) = (Vec::new(), Vec::new());
        let mut without_records = HashMap::new();
        while let Some(set) = subsets.set(is_record.len()) {
            let place = is_record.len();
            let field = accepted(&set, paths, &mut is_reached)?;
            self.fields.push(field);
            let is_complete = |&(path, matched): &Item| {
                let (field, path) = &paths[path];
                *field == FieldIndex::RECORD && matched == path.segments.len()
            };
            is_record.push(field.is_none() && set.iter().any(is_complete));
            let fields: Vec<_> = set.iter().copied().filter(|&(path, _)| paths[path].0 != FieldIndex::RECORD).collect();
            self.objects.push(if field.is_none() { object(&fields, paths) } else { None });
            is_element.push(field.is_none() && is_element_by_slice(&fields, paths));
            self.alike.push(*without_records.entry(fields).or_insert(state(place)));
            self.transitions.extend(subsets.row(place)?.into_iter().map(state));
        }
        let has_parts = self.states_with(compounds);
        for state in self.transitions.iter_mut().chain([&mut self.start]) {
            let place = state.place();
            for (is_so, bit) in [
                (self.fields[place].is_some(), IS_FIELD),
                (is_record[place], IS_RECORD),
                (has_parts[place], HAS_PARTS),
                (is_element[place], IS_ELEMENT),
            ] {
                state.0 |= if is_so { bit } else { 0 };
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
}

/// Whether these items stand at an element to which slices lead alone, and which the policy knows as an object: whatever
/// else stands there is no record of the list.
fn is_element_by_slice(set: &[Item], paths: &[(FieldIndex, Path)]) -> bool {
    let is_so = |&(path, matched): &Item| {
        let segments = &paths[path].1.segments;
        let by_slice =
            matched > 0 && !segments[matched - 1].descendant && segments[matched - 1].selector == Selector::Elements;
        let on_by_name =
            segments.get(matched).is_some_and(|next| !next.descendant && matches!(next.selector, Selector::Name(_)));
        by_slice && on_by_name
    };
    !set.is_empty() && set.iter().all(is_so)
}

/// What the policy knows of a place where these items stand.
fn object(set: &[Item], paths: &[(FieldIndex, Path)]) -> Option<Object> {
    let next = |&(path, matched): &Item| paths[path].1.segments.get(matched);
    let by_name =
        |item: &&Item| next(item).is_some_and(|next| !next.descendant && matches!(next.selector, Selector::Name(_)));
    // Where a path goes on by elements, an array may as well be a list.
    let is_list = |item: &Item| {
        next(item).is_some_and(|next| match next.selector {
            Selector::Name(_) | Selector::Members => false,
            Selector::Index(_) | Selector::Elements | Selector::Wildcard => !next.descendant,
        })
    };
    if set.iter().any(is_list) {
        return None;
    }
    let came_by_wildcard = |&(path, matched): &Item| {
        let elements = [Selector::Wildcard, Selector::Elements];
        matched > 0 && elements.contains(&paths[path].1.segments[matched - 1].selector)
    };
    let mut named = set.iter().filter(by_name).peekable();
    named.peek()?;
    Some(if named.all(came_by_wildcard) { Object::AsElement } else { Object::Anywhere })
}

fn accepted(
    set: &[Item],
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
        let vague = ["$..phone", "$..a.*.*.*.*.*.*.*.*.*.*.*", "$.email"];
        assert!(matches!(automaton(&vague), Err(Conflict::TooManyStates(1))));
    }

    #[test]
    fn as_many_places_are_told_apart_as_may_be_and_no_more() {
        // One for each name, one for the root and one for all other places.
        let of_places = |places: usize| {
            let path = |number: usize, length: usize| format!("$.p{number}{}", ".a".repeat(length - 1));
            let paths: Vec<_> = (0..(places - 3) / 100).map(|number| path(number, 100)).collect();
            let rest = path(paths.len(), (places - 3) % 100 + 1);
            automaton(&paths.iter().chain([&rest]).map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(of_places(1024).unwrap().fields.len(), 1024);
        assert!(matches!(of_places(1025), Err(Conflict::TooManyStates(_))));
    }

    #[test]
    fn a_path_with_nothing_but_segments_at_any_depth_needs_a_place_for_each() {
        let path = |segment: fn(usize) -> String| format!("${}", (0..128).map(segment).collect::<String>());
        for path in [path(|_| "..a".to_owned()), path(|at| format!("..a{at}")), path(|_| "..*".to_owned())] {
            assert_eq!(automaton(&[&path]).unwrap().fields.len(), 130, "{path}");
        }
        // Once all but the last segment are matched, nothing depends on how the others were.
        assert_eq!(automaton(&["$..a.{*}..b..c", "$..a..x"]).unwrap().fields.len(), 8);
    }

    /// Steps through `paths` with everything that they match kept.
    fn stepped(set: &[Item], step: &str, paths: &[(FieldIndex, Path)]) -> Vec<Item> {
        let index = step.parse::<u32>().ok();
        let mut target = Vec::new();
        for &(path, matched) in set {
            let Some(segment) = paths[path].1.segments.get(matched) else { continue };
            let takes = match &segment.selector {
                Selector::Wildcard => paths[path].0 != FieldIndex::RECORD || index.is_some(),
                Selector::Elements => index.is_some(),
                Selector::Members => index.is_none(),
                Selector::Name(name) => name == step,
                Selector::Index(own) => index == Some(*own),
            };
            target.extend([segment.descendant.then_some((path, matched)), takes.then_some((path, matched + 1))]);
        }
        let mut target: Vec<_> = target.into_iter().flatten().collect();
        target.sort_unstable();
        target.dedup();
        target
    }

    /// Compares `automaton` with `set` at one place, and `depth` steps below it.
    fn compare(automaton: &Automaton, state: State, set: &[Item], paths: &[(FieldIndex, Path)], depth: usize) -> usize {
        let is_complete = |&&(path, matched): &&Item| matched == paths[path].1.segments.len();
        let complete = || set.iter().filter(is_complete).map(|(path, _)| paths[*path].0);
        let field = complete().find(|field| *field != FieldIndex::RECORD);
        assert_eq!(automaton.field(state), field, "{paths:?} {set:?}");
        if field.is_some() {
            return 1;
        }
        assert_eq!(state.record().is_some(), complete().next().is_some(), "{paths:?} {set:?}");
        let of_fields: Vec<_> = set.iter().copied().filter(|item| paths[item.0].0 != FieldIndex::RECORD).collect();
        assert_eq!(state.is_looked_at(), is_element_by_slice(&of_fields, paths), "{paths:?} {set:?}");
        let object = object(&of_fields, paths);
        let (anywhere, element) = (matches!(object, Some(Object::Anywhere)), object.is_some());
        let known = (automaton.is_object(state, false), automaton.is_object(state, true));
        assert_eq!(known, (anywhere, element), "{paths:?} {set:?}");
        let steps: &[&str] = if depth == 0 { &[] } else { &["a", "b", "x", "0", "1"] };
        let below = steps.iter().map(|step| {
            let next = match step.parse() {
                Ok(index) => automaton.element(state, index),
                Err(_) => automaton.member(state, step.as_bytes()),
            };
            compare(automaton, next, &stepped(set, step, paths), paths, depth - 1)
        });
        below.sum::<usize>() + 1
    }

    #[test]
    fn what_is_left_out_of_the_sets_changes_nothing() {
        let (mut random, mut places) = (1_u64, 0);
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for _ in 0..600 {
            let mut paths = Vec::new();
            for _ in 0..=below(3) {
                let mut text = String::from("$");
                for _ in 0..=below(5) {
                    let pick = usize::try_from(below(6)).unwrap();
                    let descendant = if below(2) == 0 { ".." } else { "" };
                    text += descendant;
                    text += ["['a']", "['b']", "[0]", "[:]", "[*]", ".{*}"][pick].trim_start_matches('.');
                    if pick == 5 && descendant.is_empty() {
                        text.insert(text.len() - "{*}".len(), '.');
                    }
                }
                let field = [FieldIndex(0), FieldIndex(0), FieldIndex::RECORD][usize::try_from(below(3)).unwrap()];
                paths.push((field, Path::parse(&text).unwrap()));
            }
            let Ok(automaton) = Automaton::new(&paths, &(0..0)) else { continue };
            let start: Vec<_> = (0..paths.len()).map(|path| (path, 0)).collect();
            places += compare(&automaton, automaton.start(), &start, &paths, 5);
        }
        assert!(places > 100_000, "{places}");
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
