//! Which telephone numbers a country has, and how they are dialled there.
//!
//! The patterns are those of libphonenumber. They are compiled once for each country code, since the crate that brings
//! them keeps a hundred of all countries, and a sender of numbers from everywhere would have it compile without end.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Metadata};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use zeroize::Zeroizing;

/// The plan of one region. Regions may share a country code.
pub(super) struct NumberingPlan {
    metadata: &'static Metadata,
    /// The pattern of all numbers, then that of each kind.
    numbers: RegexSet,
    /// The lengths of numbers of each kind.
    lengths: Vec<&'static [u16]>,
    /// What is dialled abroad, and before a number of the same country.
    international_prefix: Option<Regex>,
    trunk_prefix: Option<Regex>,
}

/// Every kind of number that a person can have. Numbers for emergencies and short codes are none.
const KINDS: [Type; 10] = [
    Type::Mobile,
    Type::FixedLine,
    Type::Voip,
    Type::TollFree,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Uan,
    Type::PremiumRate,
    Type::Pager,
    Type::Voicemail,
];

impl NumberingPlan {
    /// Returns the plans of the regions with this country code, the main region first.
    pub(super) fn of(code: u16) -> Option<&'static [Self]> {
        static PLANS: LazyLock<HashMap<u16, OnceLock<Vec<NumberingPlan>>>> =
            LazyLock::new(|| DATABASE.iter().map(|metadata| (metadata.country_code(), OnceLock::new())).collect());
        let compile = || {
            let regions = DATABASE.by_code(&code).unwrap_or_default();
            regions.into_iter().filter_map(Self::compile).collect()
        };
        Some(PLANS.get(&code)?.get_or_init(compile))
    }

    /// Returns the plan of the region with this name of ISO 3166-1.
    pub(super) fn of_region(region: &str) -> Option<&'static Self> {
        let code = DATABASE.by_id(region)?.country_code();
        Self::of(code)?.iter().find(|plan| plan.metadata.id() == region)
    }

    pub(super) fn country_code(&self) -> u16 {
        self.metadata.country_code()
    }

    /// Whether the plan has the number, without its country code and what is dialled before it.
    pub(super) fn has(&self, national: &str) -> bool {
        let matches = self.numbers.matches(national);
        let is_kind = |(kind, lengths): (usize, &&[u16])| {
            matches.matched(1 + kind) && lengths.iter().any(|&length| usize::from(length) == national.len())
        };
        matches.matched(0) && self.lengths.iter().enumerate().any(is_kind)
    }

    /// Strips what is dialled to reach another country.
    pub(super) fn strip_international_prefix<'a>(&self, digits: &'a str) -> Option<&'a str> {
        let prefix = self.international_prefix.as_ref()?.find(digits)?;
        Some(&digits[prefix.end()..])
    }

    /// Strips the prefix that is dialled within the country only.
    pub(super) fn strip_trunk_prefix<'a>(&self, digits: &'a str) -> Option<&'a str> {
        digits.strip_prefix(self.metadata.national_prefix()?)
    }

    /// Strips the trunk prefix with the code of a carrier, and writes the rest as it is dialled from abroad.
    pub(super) fn rewrite_national(&self, digits: &str) -> Option<Zeroizing<String>> {
        let captures = self.trunk_prefix.as_ref()?.captures(digits)?;
        let prefix = captures.get(0).filter(|prefix| prefix.end() > 0)?;
        let is_rewritten = captures.len() > 1 && captures.get(captures.len() - 1).is_some();
        let mut national = Zeroizing::new(String::with_capacity(2 * digits.len()));
        if let Some(rule) = self.metadata.national_prefix_transform_rule().filter(|_| is_rewritten) {
            captures.expand(rule, &mut national);
        }
        national.push_str(&digits[prefix.end()..]);
        Some(national)
    }

    /// A plan whose patterns are not understood has no numbers.
    fn compile(metadata: &'static Metadata) -> Option<Self> {
        let general = metadata.descriptors().general();
        let kinds: Vec<_> = KINDS.iter().filter_map(|&kind| metadata.descriptors().get(kind)).collect();
        let whole = [general]
            .into_iter()
            .chain(kinds.iter().copied())
            .map(|numbers| format!(r"\A(?:{})\z", numbers.national_number().as_str()));
        let numbers = RegexSetBuilder::new(whole).ignore_whitespace(true).unicode(false).build().ok()?;
        let lengths = kinds.iter().map(|numbers| numbers.possible_length()).collect();
        let prefix = |pattern: &str| {
            RegexBuilder::new(&format!(r"\A(?:{pattern})")).ignore_whitespace(true).unicode(false).build().ok()
        };
        Some(Self {
            metadata,
            numbers,
            lengths,
            international_prefix: metadata.international_prefix().and_then(|pattern| prefix(pattern.as_str())),
            trunk_prefix: metadata.national_prefix_for_parsing().and_then(|pattern| prefix(pattern.as_str())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_understood() {
        let mut count = 0;
        for metadata in DATABASE.iter() {
            let plan = NumberingPlan::compile(metadata).unwrap();
            assert_eq!(plan.international_prefix.is_some(), metadata.international_prefix().is_some());
            assert_eq!(plan.trunk_prefix.is_some(), metadata.national_prefix_for_parsing().is_some());
            assert!(plan.lengths.iter().all(|lengths| !lengths.is_empty()), "{}", metadata.id());
            count += 1;
        }
        assert!(count > 240, "only {count} plans were seen");
    }

    #[test]
    fn a_plan_has_whole_numbers_only() {
        let plan = NumberingPlan::of_region("SG").unwrap();
        assert!(plan.has("91234567"));
        for other in ["", "9123456", "912345678", "995", "01234567", "9123456\n"] {
            assert!(!plan.has(other), "{other:?}");
        }
    }
}
