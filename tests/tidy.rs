//! The rules about modules, read off the source: what is pure stays pure, what is edge stays at the edge.
//!
//! Every rule looks at code alone: comments and string literals are blanked first, and what `#[cfg(test)]` covers is
//! left out. Each violation is told as `file:line: rule: what was found`. The last tests plant violations and see that
//! they are found, so that a rule which stops looking is noticed.
//! Not checked here: what clippy and rustfmt check.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Modules that are functions of bytes, numbers and given times.
const PURE: &[&str] = &[
    "event", "batch", "limits", "outcome", "frame", "parse", "plan", "tally", "encode", "redact", "signal",
    "sums", "samples", "rows", "gather", "collect", "meter", "shard", "gate", "ring", "feed", "ledger",
    "simd", "geo",
];

/// Paths that pure modules do not name, and why.
const IMPURE_PATHS: &[(&str, &str)] = &[
    ("tokio", "a runtime"),
    ("crossbeam", "channels"),
    ("crossbeam_channel", "channels"),
    ("std::net", "sockets; addresses come from `core::net`"),
    ("std::fs", "files"),
    ("std::thread", "threads"),
    ("std::sync::Mutex", "a lock"),
    ("std::sync::RwLock", "a lock"),
    ("std::sync::Condvar", "a lock"),
    ("std::time::Instant", "a clock"),
    ("std::time::SystemTime", "a clock"),
    ("tracing", "logging"),
    ("serde", "serde derive belongs to the edges"),
];
/// Words that pure modules do not say, and why.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("Mutex", "a lock"),
    ("RwLock", "a lock"),
    ("now()", "a clock"),
    ("println!", "output"),
    ("eprintln!", "output"),
    ("print!", "output"),
    ("eprint!", "output"),
    ("dbg!", "output"),
    ("Serialize", "serde derive belongs to the edges"),
    ("Deserialize", "serde derive belongs to the edges"),
];
/// Crates that only one module of weir names.
const CONFINED: &[(&str, &str)] =
    &[("rdkafka", "deliver"), ("rdkafka_sys", "deliver"), ("socket2", "receive")];
/// Words that stand for unfinished work, wherever they stand, comments included.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
/// A file of more lines is more than one thing.
const LINES_MAX: usize = 700;
/// From here on a file is named in the test's output.
const LINES_WARN: usize = 600;

#[derive(Debug)]
struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
    /// The text with comments, strings and test code blanked, line by line the same.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let code = without_tests(&without_comments_and_strings(text));
        Source { path: path.into(), text: text.into(), code }
    }

    /// The top module that the file belongs to, for files of the library.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        let top = rest.split('/').next()?;
        let name = top.strip_suffix(".rs").unwrap_or(top);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    fn violation(&self, line: usize, rule: &str, found: &str) -> String {
        format!("{}:{line}: {rule}: {found}", self.path)
    }
}

#[test]
fn source_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for dir in ["src", "loadtest/src", "tests", "benches"] {
        read_sources(root, &root.join(dir), &mut sources);
    }
    assert!(sources.iter().any(|s| s.path == "src/lib.rs"), "the library's source was not found");

    for s in &sources {
        let lines = s.text.lines().count();
        if (LINES_WARN + 1..=LINES_MAX).contains(&lines) {
            println!("note: {} has {lines} lines", s.path);
        }
    }
    let violations = check(&sources);
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn no_path_of_a_machine_is_tracked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut seen = 0;
    walk(root, &mut |path| {
        let Ok(text) = fs::read_to_string(path) else { return };
        seen += 1;
        for (i, line) in text.lines().enumerate() {
            if let Some(what) = machine_path(line) {
                found.push(format!("{}:{}: path of a machine: {what}", relative(root, path), i + 1));
            }
        }
    });
    assert!(seen > 20, "only {seen} files were read");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// All violations, in the order of files and lines.
fn check(sources: &[Source]) -> Vec<String> {
    let lib = sources.iter().find(|s| s.path == "src/lib.rs").expect("the library has a root");
    let order = module_order(lib);
    let mut all = Vec::new();
    for s in sources {
        let mut found = Vec::new();
        check_everywhere(s, &mut found);
        if let Some(module) = s.module() {
            check_module(s, module, &order, &mut found);
        }
        found.sort();
        found.dedup();
        all.extend(found.into_iter().map(|(line, rule, what)| s.violation(line, rule, &what)));
    }
    all
}

