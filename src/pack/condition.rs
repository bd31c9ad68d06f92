//! `condition`: and, or, not, parentheses, `1 of x*`, `all of them`.

use crate::plan::rules::cond::Cond;

/// Parentheses and negations within one another; nobody reads deeper ones.
const DEPTH_MAX: usize = 64;
/// Words of one condition.
const WORDS_MAX: usize = 4_096;

/// The blocks of a condition by name.
pub(super) trait Blocks {
    /// The condition of a block, which is then used.
    fn block(&mut self, name: &str) -> Result<Cond, String>;
    /// The blocks whose names match a pattern with `*`, or all of them for `them`.
    fn matching(&mut self, pattern: &str) -> Result<Vec<Cond>, String>;
}

/// Reads a condition.
///
/// # Errors
/// What is wrong with it, as one line.
pub(super) fn parse(text: &str, blocks: &mut impl Blocks) -> Result<Cond, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.len() > WORDS_MAX {
        return Err(format!("the condition has more than {WORDS_MAX} words"));
    }
    let mut parser = Parser { words: &words, at: 0, blocks };
    let cond = parser.or(0)?;
    match parser.peek() {
        None => Ok(cond),
        Some(word) => Err(format!("`{word}` is not expected here")),
    }
}

struct Parser<'p, B> {
    words: &'p [&'p str],
    at: usize,
    blocks: &'p mut B,
}

impl<'p, B: Blocks> Parser<'p, B> {
    fn peek(&self) -> Option<&'p str> {
        self.words.get(self.at).copied()
    }

    fn takes(&mut self, word: &str) -> bool {
        let takes = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(takes);
        takes
    }

    fn or(&mut self, depth: usize) -> Result<Cond, String> {
        let mut parts = vec![self.and(depth)?];
        while self.takes("or") {
            parts.push(self.and(depth)?);
        }
        Ok(one_or(parts, Cond::Any))
    }

    fn and(&mut self, depth: usize) -> Result<Cond, String> {
        let mut parts = vec![self.not(depth)?];
        while self.takes("and") {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, Cond::All))
    }

    fn not(&mut self, depth: usize) -> Result<Cond, String> {
        if depth > DEPTH_MAX {
            return Err(format!("the condition is nested deeper than {DEPTH_MAX} levels"));
        }
        if self.takes("not") {
            return Ok(Cond::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.or(depth + 1)?;
            return match self.takes(")") {
                true => Ok(inner),
                false => Err("a parenthesis is not closed".into()),
            };
        }
        let Some(word) = self.peek() else { return Err("a name is missing at the end".into()) };
        self.at += 1;
        if self.peek().is_some_and(|next| next.eq_ignore_ascii_case("of")) {
            return self.of(word);
        }
        if matches!(word, ")" | "|")
            || ["and", "or", "of"].iter().any(|known| word.eq_ignore_ascii_case(known))
        {
            return Err(format!("`{word}` is not expected here"));
        }
        self.blocks.block(word)
    }

    fn of(&mut self, how_many: &str) -> Result<Cond, String> {
        self.at += 1;
        let Some(pattern) = self.peek() else {
            return Err("`of` wants `them` or a name such as `x*`".into());
        };
        self.at += 1;
        let parts = self.blocks.matching(pattern)?;
        match how_many.to_ascii_lowercase().as_str() {
            "1" | "any" => Ok(Cond::Any(parts)),
            "all" => Ok(Cond::All(parts)),
            other => Err(format!("`{other} of` is not known; `1 of` and `all of` are")),
        }
    }
}

fn one_or(mut parts: Vec<Cond>, join: fn(Vec<Cond>) -> Cond) -> Cond {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

/// Whether a name matches a pattern in which `*` stands for anything.
pub(super) fn name_matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    if !pattern.contains('*') {
        return after.is_empty();
    }
    rest = after;
    let pieces: Vec<&str> = pieces.collect();
    let (last, middle) = pieces.split_last().expect("a pattern with a star has a piece behind it");
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}
