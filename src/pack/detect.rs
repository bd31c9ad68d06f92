//! Conditions as packs write them, read into trees.
//!
//! The form is the Sigma detection grammar: named blocks of field matchers, lists mean or, maps mean and. Nothing is
//! ever ignored: an unknown modifier, field or block is a problem.

use std::collections::BTreeMap;

use super::condition::{self, Blocks, name_matches};
use super::scope::Scope;
use super::values::{joined, keyword, pieces, widen};
use crate::config::node::{At, Name, Node, Value};
use crate::config::read::Reader;
use crate::config::schema::nearest;
use crate::event::{FACILITIES, Severity};
use crate::plan::rules::cond::{Compare, Cond, Glob, How, Key, Op, Subject, Test};
use crate::plan::rules::convert::{Number, Type, address};
use crate::plan::rules::regex;

/// Tests of one condition, macros put in: room for thousands of literals in hundreds of blocks.
pub(super) const TESTS_MAX: usize = 50_000;
/// Macros within one another.
const MACROS_MAX: usize = 32;

const MODIFIERS: &[&str] = &[
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "cidr",
    "gt",
    "gte",
    "lt",
    "lte",
    "exists",
    "cased",
    "fieldref",
    "wide",
    "utf16",
    "utf16le",
    "utf16be",
    "i",
    "m",
    "s",
];

/// How the values of a matcher are compared.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Text(How),
    Regex,
    Network,
    Number(Compare),
    Exists,
    Same,
}

/// What stands before the colon of a matcher.
struct Matcher<'n> {
    at: At,
    subject: Subject,
    ty: Type,
    name: &'n str,
    mode: Mode,
    all: bool,
    cased: bool,
    wide: Option<bool>,
    /// Letters that stand for flags of an expression.
    flags: String,
}

/// A condition's blocks while its `condition` is read.
struct Named<'b> {
    blocks: &'b [(String, Cond)],
    used: Vec<bool>,
}

impl Blocks for Named<'_> {
    fn block(&mut self, name: &str) -> Result<Cond, String> {
        match self.blocks.iter().position(|(known, _)| known == name) {
            Some(at) => {
                self.used[at] = true;
                Ok(self.blocks[at].1.clone())
            }
            None => {
                let near = nearest(name, self.blocks.iter().map(|(known, _)| known.as_str()));
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                Err(format!("there is no block `{name}`{near}"))
            }
        }
    }

    fn matching(&mut self, pattern: &str) -> Result<Vec<Cond>, String> {
        let pattern = if pattern.eq_ignore_ascii_case("them") { "*" } else { pattern };
        let mut found = Vec::new();
        for (at, (name, cond)) in self.blocks.iter().enumerate() {
            // As in Sigma, `them` passes over names that begin with `_`.
            if name_matches(pattern, name) && !(pattern == "*" && name.starts_with('_')) {
                self.used[at] = true;
                found.push(cond.clone());
            }
        }
        match found.is_empty() {
            true => Err(format!("no block matches `{pattern}`")),
            false => Ok(found),
        }
    }
}

/// A macro: not read yet, being read, or read.
pub(super) enum Macro<'n> {
    Written(&'n Node),
    Open,
    Read(Option<Cond>),
}

/// Reads conditions; what is wrong goes to the reader.
pub(super) struct Detects<'n> {
    pub scope: Scope,
    pub macros: BTreeMap<String, (At, Macro<'n>)>,
    /// Macros being read, outermost first.
    open: Vec<String>,
    pub macros_used: Vec<String>,
    /// Blocks that no `condition` names.
    pub unused_blocks: Vec<(At, String)>,
}

