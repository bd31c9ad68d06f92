//! Sinks that take a part: what they leave out counts as filtered, and every other sink sees all.

use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::support::frames::{DRAIN, FILES, listener, octet, pipeline};
use crate::support::weir::{Weir, events, figure};

/// A router line of the path; every tenth one is answered 404.
fn request(n: usize, path: &str) -> String {
    let status = if n.is_multiple_of(10) { 404 } else { 200 };
    octet(&format!(
        "<158>1 2026-11-22T09:51:24.537546+00:00 {DRAIN} heroku router - - at=info method=GET path=\"{path}\" host=a.example.com request_id=b8f6e0f5-0f3c-4c1a-9d0a-1c1f1a2b3c4d fwd=\"66.249.66.92\" dyno=web.1 connect=0ms service=201ms status={status} bytes=1 protocol=https"
    ))
}

fn line(text: &str) -> String {
    octet(&format!("<190>1 2026-11-22T09:51:24.537546+00:00 {DRAIN} app web.1 - - {text}"))
}

fn file(name: &str, more: &str) -> String {
    format!("{{name: {name}, kind: file, root: {name}, path: all.ndjson{more}}}")
}

const REQUESTS: &str = ", where: {s: {categories: heroku.category.requests}}";
const SAMPLED: &str = ", where: {s: {kind: router}}, sample: [{detect: {s: {status: 404}}, keep: 1/1}, {detect: {s: {path|startswith: /health}}, keep: 1/8}]";

fn say(weir: &Weir, rounds: usize) {
    let mut sender = TcpStream::connect(weir.address("in")).unwrap();
    for n in 0..rounds {
        let all = [request(n, "/"), request(n, "/health"), line("login failed"), line("hello")].concat();
        sender.write_all(all.as_bytes()).unwrap();
    }
}

fn taken(weir: &Weir, name: &str) -> Vec<Value> {
    events(&weir.path(name))
}

#[test]
fn what_a_filter_leaves_out_is_filtered_and_nothing_else_changes() {
    let sinks = [
        FILES.to_string(),
        file("requests", REQUESTS),
        // The same filter once more, with its rows apart.
        "{name: by-kind, kind: file, root: by-kind, path: '{kind}.ndjson', where: {s: {categories: heroku.category.requests}}}".into(),
        file("sampled", SAMPLED),
        file("failures", ", format: eventtracker, where: {use: heroku.auth_failure}"),
        file("none", ", where: {s: {source: nobody}}"),
    ];
    let listed = |sinks: &[String]| {
        let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
        pipeline(&[listener("in", "tcp", "")], &sinks)
    };
    let mut weir = Weir::start(&listed(&sinks));
    say(&weir, 200);
    let books = weir.books_when("all entries", |books| {
        let done = |sink: &Value| figure(sink, "/delivered") + figure(sink, "/filtered") == 800;
        books["sinks"].as_object().unwrap().values().all(done)
    });
    let filtered = |books: &Value, name: &str| figure(books, &format!("/sinks/{name}/filtered"));
    for (name, wanted) in
        [("events", 0), ("requests", 400), ("by-kind", 400), ("failures", 600), ("none", 800)]
    {
        assert_eq!(filtered(&books, name), wanted, "{name}: {books:#}");
    }
    let all = taken(&weir, "out");
    let keeps = |event: &Value| {
        let text = |key: &str| event["fields"][key].as_str().unwrap_or_default();
        match (event["kind"].as_str(), event["fields"]["status"].as_u64()) {
            (Some("router"), Some(404)) => true,
            (Some("router"), _) if text("path").starts_with("/health") => {
                xxh3_64(event["id"].as_str().unwrap().as_bytes()).is_multiple_of(8)
            }
            (kind, _) => kind == Some("router"),
        }
    };
    let expected: Vec<&Value> = all.iter().filter(|event| keeps(event)).collect();
    let sampled = taken(&weir, "sampled");
    assert_eq!(sampled.iter().collect::<Vec<_>>(), expected);
    // 200 of the paths, 20 health checks with 404, and an eighth of the rest.
    assert!((222..260).contains(&sampled.len()), "{}", sampled.len());
    let requests: Vec<Value> = all.iter().filter(|event| event["kind"] == "router").cloned().collect();
    assert_eq!(taken(&weir, "requests"), requests);
    assert_eq!(taken(&weir, "by-kind"), requests);
    assert!(
        taken(&weir, "failures")
            .iter()
            .all(|event| { event["event_description"].as_str().unwrap().ends_with("login failed") })
    );

    // One filter says something else, one is gone: the others go on where they are.
    let mut changed = sinks.to_vec();
    changed[3] = file("sampled", ", where: {s: {kind: app}}");
    changed.remove(1);
    weir.rewrite(&listed(&changed));
    weir.signal(Signal::HUP);
    weir.wait_for_log("the pipeline was reloaded");
    say(&weir, 100);
    weir.wait_for_figure("/listeners/in/received", 1200);
    let ended = weir.stop();
    let books = ended.clean();
    let delivered = |name: &str| figure(books, &format!("/sinks/{name}/delivered"));
    for (name, wanted) in
        [("events", 1200), ("by-kind", 600), ("failures", 300), ("sampled", 200), ("none", 0)]
    {
        assert_eq!(delivered(name), wanted, "{name}: {books:#}");
    }
    assert_eq!(events(&ended.dir.path().join("by-kind")).len(), 600);
    assert_eq!(events(&ended.dir.path().join("requests")).len(), 400);
}

#[test]
fn a_filter_that_names_what_is_not_there_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let text = "weir: pipeline/v1
listeners:
  - {name: a, kind: tcp, bind: ':0'}
sinks:
  - name: s
    kind: blackhole
    where: {a: {statsu: 404}, condition: a}
    sample: [{detect: {use: heroku.auth_failur}, keep: 1/10}]
";
    std::fs::write(dir.path().join("p.yaml"), text).unwrap();
    for command in ["check", "run"] {
        let mut weir = std::process::Command::new(crate::support::weir::binary());
        let output = weir.args([command, "p.yaml"]).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        for line in [
            "p.yaml:7:17: unknown field `statsu` in `where` of sink `s`",
            "hint: did you mean `status`?",
            "p.yaml:8:29: there is no macro `heroku.auth_failur` for `sample` of sink `s`",
            "hint: did you mean `heroku.auth_failure`?",
        ] {
            assert!(said.contains(line), "{line} in\n{said}");
        }
    }
}
