//! Packs that are wrong, conditions and what they mean, and the packs that are compiled in.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::Value as Json;

use super::compile::{For, compile_with};
use super::probe::Probe;
use super::*;
use crate::batch::{Batch, Identity};
use crate::encode::tests::origin;
use crate::event::KindId;
use crate::outcome::Outcome;
use crate::parse::heroku;
use crate::plan::rules::convert::Type;
use crate::plan::rules::plain::holds;
use crate::plan::{Format, Output, Plan};
use crate::shard::Shard;

pub(super) const HEAD: &str = "weir: pack/v1\npack: {id: p, version: 1.0.0}\n";
const FIELDS: &str = "fields: {n: {type: u16}, user: {type: string}, ip: {type: ip}, flag: {type: bool}, ms: {type: duration_ms}, l: {type: [string]}}\n";

/// Every complaint about a pack, as `line:column: message / hint`.
fn complaints(text: &str) -> Vec<String> {
    let problems = match read("p", text, &[], &[built_in("heroku").unwrap()]) {
        Ok(pack) => pack.warnings,
        Err(problems) => problems,
    };
    let one = |problem: &crate::config::Problem| {
        let hint = problem.hint.as_deref().unwrap_or_default();
        format!("{}:{}: {} / {hint}", problem.line, problem.column, problem.message)
    };
    problems.iter().map(one).collect()
}

