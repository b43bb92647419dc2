//! From paths to the states of their automaton: subset construction, where a state is what is matched of each path.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::automaton::Conflict;
use super::field::{Field, FieldIndex};
use super::lint::Place;
use super::path::{Path, Segment, Selector};
use super::record_binding::RecordBinding;

const MOST_STATES: usize = 1024;
/// How many items all sets together may have, counted whenever one is made: a fraction of a second.
const MOST_WORK: usize = 1 << 20;

/// A path, and how many of its segments are matched.
pub(super) type Item = (usize, usize);

/// A segment of a path, as it is stepped over.
struct Step {
    descendant: bool,
    on: On,
    /// How many matched segments are no longer worth knowing once all before this one are.
    covers: usize,
}

/// What a segment matches.
enum On {
    Symbol(usize),
    Members,
    Elements,
    Anything,
}

/// The sets of items that are reached from the root, in the order in which they are found.
pub(super) struct Subsets<'a> {
    paths: &'a [(FieldIndex, Path)],
    steps: Vec<Vec<Step>>,
    /// The symbols below this one are those of members, the others those of elements.
    first_element: usize,
    symbols: usize,
    sets: Vec<Rc<[Item]>>,
    places: HashMap<Rc<[Item]>, usize>,
    /// What a set becomes by the items of one name or index. The same few are added to one set again and again.
    unions: HashMap<(usize, Vec<Item>), usize>,
    work: usize,
}

impl<'a> Subsets<'a> {
    /// Begins with the empty set and that of the root. `names` and `indexes` are those that the paths mention, sorted.
    pub(super) fn new(paths: &'a [(FieldIndex, Path)], names: &[Box<[u8]>], indexes: &[u32]) -> Result<Self, Conflict> {
        let first_element = 1 + names.len();
        let symbol_of_name =
            |name: &[u8]| 1 + names.partition_point(|other| (other.len(), &**other) < (name.len(), name));
        let on = |is_record: bool, selector: &Selector| match selector {
            Selector::Name(name) => On::Symbol(symbol_of_name(name.as_bytes())),
            Selector::Index(index) => On::Symbol(first_element + 1 + indexes.partition_point(|other| other < index)),
            Selector::Members => On::Members,
            // The members of an object are not records, so there a wildcard stands for elements.
            Selector::Wildcard if !is_record => On::Anything,
            Selector::Wildcard | Selector::Elements => On::Elements,
        };
        let steps = |(field, path): &(FieldIndex, Path)| {
            let mut covers = 0;
            let step = |(at, Segment { descendant, selector }): (usize, &Segment)| {
                let step = Step { descendant: *descendant, on: on(*field == FieldIndex::RECORD, selector), covers };
                if !descendant && *selector != Selector::Members {
                    covers = at + 1;
                }
                step
            };
            path.segments.iter().enumerate().map(step).collect()
        };
        let mut subsets = Self {
            paths,
            steps: paths.iter().map(steps).collect(),
            first_element,
            symbols: first_element + 1 + indexes.len(),
            sets: Vec::new(),
            places: HashMap::new(),
            unions: HashMap::new(),
            work: 0,
        };
        subsets.place(Vec::new())?;
        subsets.place((0..paths.len()).map(|path| (path, 0)).collect())?;
        Ok(subsets)
    }

    /// Returns the set at `place`, where there is one.
    pub(super) fn set(&self, place: usize) -> Option<Rc<[Item]>> {
        self.sets.get(place).cloned()
    }

    /// Returns the places of the sets that follow that at `place`, by symbol.
    pub(super) fn row(&mut self, place: usize) -> Result<Vec<usize>, Conflict> {
        let (mut members, mut elements, mut mentioned) = (Vec::new(), Vec::new(), Vec::new());
        for &(path, matched) in &*self.sets[place] {
            let Some(step) = self.steps[path].get(matched) else { continue };
            if step.descendant {
                members.push((path, matched));
                elements.push((path, matched));
            }
            let next = (path, matched + 1);
            match step.on {
                On::Symbol(symbol) => mentioned.push((symbol, next)),
                On::Members => members.push(next),
                On::Elements => elements.push(next),
                On::Anything => {
                    members.push(next);
                    elements.push(next);
                }
            }
        }
        let is_alike = elements == members;
        let members = self.place(members)?;
        let mut row = vec![members; self.first_element];
        row.resize(self.symbols, if is_alike { members } else { self.place(elements)? });
        mentioned.sort_unstable();
        for items in mentioned.chunk_by(|one, other| one.0 == other.0) {
            let symbol = items[0].0;
            row[symbol] = self.union(row[symbol], items.iter().map(|(_, item)| *item).collect())?;
        }
        Ok(row)
    }

