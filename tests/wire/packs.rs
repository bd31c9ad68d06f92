//! Packs as things: imported, switched, listed and rolled back while weir runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::frames::{FILES, drained, listener, pipeline};
use crate::support::weir::{PATIENCE, Weir, binary, events, get};

/// The Heroku pack with a category more.
fn changed() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/heroku/pack.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let more = "categories:\n  - {id: orders, title: Orders, detect: {s: {message|contains: new order}}}\n";
    text.replace("version: 1.0.0", "version: 1.0.1").replacen("categories:\n", more, 1)
}

fn start() -> Weir {
    let weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    std::fs::write(weir.path("changed.yaml"), changed()).unwrap();
    weir
}

fn command(dir: &Path, arguments: &[&str]) -> Output {
    std::process::Command::new(binary()).current_dir(dir).args(arguments).output().unwrap()
}

/// `weir pack` against the running weir; standard output and error.
#[track_caller]
fn packs(weir: &Weir, arguments: &[&str], good: bool) -> (String, String) {
    let admin = weir.admin().to_string();
    let all = [&["pack"], arguments, &["--admin", &admin]].concat();
    let output = command(weir.dir(), &all);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.success(), good, "{all:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

fn shown(weir: &Weir, id: &str) -> Value {
    let (status, body) = get(weir.admin(), &format!("/api/v1/packs/{id}"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn state(weir: &Weir, pack: &str, item: &str) -> String {
    let shown = shown(weir, pack);
    let items = shown["items"].as_array().unwrap();
    let found =
        items.iter().find(|one| one["id"] == item).unwrap_or_else(|| panic!("no {item} in {shown:#}"));
    found["state"].as_str().unwrap_or_default().to_string()
}

/// Sends a request as it stands; status and body.
fn send(weir: &Weir, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(weir.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{head}\r\nHost: weir\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())
        .unwrap();
    // A server that refuses may hang up before all is written.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

/// The categories of a line that is sent now.
fn categories(weir: &mut Weir, line: &str) -> String {
    let before = events(&weir.path("out")).len();
    let mut sender = TcpStream::connect(weir.address("syslog")).unwrap();
    sender.write_all(drained(line).as_bytes()).unwrap();
    drop(sender);
    weir.wait_for("the event", |weir| {
        let events = events(&weir.path("out"));
        (events.len() > before).then(|| events[before]["categories"].to_string())
    })
}

#[test]
fn a_running_weir_takes_an_import_a_switch_and_a_rollback() {
    let mut weir = start();
    assert!(!categories(&mut weir, "a new order").contains("orders"));
    let (out, _) = packs(&weir, &["import", "changed.yaml"], true);
    assert!(out.starts_with("heroku 1.0.1 imported, ") && out.contains(" tests passed\n"), "{out}");
    assert!(categories(&mut weir, "a new order").contains("heroku.category.orders"));
    let (out, _) = packs(&weir, &["list"], true);
    assert!(out.contains("in use, 1.0.1, imported (number 1)"), "{out}");

    // One command switches both alerts of the guide on; they ship off.
    let guides = ["heroku.alert.auth_failure", "heroku.alert.high_severity"];
    assert_eq!(guides.map(|id| state(&weir, "heroku", id)), ["off", "off"]);
    let (_, said) = packs(&weir, &["enable", guides[0], guides[1]], true);
    assert!(said.contains("done by the weir at"), "{said}");
    assert_eq!(guides.map(|id| state(&weir, "heroku", id)), ["on", "on"]);
    let (out, _) = packs(&weir, &["list"], true);
    assert!(out.contains("2 on"), "{out}");
    let path = "PATCH /api/v1/packs/heroku/alerts/auth_failure HTTP/1.1";
    assert_eq!(send(&weir, path, br#"{"mode": "shadow"}"#).0, 200);
    assert_eq!(state(&weir, "heroku", guides[0]), "shadow");

    // What the site changed outlives the pack's version.
    let (out, _) = packs(&weir, &["rollback"], true);
    assert_eq!(out, "heroku: import 1 was rolled back, 1.0.0 that is compiled in counts again\n");
    assert!(!categories(&mut weir, "a new order").contains("orders"));
    assert_eq!(guides.map(|id| state(&weir, "heroku", id)), ["shadow", "on"]);
    packs(&weir, &["rollback", "heroku"], false);
    weir.stop().clean();
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut weir = start();
    packs(&weir, &["import", "changed.yaml"], true);
    let before = shown(&weir, "heroku");
    let broken = changed().replace("1.0.1", "1.0.2").replacen(
        "detect: {s: {message|contains: new order}}",
        "detect: {s: {mesage: x}}",
        1,
    );
    std::fs::write(weir.path("broken.yaml"), &broken).unwrap();
    let (_, said) = packs(&weir, &["import", "broken.yaml"], false);
    assert!(said.contains("broken.yaml:") && said.contains("unknown field `mesage`"), "{said}");
    let failing = broken.replace("detect: {s: {mesage: x}}", "detect: {s: {kind: router}}");
    std::fs::write(weir.path("failing.yaml"), failing).unwrap();
    let (_, said) = packs(&weir, &["import", "failing.yaml"], false);
    assert!(said.contains("failing.yaml:") && said.contains("fails"), "{said}");
    std::fs::write(weir.path("alerts.isalt"), "").unwrap();
    let (_, said) = packs(&weir, &["import", "alerts.isalt"], false);
    assert!(said.contains("vendor's own file for alerts") && said.contains("under `alerts`"), "{said}");
    let head = "weir: pack/v1\npack: {version: 1.0.0, id: ";
    for id in ["../../evil", "/etc/evil", "a/b", ".."] {
        std::fs::write(weir.path("evil.yaml"), format!("{head}'{id}'}}\n")).unwrap();
        let (_, said) = packs(&weir, &["import", "evil.yaml"], false);
        assert!(said.contains("is no id"), "{said}");
    }
    let (whole, large) = (changed(), vec![b' '; 50 << 20]);
    let requests: [(&str, &[u8], u16, &str); 9] = [
        ("PUT /api/v1/packs/other HTTP/1.1", whole.as_bytes(), 422, "the pack is `heroku`, not `other`"),
        ("PUT /api/v1/packs?name=x.etko HTTP/1.1", b"x", 422, "knowledge objects"),
        ("PUT /api/v1/packs/heroku HTTP/1.1", b"\xff", 422, "not UTF-8 at byte 0"),
        ("PUT /api/v1/packs/heroku HTTP/1.1", &large, 413, "larger than"),
        ("POST /api/v1/packs/..%2f..%2fetc/rollback HTTP/1.1", b"", 422, "is no id"),
        (
            "PATCH /api/v1/packs/heroku/alerts/nope HTTP/1.1",
            b"{\"mode\": \"on\"}",
            422,
            "there is no alert `nope`",
        ),
        ("PATCH /api/v1/packs/weir HTTP/1.1", b"{}", 404, "there is no pack `weir`"),
        ("PATCH /api/v1/packs/heroku HTTP/1.1", b"{", 422, "EOF"),
        ("PATCH /api/v1/packs/heroku HTTP/1.1\r\nOrigin: http://x", b"{}", 403, "web pages"),
    ];
    for (request, body, status, why) in requests {
        let (got, said) = send(&weir, request, body);
        assert!(got == status && said.contains(why), "{request}: {got} {said}");
    }
    std::fs::write(weir.path("large.yaml"), vec![b' '; 50 << 20]).unwrap();
    let (_, said) = packs(&weir, &["import", "large.yaml"], false);
    assert!(said.contains("the pack is larger than"), "{said}");
    assert_eq!(shown(&weir, "heroku"), before);
    assert!(categories(&mut weir, "a new order").contains("heroku.category.orders"));
    assert_eq!(std::fs::read_dir(weir.path("weir-state/packs")).unwrap().count(), 1);
    weir.stop().clean();
}

#[test]
fn files_are_noticed_and_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there: the files are written.
    let offline = |arguments: &[&str]| {
        let output = command(dir.path(), &[&["pack"], arguments, &["--state", "weir-state"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    offline(&["enable", "heroku.alert.auth_failure"]);
    std::fs::write(dir.path().join("changed.yaml"), changed()).unwrap();
    offline(&["import", "changed.yaml", "--only", "category/orders"]);
    let memory = changed().replace("Memory of a dyno by type, as it says itself.", "By type.");
    std::fs::write(dir.path().join("memory.yaml"), memory).unwrap();
    offline(&["import", "memory.yaml", "--only", "metric/heroku_dyno_memory_bytes"]);
    let mut weir = Weir::start_in(dir, &pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    assert!(categories(&mut weir, "a new order").contains("heroku.category.orders"));
    assert_eq!(state(&weir, "heroku", "heroku.alert.auth_failure"), "on");
    // A part leaves the rest of the pack, its version too.
    let pack = shown(&weir, "heroku");
    assert_eq!(pack["version"], "1.0.0");
    // Metrics of one name go together.
    let of_memory = |item: &&Value| item["id"] == "heroku.metric.heroku_dyno_memory_bytes";
    let of_memory: Vec<&Value> = pack["items"].as_array().unwrap().iter().filter(of_memory).collect();
    assert_eq!(of_memory.len(), 3, "{of_memory:?}");
    assert!(
        of_memory.iter().all(|item| item["text"].as_str().unwrap().contains("By type.")),
        "{of_memory:?}"
    );

    let overlay = weir.path("weir-state/overlay.yaml");
    std::fs::write(&overlay, "weir: overlay/v1\nheroku: {alerts: {nope: {mode: on}}}\n").unwrap();
    weir.wait_for_log("there is no alert `nope`");
    assert_eq!(state(&weir, "heroku", "heroku.alert.auth_failure"), "on");
    std::fs::write(&overlay, "weir: overlay/v1\nheroku: {disabled: [category.orders]}\n").unwrap();
    weir.wait_for("the reload", |weir| {
        (state(weir, "heroku", "heroku.category.orders") == "left out").then_some(())
    });
    assert!(!categories(&mut weir, "a new order").contains("orders"));
    weir.stop().clean();
}

#[test]
fn changes_at_the_same_time_do_not_undo_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let items =
        ["dashlet.geo", "dashlet.http_code", "dashlet.error_codes", "dashlet.log_type", "dashlet.severity"];
    let disable = |item: &str| {
        let id = format!("heroku.{item}");
        let arguments = ["pack", "disable", &id, "--state", "weir-state"];
        let mut command = std::process::Command::new(binary());
        command.current_dir(dir.path()).args(arguments).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let all: Vec<_> = items.iter().map(|item| disable(item)).collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = std::fs::read_to_string(dir.path().join("weir-state/overlay.yaml")).unwrap();
    assert!(items.iter().all(|item| text.contains(item)), "{text}");
}
