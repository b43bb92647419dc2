//! Where the paths of a policy lead in a description.

use std::collections::{HashSet, VecDeque};

use super::description::Description;
use super::document::fault;
use super::graph::Step;
use crate::error::Error;
use crate::policy::{Path, Segment, Selector};

/// The most values that are looked at: schemas, each with how much of the paths is matched there.
const MOST_SIGHTS: usize = 500_000;

/// A value that documents hold, as one schema describes it.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) head: String,
    /// Where a document holds it; one path of several.
    pub(super) path: Path,
    /// The path that certainly selects it.
    pub(super) selected: Option<usize>,
    /// The paths that may select it.
    pub(super) maybe: Vec<usize>,
}

/// A path, how many of its segments are matched, and whether that is certain.
type Item = (usize, usize, bool);

/// Follows `paths` through all bodies. What stands within a selected value is not looked at, as it is encrypted whole.
pub(super) fn survey(read: &mut Description<'_>, paths: &[Path]) -> Result<Vec<Sight>, Error> {
    let start: Vec<Item> = (0..paths.len()).map(|path| (path, 0, true)).collect();
    let mut seen = HashSet::new();
    let mut pending = VecDeque::new();
    for root in &read.roots {
        let items = root.path.iter().fold(start.clone(), |items, _| stepped(&items, &Step::Element, paths));
        pending.push_back((root.head.clone(), root.path.clone(), items));
    }
    let mut sights = Vec::new();
    while let Some((head, path, items)) = pending.pop_front() {
        if !seen.insert((head.clone(), items.clone())) {
            continue;
        }
        if sights.len() == MOST_SIGHTS {
            return Err(fault(&head, "the description is too large, or the paths are too vague for it"));
        }
        let complete = |item: &&Item| item.1 == paths[item.0].segments.len();
        let selected = items.iter().filter(complete).find(|item| item.2).map(|item| item.0);
        let maybe = items.iter().filter(complete).map(|item| item.0).collect();
        if selected.is_none() {
            for child in read.graph.group(&head)?.children.iter().filter(|child| child.step != Step::Aside) {
                let mut path = path.clone();
                let selector = match &child.step {
                    Step::Property(name) => Selector::Name(name.clone()),
                    Step::Index(index) => Selector::Index(*index),
                    Step::Member | Step::Element | Step::Aside => Selector::Wildcard,
                };
                path.push(Segment { descendant: false, selector });
                pending.push_back((child.head.clone(), path, stepped(&items, &child.step, paths)));
            }
        }
        sights.push(Sight { head, path: Path { segments: path }, selected, maybe });
    }
    Ok(sights)
}

fn stepped(items: &[Item], step: &Step, paths: &[Path]) -> Vec<Item> {
    let mut target = Vec::new();
    for &(path, matched, is_certain) in items {
        let Some(segment) = paths[path].segments.get(matched) else { continue };
        if segment.descendant {
            target.push((path, matched, is_certain));
        }
        if let Some(is_sure) = selects(&segment.selector, step) {
            target.push((path, matched + 1, is_certain && is_sure));
        }
    }
    target.sort_unstable();
    target.dedup();
    target
}

/// Whether a selector selects what stands at a step, and whether that is certain.
fn selects(selector: &Selector, step: &Step) -> Option<bool> {
    match (selector, step) {
        (Selector::Wildcard, _)
        | (Selector::Elements, Step::Element | Step::Index(_))
        | (Selector::Members, Step::Member | Step::Property(_)) => Some(true),
        (Selector::Name(name), Step::Property(own)) => (name == own).then_some(true),
        (Selector::Index(index), Step::Index(own)) => (index == own).then_some(true),
        (Selector::Name(_), Step::Member) | (Selector::Index(_), Step::Element) => Some(false),
        _ => None,
    }
}