impl<'n> Detects<'n> {
    pub fn new(scope: Scope, macros: &'n [(Name, Node)]) -> Detects<'n> {
        let macros = macros.iter().map(|(name, node)| (name.text.clone(), (name.at, Macro::Written(node))));
        Detects {
            scope,
            macros: macros.collect(),
            open: Vec::new(),
            macros_used: Vec::new(),
            unused_blocks: Vec::new(),
        }
    }

    /// Reads a condition; `owner` says whose it is.
    pub fn detect(&mut self, r: &mut Reader<'_>, node: &Node, owner: &str) -> Option<Cond> {
        let Value::Map(entries) = &node.value else {
            let message = format!("the condition of {owner} is {}", node.what());
            r.note(node.at, message, "named blocks: `{s: {kind: router, status|gte: 500}}`");
            return None;
        };
        let twice = super::names::repeated(entries.iter().map(|(name, _)| (name.text.as_str(), name.at)));
        for (name, at, first) in twice {
            r.note(
                at,
                format!("block `{name}` stands twice in {owner}"),
                format!("the first is in line {}", first.line),
            );
        }
        match &entries[..] {
            [] => {
                r.note(node.at, format!("the condition of {owner} is empty"), "`{s: {kind: router}}`");
                return None;
            }
            [(name, value)] if name.text == "use" => return self.use_macro(r, value, owner),
            [(name, value)] if name.text == "not" => {
                return Some(Cond::Not(Box::new(self.detect(r, value, owner)?)));
            }
            _ => {}
        }
        let mut blocks = Vec::new();
        let mut whole = true;
        for (name, value) in entries.iter().filter(|(name, _)| name.text != "condition") {
            if name.text == "use" {
                r.note(
                    name.at,
                    "`use` stands alone, or is a block of its own",
                    "`{a: {use: NAME}, b: {...}, condition: a and b}`",
                );
                whole = false;
                continue;
            }
            match self.block(r, value, owner) {
                Some(cond) => blocks.push((name.text.clone(), cond)),
                None => whole = false,
            }
        }
        let written = entries.iter().find(|(name, _)| name.text == "condition");
        let cond = match (written, &blocks[..]) {
            (Some((_, node)), _) => {
                let Value::Scalar { text, .. } = &node.value else {
                    r.note(node.at, format!("`condition` is {}", node.what()), "`condition: a and not b`");
                    return None;
                };
                if !whole {
                    return None;
                }
                let mut named = Named { used: vec![false; blocks.len()], blocks: &blocks };
                match condition::parse(text, &mut named) {
                    Ok(cond) => {
                        let unused = named.used.iter().zip(&blocks).filter(|(used, _)| !**used);
                        for (_, (name, _)) in unused {
                            let at = entries
                                .iter()
                                .find(|(known, _)| known.text == *name)
                                .map_or(node.at, |(name, _)| name.at);
                            self.unused_blocks.push((at, name.clone()));
                        }
                        cond
                    }
                    Err(why) => {
                        r.note(
                            node.at,
                            why,
                            "names of blocks with `and`, `or`, `not`, `1 of x*`, `all of them`",
                        );
                        return None;
                    }
                }
            }
            (None, [(_, cond)]) => cond.clone(),
            (None, []) => return None,
            (None, _) => {
                let message = format!("several blocks in {owner} need a `condition`");
                r.note(node.at, message, "`condition: all of them`");
                return None;
            }
        };
        self.bounded(r, node, cond, owner).filter(|_| whole)
    }

    fn bounded(&self, r: &mut Reader<'_>, node: &Node, cond: Cond, owner: &str) -> Option<Cond> {
        let mut tests = 0;
        cond.tests(&mut |_| tests += 1);
        if tests > TESTS_MAX {
            let message = format!("the condition of {owner} has more than {TESTS_MAX} tests");
            r.note(node.at, message, "macros within macros multiply");
            return None;
        }
        Some(cond)
    }

    fn use_macro(&mut self, r: &mut Reader<'_>, node: &Node, owner: &str) -> Option<Cond> {
        let Value::Scalar { text, .. } = &node.value else {
            r.note(node.at, format!("`use` is {}", node.what()), "`use: NAME`");
            return None;
        };
        let own = format!("{}.", self.scope.pack);
        let name = text.strip_prefix(&own).unwrap_or(text);
        if let Some(cond) = self.scope.other_macros.get(name) {
            return Some(cond.clone());
        }
        let Some((_, state)) = self.macros.get_mut(name) else {
            let known = self.macros.keys().chain(self.scope.other_macros.keys()).map(String::as_str);
            let hint = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "macros stand under `macros`; those of another pack are `PACK.NAME`".into(),
            };
            r.note(node.at, format!("there is no macro `{name}` for {owner}"), hint);
            return None;
        };
        if !self.macros_used.iter().any(|used| used == name) {
            self.macros_used.push(name.to_string());
        }
        match std::mem::replace(state, Macro::Open) {
            Macro::Read(cond) => {
                *state = Macro::Read(cond.clone());
                cond
            }
            Macro::Open => {
                let from = self.open.iter().position(|open| open == name).unwrap_or(0);
                let way = [&self.open[from..], &[name.to_string()]].concat().join(" -> ");
                r.note(node.at, format!("macro `{name}` uses itself"), way);
                None
            }
            Macro::Written(written) => {
                if self.open.len() == MACROS_MAX {
                    r.note(
                        node.at,
                        format!("macros within macros, deeper than {MACROS_MAX}"),
                        "put some of them together",
                    );
                    return None;
                }
                self.open.push(name.to_string());
                let cond = self.detect(r, written, &format!("macro `{name}`"));
                self.open.pop();
                if let Some((_, state)) = self.macros.get_mut(name) {
                    *state = Macro::Read(cond.clone());
                }
                cond
            }
        }
    }

