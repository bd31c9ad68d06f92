//! Device id rules: regular expressions that find the sender in the raw text.

/// Compiled rules in order; the first value wins.
#[derive(Debug, Default)]
pub struct DeviceRules {}
