//! Device id rules: patterns that find a frame's sender in its raw text.
//!
//! Invariants: a pattern matches in time linear in the frame, takes a bounded amount of memory, and has the group that
//! its rule names.

use std::fmt;

use regex_automata::PatternID;
use regex_automata::meta::{BuildError, Regex};

use super::OnNoMatch;
use super::value::Text;

/// Bytes that one compiled pattern may take: far above what a sender's name needs.
const PATTERN_BYTES: usize = 1 << 20;

/// How a frame's sender is found when neither HOSTNAME, header nor query names it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceId {
    pub on_no_match: OnNoMatch,
    /// The listener's rules, then the built-in one for Heroku; the first active rule that matches wins.
    pub rules: Vec<DeviceRule>,
}

/// A pattern over the raw frame, one group of which names the sender.
#[derive(Clone)]
pub struct DeviceRule {
    pub(super) pattern: Text,
    pub(super) token: Text,
    pub(super) regex: Regex,
    pub(super) group: usize,
    /// A rule that is not active is skipped.
    pub active: bool,
}

/// Accepts every frame and knows Heroku's drain token in the raw text.
impl Default for DeviceId {
    fn default() -> DeviceId {
        DeviceId { on_no_match: OnNoMatch::Accept, rules: vec![DeviceRule::heroku()] }
    }
}

impl DeviceRule {
    /// Returns the vendor guide's rule: the drain token that follows the offset of a time.
    pub fn heroku() -> DeviceRule {
        const PATTERN: &str = r"\+\d+:\d+\s(?P<Computer>d\.[^\s]+)";
        let regex = compile(PATTERN).expect("a test compiles this pattern");
        let group =
            regex.group_info().to_index(PatternID::ZERO, "Computer").expect("the pattern names its group");
        DeviceRule {
            pattern: Text::plain(PATTERN),
            token: Text::plain("Computer"),
            regex,
            group,
            active: true,
        }
    }

    /// Returns the compiled pattern.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Returns the index of the capture group that names the sender.
    pub fn group(&self) -> usize {
        self.group
    }

    /// Returns the pattern as text.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Returns the name of the capture group that names the sender.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRule")
            .field("pattern", &self.pattern)
            .field("token", &self.token)
            .field("active", &self.active)
            .finish()
    }
}

impl PartialEq for DeviceRule {
    fn eq(&self, other: &DeviceRule) -> bool {
        self.pattern == other.pattern && self.token == other.token && self.active == other.active
    }
}

/// Compiles a pattern over bytes, in which `.` and classes still mean characters.
pub(super) fn compile(pattern: &str) -> Result<Regex, Box<BuildError>> {
    let syntax = regex_automata::util::syntax::Config::new().utf8(false);
    let config = Regex::config()
        .utf8_empty(false)
        .nfa_size_limit(Some(PATTERN_BYTES))
        .onepass_size_limit(Some(PATTERN_BYTES));
    Regex::builder().syntax(syntax).configure(config).build(pattern).map_err(Box::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rule_finds_the_guides_sample() {
        let rule = DeviceRule::heroku();
        let frame = b"1 2021-01-24T09:51:24.537546+00:00 d.5a8fd083-0972 heroku web.1 - - source=web.1";
        let mut captures = rule.regex().create_captures();
        rule.regex().captures(frame, &mut captures);
        let span = captures.get_group(rule.group()).expect("a match");
        assert_eq!(&frame[span.range()], b"d.5a8fd083-0972");
    }

    #[test]
    fn patterns_match_beside_invalid_utf8() {
        let regex = compile(r"h=(?P<H>\w+)").expect("a pattern");
        assert!(regex.is_match(b"\xff h=web \xfe"));
    }
}