    /// Returns the place of the set at `place` with `items` added.
    fn union(&mut self, place: usize, items: Vec<Item>) -> Result<usize, Conflict> {
        let key = (place, items);
        if let Some(known) = self.unions.get(&key) {
            return Ok(*known);
        }
        let union = self.place([&self.sets[place], &*key.1].concat())?;
        self.unions.insert(key, union);
        Ok(union)
    }

    /// Returns the place of a set, which is a new one where there is none yet.
    fn place(&mut self, mut items: Vec<Item>) -> Result<usize, Conflict> {
        self.work += items.len();
        if self.work > MOST_WORK {
            return Err(self.too_many());
        }
        items.sort_unstable();
        items.dedup();
        let items = self.reduced(items);
        if let Some(place) = self.places.get(&*items) {
            return Ok(*place);
        }
        let (set, place) = (Rc::from(items), self.sets.len());
        self.sets.push(Rc::clone(&set));
        self.places.insert(set, place);
        if self.sets.len() > MOST_STATES { Err(self.too_many()) } else { Ok(place) }
    }

    /// Leaves out the items that decide nothing, so that sets that differ in them alone are one.
    fn reduced(&self, mut items: Vec<Item>) -> Vec<Item> {
        let is_complete = |&(path, matched): &Item| matched == self.steps[path].len();
        // A tagged value is encrypted whole: nothing below it is looked at.
        if items.iter().any(|item| is_complete(item) && self.paths[item.0].0 != FieldIndex::RECORD) {
            items.retain(is_complete);
            return items;
        }
        let mut kept: Vec<Item> = Vec::with_capacity(items.len());
        for (path, matched) in items {
            // What is selected by way of a segment that holds at any depth is so however the ones before it are matched.
            if let Some(Step { descendant: true, covers, .. }) = self.steps[path].get(matched) {
                while kept.pop_if(|(other, earlier)| *other == path && *earlier >= *covers).is_some() {}
            }
            kept.push((path, matched));
        }
        kept
    }

    /// Blames the path that is matched in most ways.
    fn too_many(&self) -> Conflict {
        let ways = self.sets.iter().flat_map(|set| set.chunk_by(|one, other| one.0 == other.0));
        let ways: HashSet<&[Item]> = ways.collect();
        let mut counts = vec![0_usize; self.paths.len()];
        for way in ways {
            counts[way[0].0] += 1;
        }
        let most = counts.iter().enumerate().max_by_key(|(path, count)| (**count, Reverse(*path)));
        Conflict::TooManyStates(most.map_or(0, |(path, _)| path))
    }
}

/// Says of which paths there is too much, most of all of `path`, and what to write instead.
pub(super) fn too_many_states(whose: &str, path: &str) -> String {
    format!(
        "the paths need more than 1,024 states together, or too long a search for them, most of all path `{path}` of \
         `{whose}`; use fewer wildcards and `..`: name each step, `$.customer.phone`, or the last one alone, `$..phone`"
    )
}

/// The same of a policy, where the path stands at `place`, and so far from the end of all paths.
pub(super) fn too_many_states_of(
    fields: &[Field],
    records: Option<&RecordBinding>,
    place: Place,
    from_end: usize,
) -> String {
    match place {
        Place::Path(field, path) => too_many_states(&fields[field].name, &fields[field].paths[path]),
        Place::Field(field) => too_many_states(&fields[field].name, &fields[field].paths.join(", ")),
        Place::Collection => {
            // Those of records are the last; those of indexes need no more than the fields' before them.
            let paths = records.map_or(&[][..], |records| &records.paths);
            let path = paths.len().checked_sub(from_end).map_or("…", |at| &*paths[at]);
            too_many_states("bind_records", path)
        }
    }
}