/// Line, rule, and what was found.
type Found = (usize, &'static str, String);

fn check_everywhere(s: &Source, found: &mut Vec<Found>) {
    let is_test = s.path.starts_with("tests/") || s.path.starts_with("benches/");
    let lines = s.text.lines().count();
    if lines > LINES_MAX {
        found.push((lines, "length", format!("{lines} lines, {LINES_MAX} at most")));
    }
    // This file names what it looks for.
    if s.path != "tests/tidy.rs" {
        for (i, line) in s.text.lines().enumerate() {
            for word in UNFINISHED.iter().filter(|w| has_word(line, w)) {
                found.push((i + 1, "unfinished", format!("`{word}`")));
            }
        }
    }
    for (i, line) in s.code.lines().enumerate() {
        if !is_test && line.contains(".unwrap()") {
            found.push((i + 1, "unwrap", "`.unwrap()` outside tests: `expect` names the invariant".into()));
        }
        if !is_test && s.module() != Some("simd") && has_word(line, "unsafe") {
            found.push((i + 1, "unsafe", "`unsafe` outside `simd`".into()));
        }
    }
}

fn check_module(s: &Source, module: &str, order: &HashMap<String, usize>, found: &mut Vec<Found>) {
    let paths = paths(&s.code);
    for (line, path) in &paths {
        for (name, home) in
            CONFINED.iter().filter(|(name, home)| starts_with_path(path, name) && module != *home)
        {
            found.push((*line, "confined", format!("`{name}` outside `{home}`")));
        }
        if let Some(other) = path.strip_prefix("crate::").and_then(|p| p.split("::").next())
            && let (Some(mine), Some(theirs)) = (order.get(module), order.get(other))
            && theirs > mine
        {
            found.push((
                *line,
                "order",
                format!("`{module}` names `{other}`, which stands below it in lib.rs"),
            ));
        }
    }
    if !PURE.contains(&module) {
        return;
    }
    for (line, path) in &paths {
        for (name, why) in IMPURE_PATHS.iter().filter(|(name, _)| starts_with_path(path, name)) {
            found.push((*line, "pure", format!("`{name}`: {why}")));
        }
    }
    for (i, line) in s.code.lines().enumerate() {
        for (word, why) in IMPURE_WORDS.iter().filter(|(word, _)| has_word(line, word)) {
            found.push((i + 1, "pure", format!("`{word}`: {why}")));
        }
    }
}

/// The modules of `lib.rs` by place.
fn module_order(lib: &Source) -> HashMap<String, usize> {
    lib.code
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
        .enumerate()
        .map(|(i, name)| (name.to_string(), i))
        .collect()
}

/// Every path with `::` in it and its line, `use` trees written out.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    let mut rest = code;
    let mut line = 1;
    while let Some(start) = rest.find(is_ident) {
        line += rest[..start].matches('\n').count();
        rest = &rest[start..];
        let word = rest.find(|c| !is_ident(c)).unwrap_or(rest.len());
        if &rest[..word] == "use" && rest[word..].starts_with(char::is_whitespace) {
            let end = rest.find(';').unwrap_or(rest.len());
            let tree: String = rest[word..end].split_whitespace().collect::<Vec<_>>().join(" ");
            expand("", &tree, &mut |path| all.push((line, path)));
            line += rest[..end].matches('\n').count();
            rest = &rest[end..];
        } else {
            let end = rest.find(|c| !is_ident(c) && c != ':').unwrap_or(rest.len());
            if rest[..end].contains("::") {
                all.push((line, rest[..end].to_string()));
            }
            rest = &rest[end..];
        }
    }
    all
}

/// The leaves of the `use` tree `tree` below `prefix`.
fn expand(prefix: &str, tree: &str, leaf: &mut impl FnMut(String)) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        return leaf(format!("{prefix}{name}").trim_start_matches("::").to_string());
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start) = (0, 0);
    for (i, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !inner[start..i].trim().is_empty() {
                    expand(&prefix, &inner[start..i], leaf);
                }
                start = i + 1;
            }
            _ => {}
        }
    }
}

fn is_ident(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn starts_with_path(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `word` stands in `line` and does not begin, or end, inside a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined =
            |edge: Option<char>, own: Option<char>| edge.is_some_and(is_ident) && own.is_some_and(is_ident);
        !joined(before, word.chars().next()) && !joined(after, word.chars().next_back())
    })
}