fn good(text: &str) -> Pack {
    read("p", text, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
    // The third line and what it says of itself.
    let cases: &[(&str, &str)] = &[
        ("catgories: []", "3:1: unknown key `catgories` in the pack / did you mean `categories`?"),
        ("fields: {n: {type: u17}}", "3:20: `u17` is no type / did you mean `u16`?"),
        (
            "fields: {a b: {type: u16}}",
            "3:10: `a b` is no name of a field / 1 to 128 letters, digits, `_`, `.` and `-`",
        ),
        (
            "fields: {n: {type: u16, take: last}}",
            "3:10: field `n` takes from no declared field / `fwd: {type: [string]}` and `client_ip: {type: ip, from: fwd, take: last}`",
        ),
        ("macros: {m: {use: m}}", "3:19: macro `m` uses itself / m -> m"),
        ("macros: {a: {use: b}, b: {use: a}}", "3:32: macro `a` uses itself / a -> b -> a"),
        (
            "categories: [{id: c, detect: {use: heroku.auth_failur}}]",
            "3:36: there is no macro `heroku.auth_failur` for category `c` / did you mean `heroku.auth_failure`?",
        ),
        (
            "categories: [{id: c, detect: {s: {staus: 1}}}]",
            "3:35: unknown field `staus` in category `c` / declare it under `fields`",
        ),
        (
            "categories: [{id: c, detect: {s: {message|contians: x}}}]",
            "3:35: unknown modifier `contians` in category `c` / did you mean `contains`?",
        ),
        (
            "categories: [{id: c, detect: {s: {message|gt: 1}}}]",
            "3:35: `message` is no number, so `gt` says nothing / numbers are of type u16, u32, u64, i64, f64, duration_ms or bytes",
        ),
        (
            "categories: [{id: c, detect: {s: {message|contains|re: x}}}]",
            "3:35: modifiers `contains` and `re` exclude each other / write two matchers, in two blocks if need be",
        ),
        (
            "categories: [{id: c, detect: {s: {message|i: x}}}]",
            "3:35: modifier `i` stands behind `re` only / `message|re|i`",
        ),
        (
            "categories: [{id: c, detect: {s: {kind: rooter}}}]",
            "3:41: `rooter` is no kind / did you mean `router`?",
        ),
        (
            "categories: [{id: c, detect: {s: {severity: errr}}}]",
            "3:45: `errr` is no severity / did you mean `error`?",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}, t: {source: b}}}]",
            "3:30: several blocks in category `c` need a `condition` / `condition: all of them`",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}, condition: s and t}}]",
            "3:58: there is no block `t`; did you mean `s`? / names of blocks with `and`, `or`, `not`, `1 of x*`, `all of them`",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}, condition: (s}}]",
            "3:58: a parenthesis is not closed / names of blocks with `and`, `or`, `not`, `1 of x*`, `all of them`",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}, condition: 2 of s}}]",
            "3:58: `2 of` is not known; `1 of` and `all of` are / names of blocks with `and`, `or`, `not`, `1 of x*`, `all of them`",
        ),
        (
            "categories: [{id: c, detect: {s: {source: $nope}}}]",
            "3:43: there is no list or param `nope` / lists stand under `lists`, params under `pack.params`; `$$` is a dollar",
        ),
        (
            "categories: [{id: c, detect: {s: {time: x}}}]",
            "3:35: conditions do not ask about `time` in category `c` / conditions ask about message, labels.NAME, fields and the other keys",
        ),
        (
            "categories: [{id: c, detect: {s: {message|contains: ''}}}]",
            "3:53: an empty text is in every value / `exists: true` asks whether there is one",
        ),
        (
            "categories: [{id: c, detect: {s: {source|contains: null}}}]",
            "3:52: `source` has no value to compare with / `null` stands alone and means absent",
        ),
        (
            "categories: [{id: c, detect: {s: {message|re: '(?=x)'}}}]",
            "3:47: the expression cannot be used: look-around, including look-ahead and look-behind, is not supported / expressions take linear time: no look-around, no back-references; write what must match, not what must not",
        ),
        (
            r"categories: [{id: c, detect: {s: {message|re: '(a)\1'}}}]",
            "3:47: the expression cannot be used: backreferences are not supported / expressions take linear time: no look-around, no back-references; write what must match, not what must not",
        ),
        (
            r"categories: [{id: c, detect: {s: {message|re: '(\w{500}){500}'}}}]",
            "3:47: the expression cannot be used: it needs more than 1048576 bytes when compiled / expressions take linear time: no look-around, no back-references; write what must match, not what must not",
        ),
        (
            "categories: [{id: C, detect: {s: {source: a}}}]",
            "3:19: `C` is no id / 1 to 64 of `a-z`, `0-9` and `_`, a letter first",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}}}, {id: c, detect: {s: {source: a}}}]",
            "3:54: two of `categories` are called `c` / the first is in line 3",
        ),
        (
            "knowledge_objects: [{id: o, kind: k, rules: [{applies_to: {kind: app}}]}]",
            "3:21: knowledge object `o` asks for the kind and gives one / what asks for the kind runs after it is known; leave one of the two out",
        ),
        (
            "knowledge_objects: [{id: o, rules: [{applies_to: {sorce: x}}]}]",
            "3:51: `applies_to` does not ask about `sorce` / did you mean `source`?",
        ),
        (
            "knowledge_objects: [{id: o, rules: [{extract: [{regex: '(?P<usr>x)'}]}]}]",
            "3:56: unknown field `usr` in knowledge object `o` / declare it under `fields`",
        ),
        (
            "knowledge_objects: [{id: o, rules: [{extract: [{regex: 'x'}]}]}]",
            "3:56: the expression has no named group, so it extracts nothing / `(?P<user>\\S+)`",
        ),
        (
            "knowledge_objects: [{id: o, rules: [{extract: [{kv: {}, json: {}}]}]}]",
            "3:48: an extractor of knowledge object `o` has 2 of kv, regex, delimited, json, format, builtin / exactly one; several extractors are several items",
        ),
        (
            "derive: [{field: nope, first_of: []}]",
            "3:18: unknown field `nope` in the pack / declare it under `fields`",
        ),
        (
            "derive: [{field: severity, first_of: [{value: error}]}]",
            "3:39: a step of `first_of` gives no value / `{map, values}`, `{lookup, by}`, `{detect, value}` or `{from}`",
        ),
        (
            "derive: [{field: severity, first_of: [{lookup: t.c, by: source}]}]",
            "3:48: there is no table `t` / tables stand under `lookups`",
        ),
        (
            "derive: [{field: severity, first_of: [{detect: {s: {severity: error}}, value: error}]}]",
            "3:39: the condition asks about `severity`, which is derived only later / derive it first",
        ),
        (
            "alerts: [{id: a, severity: hgih, when: each, detect: {s: {source: a}}}]",
            "3:28: `hgih` is no value of `severity` / did you mean `high`?",
        ),
        (
            "alerts: [{id: a, severity: high, when: each}]",
            "3:10: alert `a` has no `detect` / `detect: {s: {kind: router}}`",
        ),
        (
            "alerts: [{id: a, severity: high, when: {count: {over: 1m}}, detect: {s: {source: a}}}]",
            "3:48: `count` of alert `a` has 0 bounds / exactly one of gte, gt, lte, lt, eq",
        ),
        (
            "alerts: [{id: a, severity: high, when: {count: {over: 10, gte: 1}}, detect: {s: {source: a}}}]",
            "3:55: `over` is a duration, not `10` / example: `over: 10m`; 1s to 366d",
        ),
        (
            "alerts: [{id: a, severity: high, when: {}, detect: {s: {source: a}}}]",
            "3:40: `when` of alert `a` has 0 windows / exactly one; several are several alerts",
        ),
        (
            "alerts: [{id: a, severity: high, when: each, summary: '{nope}', detect: {s: {source: a}}}]",
            "3:55: unknown field `nope` in the summary of alert `a` / declare it under `fields`",
        ),
        (
            "reports: [{id: r, of: nope, window: 1d, columns: [{field: source}]}]",
            "3:23: there is no category `nope` for report `r` / a category's id, or a condition",
        ),
        (
            "reports: [{id: r, window: 1d, columns: [{field: sorce}]}]",
            "3:49: unknown field `sorce` in report `r` / did you mean `source`?",
        ),
        (
            "metrics: [{name: weir_x, type: counter}]",
            "3:11: `weir_x` cannot be the name of a metric / letters, digits and `_`; `weir_` is taken",
        ),
        ("redact: [{id: r}]", "3:10: the mask says nothing / one of `builtin`, `regex` and `field`"),
        (
            "tests: [{name: t, events: [{}], expect: {}}]",
            "3:28: step 1 of the test is no line, advance or set / exactly one of the three",
        ),
        (
            "tests: [{name: t, events: [], expect: {alerts: {nope: 1}}}]",
            "3:49: there is no alert `nope` / an alert's id",
        ),
        ("lists: {unused: [a]}", "3:9: warning: list `unused` is not used / `$unused` uses it"),
        (
            "macros: {m: {s: {source: a}}}",
            "3:10: warning: macro `m` is not used / `use: m` uses it, in another pack `use: p.m`",
        ),
        (
            "categories: [{id: c, detect: {s: {source: a}, t: {source: b}, condition: s}}]",
            "3:47: warning: block `t` is not part of the condition / `condition` names it",
        ),
        (
            "device_id: {rules: [{pattern: '(?P<A>a)', token: A}, {pattern: '(?P<B>b)', token: B}]}",
            "3:54: warning: a second raw device id rule / each runs over every frame that names no sender",
        ),
    ];
    for (line, expected) in cases {
        let found = complaints(&format!("{HEAD}{line}\n"));
        assert!(found.contains(&expected.to_string()), "{line}\nwanted {expected}\n{found:#?}");
    }
    for (line, expected) in [
        ("{n: abc}", "`abc` is no value of the number `n`"),
        ("{n|gt: abc}", "`abc` is no number"),
        ("{flag: yes}", "`flag` is true or false, not `yes`"),
        ("{ip: foo}", "`foo` is no address"),
        ("{ip|cidr: foo}", "`foo` is no network"),
        ("{user|exists: maybe}", "`exists` is true or false, not `maybe`"),
        ("{user|fieldref: usr}", "unknown field `usr`"),
        ("{usr: x}", "unknown field `usr` in category `c`"),
        ("{user: [a, {b: c}]}", "a value of `user` in category `c` is a mapping"),
        ("{user: []}", "`user` in category `c` has no value"),
    ] {
        let found = complaints(&format!("{HEAD}{FIELDS}categories: [{{id: c, detect: {{s: {line}}}}}]\n"));
        assert!(found.iter().any(|one| one.contains(expected)), "{line}: {found:#?}");
    }
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text =
        format!("{HEAD}nope: 1\ncategories:\n  - {{id: c, detect: {{s: {{staus: 1}}}}}}\n  - {{id: 9}}\n");
    let problems = read("x.yaml", &text, &[], &[]).unwrap_err();
    let text = problems.to_string();
    assert_eq!(problems.len(), 4, "{text}");
    assert!(
        text.starts_with("x.yaml:3:1: unknown key `nope` in the pack\n    3 | nope: 1\n      | ^\nhint: "),
        "{text}"
    );
}