    /// Reads every macro, used or not.
    pub fn read_macros(&mut self, r: &mut Reader<'_>) {
        let names: Vec<String> = self.macros.keys().cloned().collect();
        for name in names {
            let Some((_, state)) = self.macros.get_mut(&name) else { continue };
            if let Macro::Written(node) = *state {
                *state = Macro::Open;
                self.open.push(name.clone());
                let cond = self.detect(r, node, &format!("macro `{name}`"));
                self.open.pop();
                if let Some((_, state)) = self.macros.get_mut(&name) {
                    *state = Macro::Read(cond);
                }
            }
        }
    }

    fn block(&mut self, r: &mut Reader<'_>, node: &Node, owner: &str) -> Option<Cond> {
        match &node.value {
            Value::Map(entries) => match &entries[..] {
                [(name, value)] if name.text == "use" => self.use_macro(r, value, owner),
                _ => self.matchers(r, node, entries, owner),
            },
            Value::List(list) => {
                let mut any = Vec::new();
                let mut whole = true;
                for item in list {
                    let one = match &item.value {
                        Value::Map(entries) => self.matchers(r, item, entries, owner),
                        _ => keyword(r, item, owner),
                    };
                    whole &= one.is_some();
                    any.extend(one);
                }
                if list.is_empty() {
                    r.note(node.at, format!("a block of {owner} is empty"), "matchers, or texts to look for");
                    return None;
                }
                whole.then(|| joined(any, false))
            }
            Value::Scalar { .. } => keyword(r, node, owner),
        }
    }

    /// Reads a map of matchers, all of which have to hold.
    pub fn matchers(
        &mut self,
        r: &mut Reader<'_>,
        node: &Node,
        entries: &[(Name, Node)],
        owner: &str,
    ) -> Option<Cond> {
        if entries.is_empty() {
            r.note(node.at, format!("a block of {owner} is empty"), "`kind: router`, `status|gte: 500`");
            return None;
        }
        let mut all = Vec::new();
        let mut whole = true;
        for (name, value) in entries {
            let one = match self.categories(r, name, value, owner) {
                Some(of_categories) => of_categories,
                None => {
                    self.matcher(r, name, owner).and_then(|matcher| self.values(r, &matcher, value, owner))
                }
            };
            whole &= one.is_some();
            all.extend(one);
        }
        whole.then(|| joined(all, true))
    }

    fn matcher<'m>(&mut self, r: &mut Reader<'_>, name: &'m Name, owner: &str) -> Option<Matcher<'m>> {
        let mut parts = name.text.split('|');
        let field = parts.next().unwrap_or_default();
        let (subject, ty) = match field {
            "" => (Subject::Text, Type::Text),
            _ => match self.scope.subject(field) {
                Ok(found) => found,
                Err((message, hint)) => {
                    r.note(name.at, format!("{message} in {owner}"), hint);
                    return None;
                }
            },
        };
        let mode = if field.is_empty() { How::Contains } else { How::Equals };
        let mut matcher = Matcher {
            at: name.at,
            subject,
            ty,
            name: field,
            mode: Mode::Text(mode),
            all: false,
            cased: false,
            wide: None,
            flags: String::new(),
        };
        let mut given: Option<&str> = None;
        for modifier in parts {
            let mode = match modifier {
                "contains" => Some(Mode::Text(How::Contains)),
                "startswith" => Some(Mode::Text(How::Starts)),
                "endswith" => Some(Mode::Text(How::Ends)),
                "re" => Some(Mode::Regex),
                "cidr" => Some(Mode::Network),
                "gt" => Some(Mode::Number(Compare::Greater)),
                "gte" => Some(Mode::Number(Compare::GreaterOrEqual)),
                "lt" => Some(Mode::Number(Compare::Less)),
                "lte" => Some(Mode::Number(Compare::LessOrEqual)),
                "exists" => Some(Mode::Exists),
                "fieldref" => Some(Mode::Same),
                _ => None,
            };
            match (modifier, mode, given) {
                (_, Some(_), Some(first)) => {
                    let message = format!("modifiers `{first}` and `{modifier}` exclude each other");
                    r.note(name.at, message, "write two matchers, in two blocks if need be");
                    return None;
                }
                (_, Some(mode), None) => (matcher.mode, given) = (mode, Some(modifier)),
                ("all", ..) => matcher.all = true,
                ("cased", ..) => matcher.cased = true,
                ("wide" | "utf16" | "utf16le", ..) => matcher.wide = Some(false),
                ("utf16be", ..) => matcher.wide = Some(true),
                ("i" | "m" | "s", ..) if matcher.mode == Mode::Regex => matcher.flags.push_str(modifier),
                ("i" | "m" | "s", ..) => {
                    r.note(
                        name.at,
                        format!("modifier `{modifier}` stands behind `re` only"),
                        "`message|re|i`",
                    );
                    return None;
                }
                _ => {
                    let hint = match nearest(modifier, MODIFIERS.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known modifiers are {}", MODIFIERS.join(", ")),
                    };
                    r.note(name.at, format!("unknown modifier `{modifier}` in {owner}"), hint);
                    return None;
                }
            }
        }
        if let Mode::Number(_) = matcher.mode
            && !matcher.ty.is_number()
        {
            let message = format!("`{field}` is no number, so `{}` says nothing", given.unwrap_or_default());
            r.note(name.at, message, "numbers are of type u16, u32, u64, i64, f64, duration_ms or bytes");
            return None;
        }
        Some(matcher)
    }

