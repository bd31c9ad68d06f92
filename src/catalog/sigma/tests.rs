use super::*;
use crate::pack::trial;

/// Detection of a rule, a message that it matches and one that it does not.
const RULES: [(&str, &str, &str, &str); 13] = [
    (
        "lists and maps",
        r#"{selection: {Image|endswith: ['\curl', '\wget'], CommandLine|contains: http}, condition: selection}"#,
        r#"{"Image":"C:\\x\\WGET","CommandLine":"wget HTTP://a"}"#,
        r#"{"Image":"C:\\x\\wget","CommandLine":"wget ftp://a"}"#,
    ),
    (
        "1 of",
        "{selection_a: {user: root}, selection_b: {uid: 0}, condition: 1 of selection_*}",
        r#"{"uid":0,"user":"eve"}"#,
        r#"{"uid":1,"user":"eve"}"#,
    ),
    (
        "all of, not",
        "{selection_a: {op: write}, selection_b: {path|startswith: /etc/}, filter: {user: backup}, condition: all of selection_* and not filter}",
        r#"{"op":"write","path":"/etc/passwd","user":"eve"}"#,
        r#"{"op":"write","path":"/etc/passwd","user":"backup"}"#,
    ),
    (
        "re",
        r"{selection: {request|re: '/admin[0-9]{2,}$'}, condition: selection}",
        r#"{"request":"/admin42"}"#,
        r#"{"request":"/admin4"}"#,
    ),
    (
        "cidr",
        "{selection: {src|cidr: [10.0.0.0/8, 'fd00::/8']}, condition: selection}",
        r#"{"src":"10.9.8.7"}"#,
        r#"{"src":"11.9.8.7"}"#,
    ),
    (
        "contains all",
        "{selection: {cmd|contains|all: [' -e ', /bin/sh]}, condition: selection}",
        r#"{"cmd":"nc -e /bin/sh"}"#,
        r#"{"cmd":"nc /bin/sh"}"#,
    ),
    (
        "wildcards",
        r"{selection: {file: '*\temp\\?.ex\*'}, condition: selection}",
        r#"{"file":"C:\\temp\\a.ex*"}"#,
        r#"{"file":"C:\\temp\\a.exe"}"#,
    ),
    (
        "null",
        "{selection: {event: login, actor: null}, condition: selection}",
        r#"{"event":"login"}"#,
        r#"{"event":"login","actor":"eve"}"#,
    ),
    (
        "keywords",
        "{keywords: [segfault at, 'core dumped'], condition: keywords}",
        "a SEGFAULT at 0",
        "no fault",
    ),
    (
        "keywords and fields, any condition of a list",
        "{a: [{lvl: bad}, {lvl: worse}], b: [panicked], condition: [a, b]}",
        r#"{"lvl":"worse"}"#,
        r#"{"lvl":"good"}"#,
    ),
    (
        "numbers",
        "{selection: {size|gt: 1000, size|lte: 2000}, condition: selection}",
        r#"{"size":1500.5}"#,
        r#"{"size":2000.5}"#,
    ),
    (
        "dollars",
        "{selection: {arg: '$HOME'}, condition: selection}",
        r#"{"arg":"$home"}"#,
        r#"{"arg":"$$HOME"}"#,
    ),
    (
        "them, a field that is compared, another case",
        "{one: {to|fieldref: from_}, two: {word|cased: Yes}, condition: all of them}",
        r#"{"to":"a","from_":"A","word":"Yes"}"#,
        r#"{"to":"a","from_":"A","word":"yes"}"#,
    ),
];

fn written(title: &str, detection: &str, more: &str) -> String {
    format!("title: '{title}'\nlogsource: {{product: linux}}\nlevel: high\ndetection: {detection}\n{more}")
}

#[test]
fn rules_become_alerts_that_mean_the_same() {
    let rule = |(title, detection, ..): &(&str, &str, &str, &str)| {
        (format!("{title}.yml"), written(title, detection, ""))
    };
    let files: Vec<_> = RULES.iter().map(rule).collect();
    let imported = import("sigma", &files);
    assert_eq!(imported.left_out, []);
    assert_eq!((imported.taken, imported.notes.len()), (RULES.len(), 0), "{:?}", imported.notes);
    let read = pack::read("sigma", &imported.pack, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let ids: Vec<&str> = read.alerts.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids[..3], ["lists_and_maps", "rule_1_of", "all_of_not"]);
    let mut tests = String::from("tests:\n");
    for (id, (title, _, hit, miss)) in ids.iter().zip(&RULES) {
        for (text, n) in [(hit, 1), (miss, 0)] {
            let line = format!("<190>1 {{t}} host app web.1 - {text}").replace('\'', "''");
            tests += &format!(
                "  - {{name: '{title} {n}', events: [{{line: '{line}'}}], expect: {{alerts: {{{id}: {n}}}, only: true}}}}\n"
            );
        }
    }
    let verdicts = trial::run("sigma", &(imported.pack + &tests), &[], &[])
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(verdicts.len(), 2 * RULES.len());
    for verdict in verdicts {
        assert!(verdict.passed(), "{}: {:?}", verdict.name, verdict.failures);
    }
}