#[test]
fn what_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pack.yaml");
    std::fs::write(&path, format!("{HEAD}#{}\n", "x".repeat(50 << 20))).unwrap();
    let problems = load(folder.path(), &[], &[]).unwrap_err().to_string();
    assert!(problems.contains("the pack is larger than 16777216 bytes"), "{problems}");

    let category = |detect: &str| format!("{HEAD}categories: [{{id: c, detect: {detect}}}]\n");
    let nested = format!("{}s{}", "(".repeat(1000), ")".repeat(1000));
    let condition = |condition: &str| category(&format!("{{s: {{source: a}}, condition: '{condition}'}}"));
    let mut macros = format!("{HEAD}macros:\n  m0: {{s: {{source: a}}}}\n");
    let mut chain = macros.clone();
    for n in 1..40 {
        let before = n - 1;
        macros += &format!("  m{n}: {{a: {{use: m{before}}}, b: {{use: m{before}}}, condition: a and b}}\n");
        chain += &format!("  m{n}: {{use: m{before}}}\n");
    }
    let mut lists = format!("{HEAD}lists: {{l: [{}]}}\ncategories:\n", "x,".repeat(2000));
    for n in 0..600 {
        lists += &format!("  - {{id: c{n}, detect: {{s: {{source: $l}}}}}}\n");
    }
    chain += "categories: [{id: c, detect: {use: m39}}]\n";
    for (text, says) in [
        (condition(&nested), "the condition is nested deeper than 64 levels"),
        (condition(&format!("{}s", "not ".repeat(1000))), "the condition is nested deeper than 64 levels"),
        (condition(&format!("s{}", " and s".repeat(5000))), "the condition has more than 4096 words"),
        (
            category(&format!("{}x{}", "{not: ".repeat(1000), "}".repeat(1000))),
            "nested deeper than 32 levels",
        ),
        (lists, "lists put more than 1000000 values in"),
        (macros, "has more than 50000 tests"),
        (chain, "macros within macros, deeper than 32"),
        (
            format!(
                "{HEAD}tests: [{{name: t, events: [{}], expect: {{}}}}]",
                "{line: x, repeat: 100000},".repeat(11)
            ),
            "the test has 1100000 events",
        ),
    ] {
        let found = complaints(&text);
        assert!(found.iter().any(|one| one.contains(says)), "{says}: {found:?}");
    }
}

