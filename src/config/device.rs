//! Device id rules as a listener is given them: patterns that find a frame's sender in its raw text.
//!
//! Invariant: the parser's [`DeviceRules`](crate::plan::device::DeviceRules) compiles every rule that was read, which
//! the reader has tried; what is kept here is text.

use super::OnNoMatch;
use super::value::Text;

/// How a frame's sender is found when neither HOSTNAME, header nor query names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId {
    /// Absent: what the packs say.
    pub on_no_match: Option<OnNoMatch>,
    /// The listener's rules, then the built-in one for Heroku; the first active rule that matches wins.
    pub rules: Vec<DeviceRule>,
}

/// A pattern over the raw frame, one group of which names the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    pub(super) pattern: Text,
    pub(super) token: Text,
    /// A rule that is not active is skipped.
    pub active: bool,
}

/// Leaves it to the packs what becomes of a frame that no rule names, and knows Heroku's drain token in the raw text.
impl Default for DeviceId {
    fn default() -> DeviceId {
        DeviceId { on_no_match: None, rules: vec![DeviceRule::heroku()] }
    }
}

impl DeviceRule {
    /// Returns the vendor guide's rule: the drain token that follows the offset of a time.
    pub fn heroku() -> DeviceRule {
        DeviceRule {
            pattern: Text::plain(r"\+\d+:\d+\s(?P<Computer>d\.[^\s]+)"),
            token: Text::plain("Computer"),
            active: true,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::device::DeviceRules;

    #[test]
    fn the_built_in_rule_compiles() {
        let rule = DeviceRule::heroku();
        assert!(DeviceRules::new(&[(rule.pattern(), rule.token())]).is_ok());
    }
}
