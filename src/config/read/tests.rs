//! Bad pipelines and what is said of them, word for word.

use super::*;
use crate::config::NotifierKind;
use crate::config::schema::{Key, Section, Shape};

const PASSWORD: &str = "hunter2";

fn read(text: &str) -> Result<Pipeline, Problems> {
    let variable = |name: &str| match name {
        "PORT" => Some("9999".to_string()),
        "EMPTY" => Some(String::new()),
        "LINES" => Some("a\nb".to_string()),
        "PASSWORD" => Some(PASSWORD.to_string()),
        _ => None,
    };
    let file = |path: &Path| match path.ends_with("missing.pem") {
        true => Err("no such file".to_string()),
        false => Ok(()),
    };
    read_pipeline("w.yaml", text, &Surroundings { variable: &variable, file: &file })
}

/// Returns each problem as `line:column: message / hint`.
fn said(text: &str) -> Vec<String> {
    let Err(problems) = read(text) else { return Vec::new() };
    let say = |problem: &Problem| {
        let hint = problem.hint.as_deref().unwrap_or_default();
        format!("{}:{}: {} / {hint}", problem.line, problem.column, problem.message)
    };
    problems.iter().map(say).collect()
}

/// A pipeline with one good listener and `extra` at the top level from line 3 on.
fn with(extra: &str) -> String {
    format!("weir: pipeline/v1\nlisteners: [{{name: a, kind: tcp, bind: ':0'}}]\n{extra}\n")
}

/// A pipeline whose one listener has `extra` in line 6.
fn listening(extra: &str) -> String {
    format!("weir: pipeline/v1\nlisteners:\n  - name: a\n    kind: tcp\n    bind: ':0'\n    {extra}\n")
}

/// A pipeline with a kafka sink that has `extra` in line 8.
fn producing(extra: &str) -> String {
    with(&format!("sinks:\n  - name: k\n    kind: kafka\n    brokers: ['b:9092']\n    topic: t\n    {extra}"))
}

/// A pipeline with a file sink that has `extra` in line 7.
fn writing(extra: &str) -> String {
    with(&format!("sinks:\n  - name: f\n    kind: file\n    root: out\n    {extra}"))
}

/// A pipeline with a mail notifier that has `extra` in line 8.
fn mailing(extra: &str) -> String {
    telling("smtp", &format!("url: smtp://h:25\n    to: [a@b]\n    {extra}"))
}

/// A pipeline with a notifier of that kind.
fn telling(kind: &str, extra: &str) -> String {
    with(&format!("notifiers:\n  - name: n\n    kind: {kind}\n    {extra}"))
}