#[test]
fn names_are_put_in() {
    let text = "weir: pack/v1\npack: {id: p, version: 1.0.0, params: {bound: {type: int, default: 500}}}\nfields: {n: {type: u16}}
lists: {words: [b, c]}
categories:
  - {id: list, detect: {s: {source: $words}}}
  - {id: spliced, detect: {s: {source: [a, $words]}}}
  - {id: param, detect: {s: {n|gte: $bound}}}
  - {id: dollar, detect: {s: {source: $$words}}}
  - {id: inner, detect: {s: {source: 'a$words'}}}
";
    let shown = |pack: &Pack| -> Vec<String> {
        let one = |category: &Category| match &category.when {
            Cond::Test(test) => explain::describe(test),
            other => format!("{other:?}"),
        };
        pack.categories.iter().map(one).collect()
    };
    let expected = [
        "source is `b` or `c`",
        "source is `a` or `b` or `c`",
        "n >= 500",
        "source is `$words`",
        "source is `a$words`",
    ];
    assert_eq!(shown(&good(text)), expected);
    let set = [("bound".to_string(), "7".to_string())];
    assert_eq!(shown(&read("p", text, &set, &[]).unwrap())[2], "n >= 7");
    let problems = read("p", text, &[("bond".into(), "7".into())], &[]).unwrap_err().to_string();
    assert!(
        problems.contains("there is no param `bond` to set\n") && problems.contains("did you mean `$bound`?"),
        "{problems}"
    );
}