/// The text with comments and the contents of literals replaced by blanks.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let len = match rest {
            [b'/', b'/', ..] => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => block_comment_len(rest),
            [b'"', ..] => string_len(rest),
            [b'r', b'"' | b'#', ..]
                if at == 0 || !is_ident(bytes[at - 1] as char) || bytes[at - 1] == b'b' =>
            {
                raw_string_len(rest)
            }
            [b'\'', ..] => char_len(rest),
            _ => 0,
        };
        if len == 0 {
            out.push(rest[0]);
            at += 1;
        } else {
            out.extend(rest[..len].iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
            at += len;
        }
    }
    String::from_utf8(out).expect("blanks replace whole characters")
}

fn block_comment_len(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// 0 where it is none, as in `r#match`.
fn raw_string_len(text: &[u8]) -> usize {
    let hashes = text[1..].iter().take_while(|&&b| b == b'#').count();
    if text.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let close: Vec<u8> = [b'"'].into_iter().chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = 2 + hashes;
    text[body..].windows(close.len()).position(|w| w == close).map_or(text.len(), |i| body + i + close.len())
}

/// 0 where it is a lifetime.
fn char_len(text: &[u8]) -> usize {
    match text {
        [_, b'\\', _, rest @ ..] => rest.iter().position(|&b| b == b'\'').map_or(0, |i| i + 4),
        [_, first, rest @ ..] => {
            let len = match first {
                0..0x80 => 1,
                0..0xe0 => 2,
                0..0xf0 => 3,
                _ => 4,
            };
            if rest.get(len - 1) == Some(&b'\'') { len + 2 } else { 0 }
        }
        _ => 0,
    }
}

/// The code with every item under `#[cfg(test)]` blanked.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_string();
    let mut from = 0;
    while let Some(start) = out[from..].find(MARK).map(|i| from + i) {
        let end = item_end(&out, start + MARK.len());
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
        from = start + blank.len();
    }
    out
}

/// The end of the item that begins at `from`: its `;`, or the brace that closes its body.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (i, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + i + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + i + 1,
            _ => {}
        }
    }
    code.len()
}

/// A folder that only some machine has, if `line` names a file in it.
fn machine_path(line: &str) -> Option<String> {
    ["work", "farm", "root"].iter().map(|dir| format!("/{dir}/")).find(|dir| {
        line.match_indices(dir.as_str())
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphabetic()))
    })
}

fn read_sources(root: &Path, dir: &Path, out: &mut Vec<Source>) {
    walk(dir, &mut |path| {
        let relative = relative(root, path);
        if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{relative}: {e}"));
            out.push(Source::new(&relative, &text));
        }
    });
    let for_tests: Vec<String> =
        out.iter().flat_map(|source| test_modules(&source.path, &source.text)).collect();
    out.retain(|source| !for_tests.contains(&source.path));
}