#[test]
fn what_cannot_be_evaluated_is_left_out_with_the_reason() {
    let good = "{s: {a: b}, condition: s}";
    for (text, why) in [
        (
            written("x", "{s: {a|base64offset|contains: b}, condition: s}", ""),
            "unknown modifier `base64offset`",
        ),
        (written("x", "{s: {a|windash: b}, condition: s}", ""), "unknown modifier `windash`"),
        (
            written("x", "{s: {a: b}, condition: s | count() by c > 5}", ""),
            "`| count() by c > 5`: aggregations",
        ),
        (written("x", "{s: {a: b}, timeframe: 5m, condition: s}", ""), "`timeframe`: it counts"),
        (written("x", "{s: {a|re: '(?=b)'}, condition: s}", ""), "look-around"),
        (written("x", "{s: {a: b}, condition: s and t}", ""), "there is no block `t`"),
        (written("x", "{s: {a: b}, condition: 2 of s*}", ""), "`2 of` is not known"),
        (written("x", "{s: {a: b}}", ""), "`detection` has no `condition`"),
        (written("x", "{use: {a: b}, condition: use}", ""), "a block is called `use`"),
        (written("x", good, "correlation: {type: event_count}\n"), "`correlation`: only rules"),
        (format!("title: x\n---\ntitle: y\ndetection: {good}\n"), "line 2: "),
        (format!("detection: {good}\n"), "it has no `title`"),
        ("[]".into(), "it is no mapping"),
        ("title: [".into(), "line 1: "),
    ] {
        let files = [("a.yml".into(), text.clone()), ("b.yml".into(), written("good", good, ""))];
        let imported = import("sigma", &files);
        assert_eq!(imported.left_out.len(), 1, "{text}");
        assert!(imported.left_out[0].1.contains(why), "{text}: {:?}", imported.left_out);
        assert!(imported.taken == 1 && imported.pack.contains("- id: good\n"));
        assert!(imported.describe().ends_with("\nrules: 1 taken, 1 left out\n"));
    }
    assert_eq!(import("sigma", &[]), Imported::default());
}

#[test]
fn a_rule_keeps_what_people_want_to_know_of_it() {
    let text = "title: Failed sign-in\nid: 1-2\nauthor: \"Eve\\n- id: x\"\nlicense: DRL 1.1\ntags: [attack.t1110]\n\
        logsource: {product: linux, service: sshd}\nlevel: critical\nfalsepositives: [Typing errors, Robots.]\n\
        detection: {k: ['Failed password'], condition: k}\n";
    let imported = import("own", &[("a".into(), text.into()), ("b".into(), text.replace("sshd", "dns"))]);
    let expected = "weir: pack/v1
pack: {id: own, version: 0.1.0, title: Sigma rules}
alerts:
  # Sigma rule 1-2
  # by Eve - id: x
  # license DRL 1.1
  # tags attack.t1110
  - id: failed_sign_in
    title: \"Failed sign-in\"
    severity: critical
    threat: 90
    mode: off
    detect: {_logsource: {source: [\"sshd\", \"sshd-session\"]}, k: [\"Failed password\"], condition: \"_logsource and (k)\"}
    when: each
    runbook: \"Known false positives: Typing errors; Robots.\"
";
    assert!(imported.pack.starts_with(expected), "{}", imported.pack);
    assert!(imported.pack.contains("- id: failed_sign_in_2\n"));
    let note = "nothing here tells its log source, service `dns`: it looks at all events";
    assert_eq!(imported.notes, [("b".to_string(), note.to_string())]);
    let odd =
        import("own", &[("a".into(), written("1", "{s: {a: b}, condition: s}", "").replace("high", "odd"))]);
    assert_eq!(odd.notes[0].1, "level `odd` is taken for medium");
}

#[test]
fn a_field_is_a_number_to_all_rules_or_to_none() {
    let files = [
        ("a".to_string(), written("a", "{s: {n|gt: 5}, condition: s}", "")),
        ("b".to_string(), written("b", "{s: {n: 7}, condition: s}", "")),
        ("c".to_string(), written("c", "{s: {n: many}, condition: s}", "")),
    ];
    let imported = import("sigma", &files);
    assert_eq!(imported.taken, 2);
    assert!(
        imported.left_out[0].1.contains("`many` is no value of the number `n`"),
        "{:?}",
        imported.left_out
    );
    assert!(pack::read("sigma", &imported.pack, &[], &[]).is_ok());
}