/// The condition `detect` of a pack with some fields.
fn detect(detect: &str) -> Cond {
    let pack = good(&format!("{HEAD}{FIELDS}categories: [{{id: c, detect: {detect}}}]\n"));
    pack.categories[0].when.clone()
}

#[test]
fn conditions_mean_what_sigma_says() {
    let body = r#"{"n":503,"user":"Bob*Smith","ip":"2001:db8::1","flag":true,"ms":1500,"l":"x"}"#;
    let event = |text: &str| format!("<190>1 2026-01-01T00:00:00Z host app web.1 - {text}");
    let types: Vec<(String, Type)> = good(&format!("{HEAD}{FIELDS}"))
        .fields
        .iter()
        .map(|field| (field.name.to_string(), field.ty))
        .collect();
    let program = compile(&[good(&format!("{HEAD}{FIELDS}"))], &[]).unwrap();
    let mut probe = Probe::new(program, types, false);
    let json = probe.see(event(body).as_bytes(), 0).parts;
    let text = probe.see(event("Login \x1b[31mFAILED\x1b[0m for user\\x from 10.0.0.7").as_bytes(), 0).parts;
    for (condition, of_text, of_json) in [
        ("{s: {message|contains: login failed}}", true, false),
        ("{s: {message|contains|cased: login failed}}", false, false),
        ("{s: {message|startswith: LOGIN}}", true, false),
        ("{s: {message|endswith: .7}}", true, false),
        ("{s: {message|contains|all: [login, nowhere]}}", false, false),
        ("{s: {message|contains|all: [login, failed]}}", true, false),
        ("{s: {message: 'login * from ??.0.0.7'}}", true, false),
        (r"{s: {message|contains: 'user\\x'}}", true, false),
        ("{s: {message|re: 'FAILED for'}}", true, false),
        ("{s: {message|re: 'failed for'}}", false, false),
        ("{s: {message|re|i: 'failed for'}}", true, false),
        ("{s: [login, nowhere]}", true, false),
        ("{s: login failed}", true, false),
        ("{s: {'|all': [login, failed]}}", true, false),
        ("{s: [{user: x}, {source: app}]}", true, true),
        ("{s: {n: 503}}", false, true),
        ("{s: {n: '0503'}}", false, true),
        ("{s: {n: 5*}}", false, true),
        ("{s: {n|gte: 503, n|lt: 504}}", false, true),
        ("{s: {n|gt: 503}}", false, false),
        ("{s: {user: bob*}}", false, true),
        (r"{s: {user: 'bob\*smith'}}", false, true),
        ("{s: {user: null}}", true, false),
        ("{s: {user: ''}}", true, false),
        ("{s: {user|exists: true}}", false, true),
        ("{s: {user|exists: false}}", true, false),
        ("{s: {ip: '2001:0db8:0:0::1'}}", false, true),
        ("{s: {ip|cidr: '2001:db8::/32'}}", false, true),
        ("{s: {flag: true}}", false, true),
        ("{s: {ms|gte: 1.5s}}", false, true),
        ("{s: {l: x}}", false, true),
        ("{s: {source|fieldref: process}}", false, false),
        ("{s: {source|fieldref: kind}}", true, true),
        ("{s: {fields.n: 503}}", false, true),
        ("{s: {pri: 190, severity: info, facility: local7, flags: null}}", true, true),
        ("{a: {source: app}, b: {user: null}, condition: a and not b}", false, true),
        ("{a: {source: x}, b: {user: null}, condition: a or b}", true, false),
        ("{x1: {source: x}, x2: {source: app}, condition: 1 of x*}", true, true),
        ("{x1: {source: x}, x2: {source: app}, condition: all of x*}", false, false),
        ("{x1: {source: x}, x2: {source: app}, condition: not 1 of them}", false, false),
        ("{a: {source: app}, b: {n: 1}, c: {n: 503}, condition: a and (b or c)}", false, true),
        ("{a: {source: x}, b: {source: app}, condition: a and b or b}", true, true),
        ("{not: {s: {source: app}}}", false, false),
    ] {
        let cond = detect(condition);
        assert_eq!((holds(&cond, &text), holds(&cond, &json)), (of_text, of_json), "{condition}");
    }
}

