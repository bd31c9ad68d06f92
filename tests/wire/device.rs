//! Who sent a frame, by the rules of a pack.

use std::io::Write;
use std::net::TcpStream;

use crate::support::frames::{FILES, listener, octet, pipeline};
use crate::support::weir::{Weir, events, figure};

const PACK: &str = r"weir: pack/v1
pack: {id: plant, version: 1.0.0}
device_id:
  on_no_match: quarantine
  rules: [{from: raw, pattern: 'unit=(?P<Unit>[a-z0-9]+)', token: Unit}, {pattern: 'never(?P<A>x)', token: A, active: false}]
";

fn line(text: &str) -> String {
    octet(&format!("<13>1 2026-11-22T09:51:24Z plant app - - - {text}"))
}

#[test]
fn a_packs_rules_name_senders_behind_the_listeners_own() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plant.yaml"), PACK).unwrap();
    let own = ", device_id: {on_no_match: accept, rules: [{pattern: 'by=(?P<By>[a-z]+)', token: By}]}";
    let listeners = [listener("pack", "tcp", ""), listener("own", "tcp", own)];
    let mut weir =
        Weir::start_in(dir, &format!("packs: [heroku, plant.yaml]\n{}", pipeline(&listeners, &[FILES])));
    for name in ["pack", "own"] {
        let mut sender = TcpStream::connect(weir.address(name)).unwrap();
        for text in ["unit=a7 hello", "hello", "by=you unit=b8", "at +00:00 d.5a8f unit=c9"] {
            sender.write_all(line(text).as_bytes()).unwrap();
        }
        weir.wait_for_figure(&format!("/listeners/{name}/received"), 4);
    }
    let ended = weir.stop();
    let books = ended.clean();
    // The heroku pack says accept, and its word comes first.
    assert_eq!(figure(books, "/listeners/pack/apart/no_match"), 1);
    assert_eq!(figure(books, "/sinks/events/quarantined"), 0);
    let drains = |name: &str| -> Vec<String> {
        let all = events(&ended.dir.path().join("out"));
        let of = all.iter().filter(|event| event["listener"] == name);
        of.map(|event| event["drain"].as_str().unwrap_or("-").to_string()).collect()
    };
    assert_eq!(drains("pack"), ["a7", "-", "b8", "d.5a8f"]);
    assert_eq!(drains("own"), ["a7", "-", "you", "d.5a8f"]);
}

#[test]
fn a_packs_word_counts_unless_the_listener_has_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plant.yaml"), PACK).unwrap();
    let own = ", device_id: {on_no_match: drop}";
    let listeners = [listener("pack", "tcp", ""), listener("own", "tcp", own)];
    let mut weir = Weir::start_in(dir, &format!("packs: [plant.yaml]\n{}", pipeline(&listeners, &[FILES])));
    for name in ["pack", "own"] {
        let mut sender = TcpStream::connect(weir.address(name)).unwrap();
        sender.write_all([line("unit=a7 hello"), line("hello")].concat().as_bytes()).unwrap();
        weir.wait_for_figure(&format!("/listeners/{name}/received"), 2);
    }
    let ended = weir.stop();
    let books = ended.clean();
    let sink = |key: &str| figure(books, &format!("/sinks/events/{key}"));
    assert_eq!((sink("delivered"), sink("quarantined"), sink("dropped/no_match")), (2, 1, 1), "{books:#}");
}