    fn values(
        &mut self,
        r: &mut Reader<'_>,
        matcher: &Matcher<'_>,
        node: &Node,
        owner: &str,
    ) -> Option<Cond> {
        let values = match &node.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        if values.is_empty() {
            r.note(
                node.at,
                format!("`{}` in {owner} has no value", matcher.name),
                "a value, or a list of which one is enough",
            );
            return None;
        }
        let mut parts = Vec::new();
        let mut whole = true;
        for value in values {
            let one = match &value.value {
                Value::Scalar { text, .. } => self.value(r, matcher, value, text),
                _ => {
                    let message = format!("a value of `{}` in {owner} is {}", matcher.name, value.what());
                    r.note(value.at, message, "single values, or a list of them");
                    None
                }
            };
            whole &= one.is_some();
            parts.extend(one);
        }
        whole.then(|| joined(parts, matcher.all))
    }

    fn value(&mut self, r: &mut Reader<'_>, matcher: &Matcher<'_>, node: &Node, text: &str) -> Option<Cond> {
        let test = |op| Cond::Test(Test { subject: matcher.subject.clone(), op });
        let plain_text = matches!(matcher.mode, Mode::Text(How::Equals));
        if node.is_null() || (text.is_empty() && plain_text && matcher.subject != Subject::Text) {
            if !plain_text {
                r.note(
                    node.at,
                    format!("`{}` has no value to compare with", matcher.name),
                    "`null` stands alone and means absent",
                );
                return None;
            }
            return match matcher.subject {
                // A message is always there.
                Subject::Text => Some(Cond::Any(Vec::new())),
                _ => Some(Cond::Not(Box::new(test(Op::Exists)))),
            };
        }
        match matcher.mode {
            Mode::Exists => match (text, &matcher.subject) {
                ("true", Subject::Text) => Some(Cond::All(Vec::new())),
                ("false", Subject::Text) => Some(Cond::Any(Vec::new())),
                ("true", _) => Some(test(Op::Exists)),
                ("false", _) => Some(Cond::Not(Box::new(test(Op::Exists)))),
                _ => {
                    r.note(
                        node.at,
                        format!("`exists` is true or false, not `{text}`"),
                        "`code|exists: true`",
                    );
                    None
                }
            },
            Mode::Regex => {
                let pattern = match matcher.flags.is_empty() {
                    true => text.to_string(),
                    false => format!("(?{}){text}", matcher.flags),
                };
                match regex::compile(&pattern) {
                    Ok(_) => Some(test(Op::Regex(pattern.into()))),
                    Err(error) => {
                        r.note(node.at, format!("the expression cannot be used: {error}"), super::REGEX_HINT);
                        None
                    }
                }
            }
            Mode::Network => match super::network(text) {
                Some(network) => Some(test(Op::Network(network))),
                None => {
                    r.note(
                        node.at,
                        format!("`{text}` is no network"),
                        "`10.0.0.0/8`, `2001:db8::/32` or an address",
                    );
                    None
                }
            },
            Mode::Number(compare) => {
                match matcher.ty.number(text.as_bytes()).or_else(|| Number::parse(text.as_bytes())) {
                    Some(number) => Some(test(Op::Number(compare, number))),
                    None => {
                        r.note(node.at, format!("`{text}` is no number"), "`status|gte: 500`");
                        None
                    }
                }
            }
            Mode::Same => match self.scope.subject(text) {
                Ok((other, _)) => Some(test(Op::Same(other))),
                Err((message, hint)) => {
                    r.note(node.at, message, hint);
                    None
                }
            },
            Mode::Text(how) => self.text(r, matcher, node, text, how),
        }
    }