#[test]
fn the_packs_that_are_compiled_in_are_right() {
    let all: Vec<Pack> = BUILT_IN.iter().map(|(id, _)| built_in(id).unwrap()).collect();
    for ((id, text), pack) in BUILT_IN.iter().zip(&all) {
        assert_eq!(pack.id, *id);
        assert!(pack.warnings.is_empty(), "{}", pack.warnings);
        assert_eq!(conflicts(pack), [], "{id}");
        for verdict in trial::run(id, text, &[], &all).unwrap() {
            assert_eq!(verdict.failures, [""; 0], "{id}: {}", verdict.name);
        }
        for alert in &pack.alerts {
            assert!(
                alert.mode == "off" && !alert.runbook.is_empty(),
                "{id}: alert {} ships off, with a runbook",
                alert.id
            );
            assert!(
                text.matches(&format!("{}: ", alert.id)).count() > 0,
                "{id}: alert {} has a test",
                alert.id
            );
        }
    }
    assert!(compile(&all, &[]).is_ok());
}

#[test]
fn the_heroku_pack_declares_every_field_of_the_parser() {
    let pack = built_in("heroku").unwrap();
    for name in heroku::FIELDS {
        assert!(pack.fields.iter().any(|field| *field.name == **name), "{name}");
    }
}

/// The Heroku pack without the parser's shortcut, and the kind that each of its objects gives.
static OWN_TEXT: LazyLock<(Compiled, Vec<Option<String>>)> = LazyLock::new(|| {
    let pack = built_in("heroku").unwrap();
    let program = compile_with(std::slice::from_ref(&pack), &[], For::Explaining).unwrap();
    let objects = pack.objects.iter().filter(|object| compile::does_something(object));
    (program, objects.map(|object| object.kind.clone()).collect())
});

/// The kind that the pack's objects give a line, `other` where none does, and the one that the parser gives.
fn kinds_of(probe: &mut Probe, frame: &str) -> (String, String) {
    let seen = probe.see(frame.as_bytes(), 0);
    let kind = seen.matched.objects.iter().find_map(|(object, _)| OWN_TEXT.1[*object as usize].clone());
    let bare = frame.split_once("host ").map_or("", |(_, rest)| rest);
    let mut words = bare.splitn(3, ' ');
    let (source, process) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut plain = Vec::new();
    let text = words.next().and_then(|rest| rest.strip_prefix("- ")).unwrap_or_default();
    crate::plan::rules::without_colours(text.strip_suffix('\n').unwrap_or(text).as_bytes(), &mut plain);
    let nil = |word: &str| if word == "-" { String::new() } else { word.to_string() };
    let of_parser = heroku::kind(nil(source).as_bytes(), nil(process).as_bytes(), &plain);
    (kind.unwrap_or("other".into()), heroku::KINDS[of_parser.0 as usize].to_string())
}

