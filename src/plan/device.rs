//! Device id rules: regular expressions that find the sender in the raw text.
//!
//! The rules are immutable; what a search needs to write to belongs to the caller. A search takes time linear in the
//! frame for any rule, and a compiled rule takes bounded memory.

use core::fmt;
use std::sync::Arc;

use regex_automata::meta::{BuildError, Cache, Config, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Input, PatternID, Span};

/// Bytes of one compiled rule; the guide's own takes a fraction of it.
const RULE_BYTES: usize = 1 << 20;
/// Bytes of one shard's lazily built automaton for one rule.
const CACHE_BYTES: usize = 256 << 10;

/// Compiled rules in order; the first value wins.
#[derive(Debug, Default)]
pub struct DeviceRules {
    rules: Arc<[Rule]>,
}

#[derive(Debug)]
struct Rule {
    regex: Regex,
    /// Which group the value is.
    group: usize,
}

/// What is wrong with a rule.
#[derive(Debug)]
pub enum DeviceRuleError {
    /// No regular expression, or too large a one.
    Pattern(Box<BuildError>),
    /// The expression has no group of this name.
    NoGroup(Box<str>),
}

impl fmt::Display for DeviceRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceRuleError::Pattern(error) => match error.size_limit() {
                Some(limit) => write!(f, "pattern needs more than {limit} bytes when compiled"),
                None => match error.syntax_error() {
                    Some(syntax) => write!(f, "pattern cannot be read: {syntax}"),
                    None => write!(f, "pattern cannot be used: {error}"),
                },
            },
            DeviceRuleError::NoGroup(name) => write!(f, "pattern has no group `{name}`"),
        }
    }
}

impl std::error::Error for DeviceRuleError {}

impl Rule {
    fn new(pattern: &str, token: &str) -> Result<Rule, DeviceRuleError> {
        let config = Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(RULE_BYTES))
            .onepass_size_limit(Some(RULE_BYTES))
            .hybrid_cache_capacity(CACHE_BYTES);
        let regex = Regex::builder()
            .configure(config)
            .syntax(syntax::Config::new().utf8(false))
            .build(pattern)
            .map_err(|error| DeviceRuleError::Pattern(Box::new(error)))?;
        let group = regex
            .group_info()
            .to_index(PatternID::ZERO, token)
            .ok_or_else(|| DeviceRuleError::NoGroup(token.into()))?;
        Ok(Rule { regex, group })
    }
}

impl DeviceRules {
    /// Compiles rules, each a pattern and the name of the group that holds the value.
    ///
    /// Fails at the first rule whose pattern cannot be used or lacks the group, with its place among `rules`.
    pub fn new(rules: &[(&str, &str)]) -> Result<DeviceRules, (usize, DeviceRuleError)> {
        let compiled: Result<Arc<[Rule]>, _> = rules
            .iter()
            .enumerate()
            .map(|(at, (pattern, token))| Rule::new(pattern, token).map_err(|error| (at, error)))
            .collect();
        Ok(DeviceRules { rules: compiled? })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where in `frame` the first rule that gives a value finds it.
    pub(crate) fn find(&self, frame: &[u8], scratch: &mut DeviceScratch) -> Option<Span> {
        let searches = scratch.searches(&self.rules);
        self.rules.iter().zip(searches).find_map(|(rule, (cache, captures))| {
            rule.regex.search_captures_with(cache, &Input::new(frame), captures);
            captures.get_group(rule.group).filter(|span| !span.is_empty())
        })
    }
}

type Search = (Cache, Captures);

/// What searches write to: one entry for each set of rules that this shard has met.
#[derive(Default)]
pub struct DeviceScratch {
    /// Each entry holds its rules, so that no other set can come to lie at the same address.
    sets: Vec<(Arc<[Rule]>, Vec<Search>)>,
}

impl DeviceScratch {
    fn searches(&mut self, rules: &Arc<[Rule]>) -> &mut [Search] {
        let at = self.sets.iter().position(|(known, _)| Arc::ptr_eq(known, rules)).unwrap_or_else(|| {
            // Rules that only this scratch still holds belong to a plan that is gone.
            self.sets.retain(|(known, _)| Arc::strong_count(known) > 1);
            let searches = rules.iter().map(|rule| (rule.regex.create_cache(), rule.regex.create_captures()));
            self.sets.push((rules.clone(), searches.collect()));
            self.sets.len() - 1
        });
        &mut self.sets[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: (&str, &str) = (r"\+\d+\:\d+\s(?P<Computer>d\.[^\s]+)", "Computer");

    #[test]
    fn the_first_rule_with_a_value_wins() {
        let frame = b"1 2021-01-24T09:51:24.537546+00:00 d.5a8f heroku web.1 - - id=7 \xff";
        let cases: &[(&[(&str, &str)], Option<&[u8]>)] = &[
            (&[], None),
            (&[GUIDE], Some(b"d.5a8f")),
            (&[("id=(?P<N>[a-z]*)", "N"), GUIDE], Some(b"d.5a8f")),
            (&[("id=(?P<N>.)", "N"), GUIDE], Some(b"7")),
            (&[("nothing(?P<N>.)", "N")], None),
            (&[("(?P<A>absent)?id=", "A")], None),
        ];
        let mut scratch = DeviceScratch::default();
        for (rules, expected) in cases {
            let compiled = DeviceRules::new(rules).unwrap();
            for _ in 0..2 {
                let found = compiled.find(frame, &mut scratch).map(|span| &frame[span.start..span.end]);
                assert_eq!(found, *expected, "{rules:?}");
            }
        }
        assert!(scratch.sets.len() <= 2);
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_named() {
        for (pattern, token, says) in [
            ("(?P<Computer>d", "Computer", "pattern cannot be read"),
            ("(?P<Computer>d)", "computer", "no group `computer`"),
            (r"(?P<A>\w{5000}){5000}", "A", "more than 1048576 bytes"),
        ] {
            let (at, error) = DeviceRules::new(&[GUIDE, (pattern, token)]).unwrap_err();
            assert_eq!(at, 1);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