#[test]
fn each_mistake_has_its_sentence() {
    let cases: &[(String, &str)] = &[
        (String::new(), "1:1: the pipeline is empty / `weir config` prints one to start from"),
        (
            "listeners: [{name: a, kind: tcp, bind: ':0'}]\n".into(),
            "1:1: the pipeline lacks the key `weir` / example: `weir: pipeline/v1`",
        ),
        (
            "weir: pipeline/v2\nlisteners: [{name: a, kind: tcp, bind: ':0'}]\n".into(),
            "1:7: this version does not read `pipeline/v2` / it reads `weir: pipeline/v1`",
        ),
        (
            "weir: pipeline/v1\nlisteners: []\n".into(),
            "2:1: no listener is enabled, so nothing could arrive / `weir config` prints a pipeline with three",
        ),
        (with("slotz: 9"), "3:1: unknown key `slotz` in the pipeline / did you mean `slots`?"),
        (with("slots: 9\nslots: 9"), "4:1: key `slots` stands twice in the pipeline / the first is in line 3"),
        (
            listening("purge_after: 7d"),
            "6:5: key `purge_after` in a listener is not supported by this version / it comes with a later version; remove it for now",
        ),
        (
            listening("cache: /tmp"),
            "6:5: key `cache` in a listener is not supported by this version / it comes with a later version; remove it for now",
        ),
        (
            writing("path: x\n    where: x"),
            "8:12: a condition is a mapping, but this is a single value / named blocks: `{s: {kind: router, status|gte: 500}}`",
        ),
        (with("slots: many"), "3:8: `slots` is a whole number, not `many` / example: `slots: 256`"),
        (with("slots: 1"), "3:8: `slots` is out of range: `1` / 8 to 16384"),
        (with("slots: [1]"), "3:8: `slots` wants a single value, but this is a list / example: `slots: 256`"),
        (with("threads: 65"), "3:10: `threads` is out of range: `65` / 1 to 64, or `auto`"),
        (with("threads: all"), "3:10: `threads` is a whole number, not `all` / example: `threads: 4` or `auto`"),
        (with("parcel_bytes: 128MB"), "3:15: `parcel_bytes` is a size, not `128MB` / example: `parcel_bytes: 128MiB`"),
        (with("shutdown_after: 20"), "3:17: `shutdown_after` is a duration, not `20` / example: `shutdown_after: 20s`"),
        (with("zone: Mars/Olympus"), "3:7: `Mars/Olympus` is no time zone / an offset such as `+01:00`, or a name such as `Europe/Berlin`"),
        (with("log: {level: verbose}"), "3:14: `verbose` is no value of `level` / one of `error`, `warn`, `info`, `debug`, `trace`"),
        (with("log: {format: jsn}"), "3:15: `jsn` is no value of `format` / did you mean `json`?"),
        (with("log: text"), "3:6: `log` is a mapping, but this is a single value / its keys are `format`, `level`"),
        (
            with("observe: 9600"),
            "3:10: `9600` is no address / an IP address and a port: `0.0.0.0:6514`, `[::1]:6514` or `:6514`",
        ),
        (
            with("admin: 0.0.0.0:9601"),
            "3:8: `admin` is not a loopback address: `0.0.0.0:9601` / it has no users yet; use `127.0.0.1:9601`, and `observe` for the cluster",
        ),
        (with("admin: 127.0.0.1:9600\nobserve: 127.0.0.1:9600"), "3:8: port 9600 is taken by `observe` / give one of them another port"),
        (with("trusted_proxies: [cloudfare]"), "3:19: `cloudfare` is no network / did you mean `cloudflare`?"),
        (
            with("trusted_proxies: [10.0.0.0/33]"),
            "3:19: `10.0.0.0/33` is no network / a network such as `10.0.0.0/8`, or one of `cloudflare`, `fastly`, `cloudfront`",
        ),
        (with("drains: [x]"), "3:9: `drains` is a mapping, but this is a list / example: `drains: {d.5a8fd083-0972-4e18-b912-94dc2d099dac: {computer: shop-production}}`"),
        (with("drains: {d.1: {computr: x}}"), "3:16: unknown key `computr` in a drain / did you mean `computer`?"),
        (
            with("log: {format: ${X}}"),
            "3:16: this is no YAML: while parsing a flow mapping, did not find expected ',' or '}' / put a value that holds `${...}` into quotes",
        ),
        (listening("enabled: yes"), "6:14: `enabled` is true or false, not `yes` / `yes`, `no`, `on` and `off` are words in YAML 1.2"),
        (listening("framing: octett"), "6:14: `octett` is no value of `framing` / did you mean `octet`?"),
        (listening("proxy_protocol: on"), "6:21: `on` is no value of `proxy_protocol` / one of `off`, `v1v2`"),
        (listening("shed_after: soon"), "6:17: `shed_after` is a duration, not `soon` / example: `shed_after: 1s` or `never`"),
        (listening("limits: {frame_bytes: 1MiB}"), "6:27: `frame_bytes` is out of range: `1MiB` / 16 to 120KiB"),
        (listening("limits: {idle: 10ms}"), "6:20: `idle` is out of range: `10ms` / 100ms to 1d"),
        (listening("limits: {body_bytes: 1GiB}"), "6:26: `body_bytes` is out of range: `1GiB` / 1KiB to 64MiB"),
        (listening("limits: {connections: 0}"), "6:27: `connections` is out of range: `0` / 1 to 100000"),
        (listening("limits: {handshake: 10m}"), "6:25: `handshake` is out of range: `10m` / 100ms to 5m"),
        (listening("tls: {cert: c.pem}"), "6:10: `tls` lacks the key `key` / example: `key: key.pem`"),
        (
            listening("tls: {cert: missing.pem, key: k.pem}"),
            "6:17: cannot read the file `missing.pem`: no such file / paths are relative to the working directory",
        ),
        (
            listening("tls: {cert: c, key: k}").replace("tcp", "udp"),
            "6:5: `tls` on a listener of kind `udp` / datagrams are not encrypted; use `kind: tcp` for TLS",
        ),
        (
            listening("device_id: {rules: [{pattern: '(?P<A>x', token: A}]}"),
            r"6:35: the pattern cannot be compiled: unclosed group / example: `'\s(?P<Computer>d\.\S+)'`; look-around and back-references are not supported",
        ),
        (
            listening("device_id: {rules: [{pattern: '(?P<A>x)', token: B}]}"),
            "6:54: the pattern has no group `B` / a group has its name within: `(?P<Computer>...)`",
        ),
        (
            listening(r"device_id: {rules: [{pattern: '(?P<A>\w{1000}){100}', token: A}]}"),
            r"6:35: the pattern cannot be compiled: it needs more than 1048576 bytes / example: `'\s(?P<Computer>d\.\S+)'`; look-around and back-references are not supported",
        ),
        (listening("users: {'a:b': x}"), "6:13: the user name `a:b` holds a colon / Basic authentication ends a name at its first colon"),
        (listening("users: {a: \"${EMPTY}\"}"), "6:16: the password is empty / is its environment variable empty?"),
        (listening("description: \"${MISSING}\""), "6:18: environment variable `MISSING` is not set / set it, or give a default: `${MISSING:-value}`"),
        (
            listening("description: \"${LINES}\""),
            "6:18: environment variable `LINES` holds a line break / a value is one line; is there a line end at its end?",
        ),
        (
            listening("description: \"${not a name}\""),
            "6:18: `${` is not followed by a variable's name / a variable is `${NAME}` or `${NAME:-default}`; `$$` is a dollar",
        ),
        (
            listening("description: \"${OPEN\""),
            "6:18: `${` has no closing brace / a variable is `${NAME}` or `${NAME:-default}`; `$$` is a dollar",
        ),
        (
            "weir: pipeline/v1\nlisteners: [{name: a b, kind: tcp, bind: ':0'}]\n".into(),
            "2:20: `a b` is no name / a name is 1 to 64 letters, digits, `.`, `_` or `-`",
        ),
        (
            "weir: pipeline/v1\nlisteners:\n- {name: a, kind: tcp, bind: ':0'}\n- {name: a, kind: udp, bind: ':0'}\n".into(),
            "4:10: two listeners are called `a` / the first is in line 3",
        ),
        (
            "weir: pipeline/v1\nlisteners:\n- {name: a, kind: tcp, bind: '0.0.0.0:7'}\n- {name: b, kind: http, bind: '127.0.0.1:7'}\n".into(),
            "4:31: port 7 is taken by listener `a` / give one of them another port",
        ),
        (writing("path: /etc/x"), "7:11: `path`: the path is absolute, but has to stay below `root` / example: `{listener}/{date}.ndjson`"),
        (writing("path: ../x"), "7:11: `path`: the path has a segment `..` / example: `{listener}/{date}.ndjson`"),
        (writing("path: '{lisener}'"), "7:11: `path`: unknown variable `lisener` / did you mean `{listener}`?"),
        (writing("paht: x"), "7:5: unknown key `paht` in a file sink / did you mean `path`?"),
        (producing("root: out"), "8:5: unknown key `root` in a kafka sink / it belongs to sinks of kind `file`"),
        (producing("headers: [id, id]"), "8:19: header `id` stands twice / leave one out"),
        (producing("headers: [colour]"), "8:15: `colour` is no value of `headers` / one of `id`, `kind`, `schema`"),
        (producing("events_per_message: 0"), "8:25: `events_per_message` is out of range: `0` / 1 to 1024"),
        (producing("options: {bootstrap.servers: x}"), "8:15: option `bootstrap.servers` and key `brokers` say the same thing / leave it to `brokers`"),
        (producing("tls: {cert: c.pem}"), "8:10: `cert` and `key` come together / give both, or neither"),
        (
            producing("sasl: {mechanism: GSSAPI, username: u, password: p}"),
            "8:23: `GSSAPI` is no value of `mechanism` / one of `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`",
        ),
        (producing("").replace("topic: t", "topic: a b"), "7:12: `topic`: a topic holds letters, digits, `.`, `_` and `-` only / example: `weir.{kind}`"),
        (producing("").replace("['b:9092']", "[b]"), "6:15: `b` is no broker / host and port: `kafka.example.com:9092`"),
        (producing("").replace("['b:9092']", "[]"), "6:14: `brokers` is empty / example: `brokers: [\"127.0.0.1:9092\"]`"),
        (with("sinks: [{name: p, kind: prometheus}]"), "3:25: Prometheus needs no sink / `observe` serves /metrics already; remove the sink"),
        (with("sinks: [{name: p, kind: kafak, topic: t}]"), "3:25: `kafak` is no value of `kind` / did you mean `kafka`?"),
        (
            with("sinks: [{name: s, kind: stdout}, {name: s, kind: blackhole}]"),
            "3:41: two sinks are called `s` / the first is in line 3",
        ),
        (
            with("sinks:\n- {name: a, kind: file, root: o, path: x}\n- {name: b, kind: file, root: o, path: x}"),
            "5:40: two sinks write the same file / the other is in line 4; give one another `path`",
        ),
        (telling("pager", "url: x"), "5:11: `pager` is no value of `kind` / one of `alertmanager`, `webhook`, `smtp`, `slack`, `kafka`, `file`"),
        (telling("\"${KIND}\"", "url: x"), "5:11: `kind` of a notifier takes no variable / the kind decides which keys are known, so it is written out"),
        (telling("webhook", "url: https://h\n    resend: 5s"), "7:5: unknown key `resend` in a webhook notifier / it belongs to notifiers of kind `alertmanager`"),
        (telling("webhook", "url: h:80"), "6:10: `url`: its scheme is not known / example: `https://example.com/hook`"),
        (telling("webhook", "url: smtp://h"), "6:10: `url`: it is no address of an HTTP server / example: `https://example.com/hook`"),
        (telling("slack", "url: https://u:hunter2@h"), "6:10: `url`: it holds a user name / a user and a password do not stand in a URL; a mail server has `username` and `password`"),
        (telling("webhook", "url: http://127.0.0.1:1/x"), "6:10: `url` leads to an address that is not public / `allow_private: [\"127.0.0.1\"]` allows it"),
        (telling("webhook", "url: http://localhost\n    allow_private: [10.0.0.0/8]"), "6:10: `url` leads to an address that is not public / `allow_private: [\"127.0.0.1\"]` allows it"),
        (telling("webhook", "url: https://h\n    allow_private: [a/b]"), "7:21: `a/b` is no host, address or network / example: `allow_private: [\"127.0.0.1\", 10.0.0.0/8, alerts.internal]`"),
        (telling("webhook", "url: https://h\n    secret: \"${EMPTY}\""), "7:13: `secret` is empty / is its environment variable empty?"),
        (telling("alertmanager", "urls: []"), "6:11: `urls` is empty / example: `urls: [\"https://alertmanager.example.com\"]`"),
        (telling("alertmanager", "urls: [\"http://a\", \"http://a\"]"), "6:24: a URL stands twice in `urls` / leave one out"),
        (telling("alertmanager", "urls: [\"http://a\"]\n    resend: 10ms"), "7:13: `resend` is out of range: `10ms` / 1s to 1h"),
        (telling("smtp", "url: smtp://h:25\n    from: a@b\n    to: []"), "8:9: `to` is empty / example: `to: [oncall@example.com]`"),
        (mailing("from: nobody"), "8:11: `nobody` is no mail address / example: `weir <weir@example.com>`"),
        (mailing("from: a@b\n    username: u"), "4:5: `username` and `password` come together / give both, or neither"),
        (mailing("from: a@b\n    username: u\n    password: p"), "9:5: the password would be sent in plain text / `smtp://HOST?tls=required`, or `smtps://HOST`"),
        (telling("kafka", "brokers: ['b:1']\n    topic: 'a.{kind}'"), "7:12: `a.{kind}` is no topic / letters, digits, `.`, `_` and `-`: `weir.alerts`"),
        (telling("file", "path: ''"), "6:11: `path` is empty / example: `path: weir-out/alerts.ndjson`"),
        (
            with("notifiers: [{name: n, kind: file, path: a}, {name: n, kind: file, path: b}]"),
            "3:52: two notifiers are called `n` / the first is in line 3",
        ),
    ];
    let wrong = cases.iter().filter(|(text, expect)| said(text) != [*expect]);
    let wrong: Vec<String> = wrong.map(|(text, expect)| format!("{expect}\n{:#?}", said(text))).collect();
    assert!(wrong.is_empty(), "expected and said:\n{}", wrong.join("\n"));
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = "weir: pipeline/v1
thread: 4
slots: lots
observe: here
listeners:
  - name: heroku syslog
    kind: tpc
    bind: 0.0.0.0:6514
    limits: {idle: 5}
    users: {heroku: \"${NOT_SET}\"}
sinks:
  - {name: e, kind: file, root: out, path: '{drian}.ndjson'}
  - {name: e, kind: kafka, brokers: [k], topic: t}
";
    let problems = read(text).expect_err("ten mistakes");
    assert_eq!(problems.len(), 10, "{problems}");
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 4, 6, 7, 9, 10, 12, 13, 13]);
    assert!(problems.iter().all(|problem| problem.hint.is_some() && problem.snippet.is_some()));
    let start = "w.yaml:2:1: unknown key `thread` in the pipeline
    2 | thread: 4
      | ^