#[test]
fn the_pack_gives_the_kinds_that_the_parser_gives() {
    let mut probe = Probe::new(OWN_TEXT.0.clone(), Vec::new(), false);
    let sources = ["heroku", "app", "Heroku", "t.x", "-"];
    let processes = [
        "router",
        "logplex",
        "log-shuttle",
        "api",
        "slugc",
        "slug-compiler",
        "heroku-postgres",
        "heroku-redis",
        "heroku-",
        "postgres",
        "postgres.1",
        "postgres.",
        "postgres.1x",
        "redis",
        "web.1",
        "ROUTER",
        "-",
    ];
    let texts = [
        "",
        "Error L10 (x)",
        "Error L100",
        "Error L11 (x)",
        "Error R14 (x)",
        "Error R14",
        "Error R145",
        "error R14",
        "Error H12 (x)",
        "State changed from a to b",
        "State changedly",
        "Starting process with",
        "Process exited",
        "Process exited2",
        "Process running mem=1",
        "Stopping all",
        "Stoppings",
        "Awaiting client",
        "Client connection closed.",
        "\u{1b}[1mRestarting",
        "source=x sample#load_avg_1m=1",
        "dyno=x a\nsample#memory_x",
        "source=x sample#LOAD_AVG",
        "x source=x sample#load_avg",
        "sample#x",
        "Idling\u{e9}",
        "Error L10\u{e9}",
    ];
    for source in sources {
        for process in processes {
            for text in texts {
                let frame = format!("<190>1 2026-01-01T00:00:00Z host {source} {process} - {text}");
                let (of_pack, of_parser) = kinds_of(&mut probe, &frame);
                assert_eq!(of_pack, of_parser, "{frame:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_pack_gives_the_parsers_kind_to_any_text(
        source in prop::sample::select(&["heroku", "app", "t.x"][..]),
        process in "(router|web\\.1|postgres\\.[0-9x]{0,2}|heroku-[a-z]{0,3}|logplex|[a-z]{1,4})",
        words in prop::collection::vec(prop::sample::select(&["Error ", "L1", "0", "R14", "State changed", "Starting process", "Process ", "exited", " ", "x", "source=", "dyno=", "sample#", "load_avg", "memory_", "Cycling", "\n", "\u{1b}[1m"][..]), 0..6),
    ) {
        let mut probe = Probe::new(OWN_TEXT.0.clone(), Vec::new(), false);
        let frame = format!("<190>1 2026-01-01T00:00:00Z host {source} {process} - {}", words.concat());
        let (of_pack, of_parser) = kinds_of(&mut probe, &frame);
        prop_assert_eq!(of_pack, of_parser, "{:?}", frame);
    }
}

#[test]
fn kinds_of_packs_keep_their_numbers() {
    let pack = |kind: &str| {
        good(&format!(
            "{HEAD}knowledge_objects: [{{id: o, kind: {kind}, rules: [{{applies_to: {{source: x}}}}]}}]\n"
        ))
    };
    let first = kinds(&[pack("one")], &[]).unwrap();
    let second = kinds(&[pack("two")], &first).unwrap();
    assert_eq!(second[heroku::KINDS.len()..], ["one".into(), "two".into()]);
    let many: Vec<Box<str>> = (0..300).map(|n| format!("k{n}").into()).collect();
    assert!(matches!(kinds(&[], &many), Err(CompileError::Kinds)));
}

#[test]
fn packs_that_do_not_go_together_are_told() {
    let pack = |id: &str, ty: &str| {
        good(&format!("weir: pack/v1\npack: {{id: {id}, version: 1.0.0}}\nfields: {{n: {{type: {ty}}}}}\n"))
    };
    let error = compile(&[pack("a", "u16"), pack("b", "string")], &[]).unwrap_err();
    assert_eq!(error.to_string(), "field `n` has one type in pack `a` and another in pack `b`");
    let error = compile(&[pack("a", "u16"), pack("a", "u16")], &[]).unwrap_err();
    assert_eq!(error.to_string(), "two packs are called `a`");
}

#[test]
fn objects_that_write_one_field_are_found_by_a_line() {
    let objects = |exception: &str| {
        let text = format!(
            "{HEAD}{FIELDS}knowledge_objects:
  - {{id: a, rules: [{{applies_to: {{source: sshd}}, signature: {{any: [password]}}, extract: [{{regex: 'for (?P<user>\\w+)'}}]}}]}}
  - {{id: b, rules: [{{applies_to: {{source: sshd}}, signature: {{regex: '^Failed'}}, exception: {{any: [{exception}]}}, extract: [{{kv: {{}}}}]}}]}}
  - {{id: c, rules: [{{applies_to: {{source: cron}}, extract: [{{kv: {{}}}}]}}]}}
"
        );
        conflicts(&good(&text))
    };
    let found = objects("nothing");
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].objects, found[0].place), (&["a".to_string(), "b".to_string()], (6, 5)));
    assert_eq!(objects("password"), []);
}