/// The files of modules that a file declares for tests only.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').expect("a file in a folder");
    let inside = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_string(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let declared = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let (name, _) = rest.lines().next()?.strip_prefix("mod ")?.split_once(';')?;
        Some(format!("{inside}/{name}.rs"))
    });
    declared.collect()
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Calls `visit` for every file below `dir`, in order of names, outside `target`, `.git` and what runs leave behind.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match name.as_str() {
            "target" | ".git" | "weir-out" | "weir-state" => {}
            _ if path.is_dir() => walk(&path, visit),
            _ => visit(&path),
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let lib = "pub mod event;\npub mod frame;\n\npub mod flow;\npub mod deliver;\npub mod receive;\npub mod simd;\n";
    let long = "\n".repeat(LINES_MAX + 1);
    // File, its text, and what must be said of it; nothing where the text is in order.
    let cases: &[(&str, &str, &[&str])] = &[
        ("src/frame.rs", "use tokio::net::TcpStream;", &["src/frame.rs:1: pure: `tokio`: a runtime"]),
        ("src/frame.rs", "//! tokio, std::fs\n/* std::net */ const A: &str = \"std::thread\";", &[]),
        ("src/frame.rs", "use std::{io,\n  fs::{self, File}};", &["src/frame.rs:1: pure: `std::fs`: files"]),
        ("src/frame.rs", "fn f() {\n  std::fs::read(a)\n}", &["src/frame.rs:2: pure: `std::fs`: files"]),
        (
            "src/frame.rs",
            "use std::net::IpAddr;",
            &["src/frame.rs:1: pure: `std::net`: sockets; addresses come from `core::net`"],
        ),
        ("src/frame.rs", "use core::net::IpAddr;", &[]),
        (
            "src/frame.rs",
            "fn f<'a>(s: &'a str) { Timestamp::now() }",
            &["src/frame.rs:1: pure: `now()`: a clock"],
        ),
        ("src/frame.rs", "let c = '\"'; println!();", &["src/frame.rs:1: pure: `println!`: output"]),
        ("src/frame.rs", "let c = b'\\''; eprintln!();", &["src/frame.rs:1: pure: `eprintln!`: output"]),
        ("src/frame.rs", "let c = r#\"a \" b\"#; dbg!(c);", &["src/frame.rs:1: pure: `dbg!`: output"]),
        (
            "src/event.rs",
            "use std::sync::{Arc, Mutex};",
            &["src/event.rs:1: pure: `Mutex`: a lock", "src/event.rs:1: pure: `std::sync::Mutex`: a lock"],
        ),
        ("src/event.rs", "tracing::warn!(a)", &["src/event.rs:1: pure: `tracing`: logging"]),
        (
            "src/event.rs",
            "#[derive(Debug, Serialize)]",
            &["src/event.rs:1: pure: `Serialize`: serde derive belongs to the edges"],
        ),
        ("src/flow.rs", "use std::sync::Mutex; #[derive(Serialize)] struct A;", &[]),
        (
            "src/frame/octet.rs",
            "use crossbeam_channel::bounded;",
            &["src/frame/octet.rs:1: pure: `crossbeam_channel`: channels"],
        ),
        (
            "src/flow.rs",
            "use rdkafka::ClientConfig;",
            &["src/flow.rs:1: confined: `rdkafka` outside `deliver`"],
        ),
        ("src/deliver/kafka.rs", "use rdkafka::ClientConfig;", &[]),
        (
            "src/deliver/file.rs",
            "socket2::Socket::new()",
            &["src/deliver/file.rs:1: confined: `socket2` outside `receive`"],
        ),
        ("src/receive/tcp.rs", "use socket2::Socket;", &[]),
        (
            "src/event.rs",
            "use crate::frame::Framer;",
            &["src/event.rs:1: order: `event` names `frame`, which stands below it in lib.rs"],
        ),
        (
            "src/frame.rs",
            "use crate::{event::Span,\n flow::Slot};",
            &["src/frame.rs:1: order: `frame` names `flow`, which stands below it in lib.rs"],
        ),
        ("src/frame.rs", "use crate::event::Span; use crate::frame::Step;", &[]),
        ("src/flow.rs", "fn f() { unsafe { g() } }", &["src/flow.rs:1: unsafe: `unsafe` outside `simd`"]),
        ("src/simd/mod.rs", "fn f() { unsafe { g() } }", &[]),
        ("src/lib.rs", "#![forbid(unsafe_code)]", &[]),
        (
            "src/main.rs",
            "fn main() { a.unwrap() }",
            &["src/main.rs:1: unwrap: `.unwrap()` outside tests: `expect` names the invariant"],
        ),
        ("src/flow.rs", "#[cfg(test)]\nmod tests {\n fn f() { a.unwrap(); { println!() } }\n}", &[]),
        (
            "src/flow.rs",
            "#[cfg(test)]\nmod tests { }\n\nfn f() { a.unwrap() }",
            &["src/flow.rs:4: unwrap: `.unwrap()` outside tests: `expect` names the invariant"],
        ),
        ("tests/wire.rs", "fn f() { a.unwrap() }", &[]),
        ("tests/wire.rs", "\n// TODO: later", &["tests/wire.rs:2: unfinished: `TODO`"]),
        ("src/flow.rs", "fn f() { unimplemented!() }", &["src/flow.rs:1: unfinished: `unimplemented!(`"]),
        ("src/flow.rs", &long, &["src/flow.rs:701: length: 701 lines, 700 at most"]),
    ];
    for (path, text, expect) in cases {
        let sources = if *path == "src/lib.rs" {
            vec![Source::new(path, text)]
        } else {
            vec![Source::new("src/lib.rs", lib), Source::new(path, text)]
        };
        assert_eq!(check(&sources), *expect, "{path}: {text}");
    }
}

#[test]
fn planted_paths_are_found() {
    let dir = ["/ro", "ot/"].concat();
    assert_eq!(machine_path(&format!("COPY {dir}.cargo .")), Some(dir.clone()));
    assert_eq!(machine_path(&format!("sinks{dir}events")), None);
    assert_eq!(machine_path("a/b/c"), None);
}
