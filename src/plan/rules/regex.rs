//! Regular expressions: how they are compiled, and what is refused.
//!
//! They work on bytes and know ASCII (`(?u)` turns Unicode on for a part), and take time linear in the text whatever
//! they are. What one needs is bounded: too large a one is refused, and the lazily built automaton of a shard is capped.

use core::fmt;

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

/// Bytes of one compiled expression.
const REGEX_BYTES: usize = 1 << 20;
/// Bytes of one shard's lazily built automaton for one expression.
const CACHE_BYTES: usize = 128 << 10;
/// Levels of groups within one another.
const NESTING_MAX: u32 = 64;

/// Why an expression cannot be used.
#[derive(Debug)]
pub struct RegexError(String);

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RegexError {}

fn syntax() -> syntax::Config {
    syntax::Config::new().utf8(false).unicode(false).nest_limit(NESTING_MAX)
}

/// The expression as a tree.
///
/// # Errors
/// What is wrong with the syntax, in one line.
pub fn hir(pattern: &str) -> Result<Hir, RegexError> {
    syntax::parse_with(pattern, &syntax()).map_err(|error| RegexError(last_line(&error.to_string())))
}

/// Compiles an expression.
///
/// # Errors
/// What is wrong with the syntax, or that the expression is too large, in one line.
pub fn compile(pattern: &str) -> Result<Regex, RegexError> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(REGEX_BYTES))
        .onepass_size_limit(Some(REGEX_BYTES))
        .hybrid_cache_capacity(CACHE_BYTES);
    let built = Regex::builder().configure(config).syntax(syntax()).build(pattern);
    built.map_err(|error| RegexError(reason(&error)))
}

fn reason(error: &BuildError) -> String {
    match (error.size_limit(), error.syntax_error()) {
        (Some(limit), _) => format!("it needs more than {limit} bytes when compiled"),
        (None, Some(syntax)) => last_line(&syntax.to_string()),
        (None, None) => error.to_string(),
    }
}

/// The line of an error that says what is wrong; those above it draw the pattern.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_linear_is_refused() {
        for (pattern, says) in [
            (r"(a)\1", "backreferences are not supported"),
            (r"(?=a)b", "look-around"),
            (r"(?<!a)b", "look-around"),
            (r"(?P<A>\w{5000}){5000}", "more than 1048576 bytes"),
            ("(a", "unclosed group"),
            (&"(".repeat(100), "unclosed"),
            (&format!("{}a{}", "(".repeat(100), ")".repeat(100)), "nest"),
        ] {
            let error = compile(pattern).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        }
        assert!(compile(r"(?i)from\s(?P<ip>[0-9a-f:.]{3,45})").is_ok());
    }
}