#[test]
fn the_schema_holds_every_level() {
    let schema = schema();
    let at = |path: &str| schema.pointer(path).cloned().unwrap_or(Json::Null);
    assert_eq!(at("/properties/alerts/items/properties/mode/default"), "off");
    assert_eq!(at("/properties/alerts/items/additionalProperties"), false);
    assert_eq!(at("/properties/categories/items/properties/detect/$ref"), "#/$defs/detect");
    assert_eq!(at("/properties/fields/additionalProperties/properties/output/default"), true);
    assert!(at("/$defs/detect/properties/use").is_object());
}

/// The committed page is what the tables print; `weir schema pack --markdown` writes it anew.
#[test]
fn the_reference_page_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/packs.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(reference::page() == committed, "`weir schema pack --markdown > docs/packs.md`");
}

#[test]
fn five_thousand_rules_compile() {
    let mut text = format!("{HEAD}categories:\n");
    for n in 0..5000 {
        text += &format!(
            "  - {{id: c{n}, detect: {{s: {{source: app, message|contains: 'literal number {n} of many'}}}}}}\n"
        );
    }
    let pack = good(&text);
    let program = compile(&[pack], &[]).unwrap();
    let mut probe = Probe::new(program, Vec::new(), false);
    let seen = probe.see(b"<190>1 2026-01-01T00:00:00Z host app web.1 - a LITERAL number 4711 of many", 0);
    assert_eq!(seen.json["categories"], serde_json::json!(["p.category.c4711"]));
}

#[test]
fn a_shard_writes_what_the_rules_of_its_plan_find_and_nothing_of_the_plan_before() {
    let pack = good(&format!(
        "{HEAD}knowledge_objects: [{{id: o, kind: door, rules: [{{applies_to: {{source: gate}}}}]}}]\n\
         categories: [{{id: c, detect: {{s: {{kind: door}}}}}}]\n"
    ));
    let mut plan = crate::encode::tests::plan();
    plan.outputs = vec![Output::new(Some(Format::Ndjson), false)];
    let mut batch = Batch::new(4096);
    let frame = b"<14>1 2026-11-22T09:51:24.537546+00:00 host gate 1 - open";
    let at = batch.append(frame);
    batch.push_frame(at, frame.len(), false);
    batch.close_run(&Arc::new(origin(None)), Identity::Batch);
    let (mut shard, mut out) = (Shard::default(), Outcome::default());
    let mut line = |plan: &Plan| {
        shard.process(plan, &batch, &mut out);
        let parcel = out.parcels[0].clone().unwrap();
        let kinds: Vec<KindId> = shard.take_tally().unwrap().events().map(|(_, kind, ..)| kind).collect();
        (serde_json::from_slice::<Json>(&parcel.bytes).unwrap(), kinds)
    };
    let known = compile(&[pack], &[]).unwrap().program;
    plan.rules = Some(known.clone());
    let (event, kinds) = line(&plan);
    assert_eq!(
        (&event["kind"], &event["categories"]),
        (&"door".into(), &serde_json::json!(["p.category.c"]))
    );
    assert_eq!(known.kinds()[kinds[0].0 as usize].as_ref(), "door");
    plan.rules = None;
    let (event, kinds) = line(&plan);
    assert_eq!((&event["kind"], &event["categories"]), (&"other".into(), &Json::Null));
    assert_eq!(kinds, [heroku::OTHER]);
}