hint: did you mean `threads`?
w.yaml:3:8: `slots` is a whole number, not `lots`
    3 | slots: lots
      |        ^
";
    assert!(problems.to_string().starts_with(start), "{problems}");
}

#[test]
fn a_broken_file_still_tells_what_is_wrong_before_the_break() {
    let text = "weir: pipeline/v1\nslotz: 3\nlisteners:\n  - name: a\n    bind: \"unclosed\n";
    let said = said(text);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("2:1: unknown key `slotz`"));
    assert!(said[1].contains("this is no YAML"));
}

#[test]
fn variables_are_put_in() {
    let text = listening("description: \"$$5 ${EMPTY}|${EMPTY:-x}|${MISSING:-y z}|${PORT}|a$\"")
        .replace(":0", ":${PORT}");
    let pipeline = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(pipeline.listeners[0].description.as_str(), "$5 |x|y z|9999|a$");
    assert_eq!(pipeline.listeners[0].bind.port(), 9999);
}

#[test]
fn the_contracts_sample_is_read() {
    let text = r#"
weir: pipeline/v1
threads: auto
observe: 127.0.0.1:9600
admin: 127.0.0.1:9601
trusted_proxies: []
shutdown_after: 20s
listeners:
  - name: heroku-syslog
    kind: tcp
    enabled: true
    bind: "0.0.0.0:6514"
    description: "Heroku syslog drain"
    tls: {cert: F, key: F, client_ca: F, mode: sniff}
    framing: auto
    parse: full
    proxy_protocol: off
    resolve_names: false
    device_id:
      on_no_match: accept
      rules: [{pattern: '\+\d+\:\d+\s(?P<Computer>d\.[^\s]+)', token: Computer, active: true}]
    users: {heroku: "${PASSWORD}"}
    drain_tokens: []
    shed_after: 1s
    limits: {frame_bytes: 65536, body_bytes: 4194304, connections: 1024, idle: 300s, handshake: 5s, request: 10s}
drains: {d.5a8fd083-0972-4e18-b912-94dc2d099dac: {computer: shop-production, labels: {env: production}}}
sinks:
  - {name: events, kind: file, root: weir-out, path: "{listener}/{date}.ndjson", rotate: {bytes: 1GiB, every: 1d}, compress: none, when_full: block}
  - {name: kafka, kind: kafka, brokers: ["127.0.0.1:9092"], topic: "weir.{kind}", key: drain,
     headers: [], events_per_message: 1, options: {linger.ms: 20}, when_full: block}
"#;
    let pipeline = read(text).unwrap_or_else(|problems| panic!("{problems}"));
    let listener = &pipeline.listeners[0];
    assert_eq!(listener.users["heroku"].expose(), PASSWORD);
    assert_eq!(listener.device_id.rules.len(), 2);
    assert_eq!(listener.limits, Limits::default());
    let drain = &pipeline.drains["d.5a8fd083-0972-4e18-b912-94dc2d099dac"];
    assert_eq!(drain.labels["env"].as_str(), "production");
    let crate::config::SinkKind::Kafka(kafka) = &pipeline.sinks[1].kind else { panic!("kafka") };
    assert_eq!(kafka.cluster.options["linger.ms"].expose(), "20");
    assert_eq!(kafka.dead_letters.as_str(), "weir-out/dead-letters/kafka.ndjson");
    assert!(pipeline.summary().contains("listener heroku-syslog: tcp 0.0.0.0:6514, plain or TLS\n"));
}