    fn text(
        &mut self,
        r: &mut Reader<'_>,
        matcher: &Matcher<'_>,
        node: &Node,
        text: &str,
        how: How,
    ) -> Option<Cond> {
        let test = |op| Some(Cond::Test(Test { subject: matcher.subject.clone(), op }));
        if text.is_empty() && how != How::Equals {
            r.note(node.at, "an empty text is in every value", "`exists: true` asks whether there is one");
            return None;
        }
        let mut pieces = pieces(text);
        if let Some(big) = matcher.wide {
            widen(&mut pieces, big);
        }
        let literal = match &pieces[..] {
            [] => Some(&b""[..]),
            [Glob::Literal(literal)] => Some(&literal[..]),
            _ => None,
        };
        if let (How::Equals, Some(literal)) = (how, literal) {
            if matcher.ty == Type::Ip {
                return match address(literal) {
                    Some(address) => test(Op::Network(address.into())),
                    None => {
                        r.note(
                            node.at,
                            format!("`{text}` is no address"),
                            "`192.0.2.7`, or `|cidr` for a network",
                        );
                        None
                    }
                };
            }
            if matcher.ty.is_number() {
                return match matcher.ty.number(literal) {
                    Some(number) => test(Op::Number(Compare::Equal, number)),
                    None => {
                        let message = format!("`{text}` is no value of the number `{}`", matcher.name);
                        r.note(node.at, message, "`status: 404`, or `status: 4*` for its digits");
                        None
                    }
                };
            }
            if matcher.ty == Type::Bool && !matches!(literal, b"true" | b"false") {
                r.note(
                    node.at,
                    format!("`{}` is true or false, not `{text}`", matcher.name),
                    "`yes` and `no` are words",
                );
                return None;
            }
            self.known_value(r, matcher, node, text)?;
        }
        match how {
            How::Equals => {}
            How::Starts => pieces.push(Glob::Many),
            How::Ends => pieces.insert(0, Glob::Many),
            How::Contains => {
                pieces.insert(0, Glob::Many);
                pieces.push(Glob::Many);
            }
        }
        pieces.dedup_by(|a, b| *a == Glob::Many && *b == Glob::Many);
        let cased = matcher.cased;
        let whole = |how, literal: &[u8]| test(Op::Text { how, cased, any: vec![literal.into()] });
        match &pieces[..] {
            [] => whole(How::Equals, b""),
            [Glob::Literal(literal)] => whole(How::Equals, literal),
            [Glob::Many] if matcher.subject == Subject::Text => Some(Cond::All(Vec::new())),
            [Glob::Many] => test(Op::Exists),
            [Glob::Literal(literal), Glob::Many] => whole(How::Starts, literal),
            [Glob::Many, Glob::Literal(literal)] => whole(How::Ends, literal),
            [Glob::Many, Glob::Literal(literal), Glob::Many] => whole(How::Contains, literal),
            _ => test(Op::Glob { pattern: pieces, cased }),
        }
    }

    /// Checks a whole value of a key whose values are known.
    fn known_value(
        &mut self,
        r: &mut Reader<'_>,
        matcher: &Matcher<'_>,
        node: &Node,
        text: &str,
    ) -> Option<()> {
        let known: Vec<&str> = match &matcher.subject {
            Subject::Key(Key::Severity | Key::SentSeverity) => {
                Severity::ALL.iter().map(|one| one.name()).collect()
            }
            Subject::Key(Key::Facility) => FACILITIES.to_vec(),
            Subject::Key(Key::Kind) => self.scope.kinds.iter().map(String::as_str).collect(),
            _ => return Some(()),
        };
        if known.iter().any(|one| one.eq_ignore_ascii_case(text)) {
            return Some(());
        }
        let hint = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        let at = if node.at.line == 0 { matcher.at } else { node.at };
        r.note(at, format!("`{text}` is no {}", matcher.name), hint);
        None
    }
}