#[test]
fn the_generic_pipeline_is_read() {
    let text = include_str!("../../../pipelines/generic/pipeline.yaml");
    let pipeline = read(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(pipeline.listeners.len(), 3);
    assert_eq!(pipeline.listeners[0].shed_after, None);
}

/// A value from the environment, or one that stands where a secret does, is in no message and no `Debug` output.
#[test]
fn secrets_are_never_printed() {
    for text in [
        // Each place that takes text, with a value that is wrong there.
        with("slots: \"${PASSWORD}\""),
        with("zone: \"${PASSWORD}\""),
        with("observe: \"${PASSWORD}\""),
        with("trusted_proxies: [\"${PASSWORD}\"]"),
        with("log: {level: \"${PASSWORD}\"}"),
        with("weir: \"${PASSWORD}\""),
        listening("enabled: \"${PASSWORD}\""),
        listening("framing: \"${PASSWORD}\""),
        listening("shed_after: \"${PASSWORD}\""),
        listening("device_id: {rules: [{pattern: \"(${PASSWORD}\", token: x}]}"),
        listening("device_id: {rules: [{pattern: \"(?P<${PASSWORD}>x)\", token: x}]}"),
        listening("device_id: {rules: [{pattern: x, token: \"${PASSWORD}\"}]}"),
        listening("tls: {cert: \"${PASSWORD}/missing.pem\", key: k}"),
        writing("path: \"{${PASSWORD}}\""),
        writing("path: \"/${PASSWORD}\""),
        producing("sasl: {mechanism: \"${PASSWORD}\"}"),
        producing("").replace("['b:9092']", "[\"${PASSWORD}\"]"),
        with("sinks: [{name: \"${PASSWORD}\", kind: stdout}, {name: \"${PASSWORD}\", kind: stdout}]"),
        with("sinks: [{name: x, kind: \"${PASSWORD}\"}]"),
        // Secrets written into the file, beside or under a mistake.
        listening("users: {heroku: hunter2, 'a:b': hunter2}"),
        listening("users: hunter2"),
        listening("users: [hunter2]"),
        listening("uesrs: {heroku: hunter2}"),
        listening("user: hunter2"),
        listening("users: {heroku: hunter2"),
        listening("users: {heroku: \"hunter2"),
        listening("users: {heroku: \"${PASSWORD:-hunter2}\", 'a:b': x}"),
        listening("users: {heroku: {x: hunter2}}"),
        listening("{}: hunter2"),
        producing("sasl: {mechanism: X, username: u, password: hunter2}"),
        producing("sasl: {mechanism: PLAIN, username: u, passwrod: hunter2}"),
        producing("options: {sasl.password: hunter2, bootstrap.servers: x}"),
        producing("option: {sasl.password: hunter2}"),
        producing("secret: hunter2"),
        telling("slack", "url: \"x${PASSWORD}\""),
        telling("slack", "url: \"http://127.0.0.1/${PASSWORD}\""),
        telling("slack", "url: \"http://${PASSWORD}/\"\n    resend: 1"),
        telling("slack", "url: http://127.0.0.1/hunter2"),
        telling("slack", "url: hunter2"),
        telling("slack", "ulr: https://h/hunter2"),
        telling("alertmanager", "urls: [\"http://u:hunter2@h\"]"),
        telling("webhook", "url: https://h\n    secret: hunter2\n    allow_private: [\"${PASSWORD}/\"]"),
        telling("webhook", "url: https://h\n    secrt: hunter2"),
        mailing("from: \"${PASSWORD}\"\n    username: x\n    password: hunter2"),
        // A line that ends in CR alone once shifted the lines shown against their masks.
        format!("#\r{}", listening("framing: x\n    users: {heroku: hunter2}")),
    ] {
        let problems = read(&text).expect_err(&text);
        let printed = format!("{problems}{}{problems:?}", problems.coloured());
        assert!(!printed.contains(PASSWORD), "{text}\n{printed}");
    }
}

#[test]
fn debug_shows_variables_by_name() {
    let value = "\"x-${PASSWORD}\"";
    let mut text =
        listening(&format!("description: {value}\n    users: {{heroku: {value}, plain: hunter2}}"));
    text += &format!("    drain_tokens: [{value}]\n    tls: {{cert: {value}, key: {value}}}\n");
    text += &format!("drains: {{d.1: {{computer: {value}, labels: {{a: {value}}}}}}}\nsinks:\n");
    text += &format!("- {{name: f, kind: file, root: {value}, path: {value}}}\n");
    text += &format!(
        "- {{name: k, kind: kafka, brokers: [\"${{PASSWORD}}:1\"], topic: {value}, options: {{a: {value}}},\n"
    );
    text += &format!(
        "   sasl: {{mechanism: PLAIN, username: {value}, password: {value}}}, dead_letters: {value}}}\n"
    );
    text += &format!("state: {{dir: {value}}}\nnotifiers:\n");
    text += &format!("- {{name: h, kind: webhook, url: \"https://h/${{PASSWORD}}\", secret: {value}}}\n");
    text += "- {name: s, kind: slack, url: \"https://h/hunter2?x=hunter2\"}\n";
    text += "- {name: m, kind: smtp, url: \"smtps://${PASSWORD}.x\", from: \"${PASSWORD}@x\", to: [\"${PASSWORD}@x\"],\n";
    text += "   username: \"${PASSWORD}\", password: hunter2}\n";
    text += &format!("- {{name: k, kind: kafka, brokers: [\"${{PASSWORD}}:1\"], topic: {value}}}\n");
    text += &format!("- {{name: f, kind: file, path: {value}}}\n");
    let pipeline = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let printed = format!("{pipeline:?}{pipeline:#?}{}", pipeline.summary());
    assert!(!printed.contains(PASSWORD), "{printed}");
    assert!(printed.contains("x-${PASSWORD}"));
}

/// Every key of the tables is read: a value of the wrong shape is complained about, where it stands.
#[test]
fn every_key_of_the_tables_is_read() {
    let mut count = 0;
    let mut probe = |section: &Section, key: &Key, wrap: &dyn Fn(&str) -> String| {
        // Wrong for every shape: lists want no mapping, mappings no list, single values neither.
        let wrong = match key.shape {
            Shape::List { .. } => "{probe: 1}",
            _ => "[probe]",
        };
        let said = said(&wrap(&format!("\"{}\": {wrong}", key.name)));
        let found = said.iter().any(|line| line.contains("list") || line.contains("a mapping"));
        assert!(found, "`{}` of {}: {said:?}", key.name, section.name);
        count += 1;
    };
    use crate::config::schema as s;
    let listener = |inner: &str| format!("weir: pipeline/v1\nlisteners: [{{{inner}}}]\n");
    let nested = |path: &'static str| move |inner: &str| listener(&format!("{path}: {{{inner}}}"));
    let sink = |kind: &'static str, path: &'static str| {
        move |inner: &str| match path {
            "" => with(&format!("sinks: [{{kind: {kind}, {inner}}}]")),
            path => with(&format!("sinks: [{{kind: {kind}, {path}: {{{inner}}}}}]")),
        }
    };
    s::PIPELINE.all().for_each(|key| probe(s::PIPELINE, key, &|inner| format!("{{{inner}}}\n")));
    s::STATE.all().for_each(|key| probe(s::STATE, key, &|inner| with(&format!("state: {{{inner}}}"))));
    s::LEDGER.all().for_each(|key| probe(s::LEDGER, key, &|inner| with(&format!("ledger: {{{inner}}}"))));
    s::GEO.all().for_each(|key| probe(s::GEO, key, &|inner| with(&format!("geo: {{{inner}}}"))));
    s::LOG.all().for_each(|key| probe(s::LOG, key, &|inner| with(&format!("log: {{{inner}}}"))));
    s::LISTENER.all().for_each(|key| probe(s::LISTENER, key, &listener));
    s::LISTENER_TLS.all().for_each(|key| probe(s::LISTENER_TLS, key, &nested("tls")));
    s::LIMITS.all().for_each(|key| probe(s::LIMITS, key, &nested("limits")));
    s::DEVICE_ID.all().for_each(|key| probe(s::DEVICE_ID, key, &nested("device_id")));
    let rule = |inner: &str| listener(&format!("device_id: {{rules: [{{{inner}}}]}}"));
    s::DEVICE_RULE.all().for_each(|key| probe(s::DEVICE_RULE, key, &rule));
    s::DRAIN
        .all()
        .for_each(|key| probe(s::DRAIN, key, &|inner| with(&format!("drains: {{d.1: {{{inner}}}}}"))));
    for (kind, section) in s::KINDS {
        let keys = section.all().filter(|key| key.name != "kind");
        keys.for_each(|key| probe(section, key, &sink(kind, "")));
    }
    for (kind, section) in s::NOTIFIER_KINDS {
        let one = |inner: &str| with(&format!("notifiers: [{{kind: {kind}, {inner}}}]"));
        section.all().filter(|key| key.name != "kind").for_each(|key| probe(section, key, &one));
    }
    let sample = |inner: &str| with(&format!("sinks: [{{kind: blackhole, sample: [{{{inner}}}]}}]"));
    s::SAMPLE.all().for_each(|key| probe(s::SAMPLE, key, &sample));
    s::ROTATE.all().for_each(|key| probe(s::ROTATE, key, &sink("file", "rotate")));
    s::SASL.all().for_each(|key| probe(s::SASL, key, &sink("kafka", "sasl")));
    s::KAFKA_TLS.all().for_each(|key| probe(s::KAFKA_TLS, key, &sink("kafka", "tls")));
    assert!(count > 100, "{count} keys");
}

/// The example that a hint shows for a key is itself good.
#[test]
fn examples_are_valid() {
    use crate::config::schema as s;
    for key in s::PIPELINE.all().filter(|key| !matches!(key.name, "weir" | "listeners")) {
        assert_eq!(said(&with(&format!("{}: {}", key.name, key.example))), [""; 0]);
    }
    for key in s::LISTENER.all().filter(|key| !matches!(key.name, "name" | "kind" | "bind" | "users")) {
        assert_eq!(said(&listening(&format!("{}: {}", key.name, key.example))), [""; 0]);
    }
    let kafka = |key: &&Key| !matches!(key.name, "name" | "kind" | "brokers" | "topic" | "sasl");
    let (_, section) = s::KINDS.iter().find(|(kind, _)| *kind == "kafka").expect("kafka");
    for key in section.all().filter(kafka) {
        assert_eq!(said(&producing(&format!("{}: {}", key.name, key.example))), [""; 0]);
    }
}

#[test]
fn notifiers_are_read() {
    let text = with(
        r#"notifiers:
  - {name: am, kind: alertmanager, urls: ["http://127.0.0.1:9093"], resend: 30s, allow_private: ["127.0.0.1"]}
  - {name: hook, kind: webhook, url: "https://h/x", secret: "${PASSWORD}"}
  - {name: mail, kind: smtp, url: "smtp://h:25", from: weir <a@b.c>, to: [d@e.f]}
  - {name: chat, kind: slack, url: "https://h/${PORT}"}
  - {name: topic, kind: kafka, brokers: ["b:9092"], topic: alerts}
  - {name: file, kind: file, path: alerts.ndjson}"#,
    );
    let pipeline = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let kinds: Vec<&str> = pipeline.notifiers.iter().map(|notifier| notifier.kind.as_str()).collect();
    assert_eq!(kinds, ["alertmanager", "webhook", "smtp", "slack", "kafka", "file"]);
    let NotifierKind::Alertmanager(alertmanager) = &pipeline.notifiers[0].kind else { panic!("the first") };
    assert_eq!(alertmanager.resend, std::time::Duration::from_secs(30));
    let NotifierKind::Webhook(hook) = &pipeline.notifiers[1].kind else { panic!("the second") };
    assert_eq!(hook.secret.as_ref().unwrap().expose(), PASSWORD);
    assert!(pipeline.summary().contains("  notifier chat: slack\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let problems = load(Path::new("/nonexistent/w.yaml")).expect_err("there is no such file");
    let expect = "/nonexistent/w.yaml: cannot read the pipeline: No such file or directory (os error 2)\n";
    assert_eq!(problems.to_string(), expect);
}

proptest::proptest! {
    /// Whatever is cut from or put into a good file, reading it ends in a pipeline or in problems that print.
    #[test]
    fn no_text_is_too_broken(cuts in proptest::collection::vec((0usize..5_000, 0usize..40, "[-:{}\\[\\]'\"&*|>#$! \n\ta-z0é]{0,6}"), 1..6)) {
        let mut text: Vec<char> = crate::config::DEFAULT_TEXT.chars().collect();
        for (from, len, put) in cuts {
            let from = from.min(text.len());
            let to = (from + len).min(text.len());
            text.splice(from..to, put.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = read(&text) {
            proptest::prop_assert!(!problems.is_empty());
            proptest::prop_assert!(problems.iter().all(|problem| problem.line > 0 && problem.column > 0));
            proptest::prop_assert!(problems.to_string().lines().count() >= problems.len());
        }
    }
}
