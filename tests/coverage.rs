//! `weir coverage` over a file, through the real binary.

mod support;

use serde_json::{Value, json};

use support::weir::run;

const PACK: &str = "weir: pack/v1
pack: {id: plant, version: 1.0.0, params: {least: {type: int, default: 5, description: of a load}}}
fields:
  load: {type: u16}
  unit: {type: string}
  never: {type: string}
knowledge_objects:
  - id: pump
    kind: pump
    rules:
      - {applies_to: {source: pump}, extract: [{kv: {}}]}
      - {applies_to: {source: nobody}}
  - {id: unit, rules: [{applies_to: {source: pump}, signature: {any: [twice]}, extract: [{regex: '(?P<unit>twice)'}]}]}
categories:
  - {id: pumps, detect: {s: {kind: pump}}}
  - {id: none, detect: {s: {source: nobody}}}
alerts:
  - {id: high, severity: high, detect: {s: {load|gte: $least}}, when: each}
  - {id: steps, severity: high, when: {sequence: {over: 1m, steps: [{s: {kind: pump}}, {s: {source: nobody}}]}}}
";

const LOG: &str = "<13>1 2026-11-22T09:51:24Z plant pump - - - load=4 unit=a
<13>1 2026-11-22T09:51:24Z plant pump - - - load=much unit=b
<13>1 2026-11-22T09:51:24Z plant pump - - - load=3 unit=c twice
<13>1 2026-11-22T09:51:24Z plant valve - - - open
<13>1 2026-11-22T09:51:24Z plant valve - - - shut
";

#[test]
fn what_never_came_to_anything_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("plant.yaml"), PACK).unwrap();
    std::fs::write(path("log"), LOG).unwrap();
    let covered = |more: &[&str]| {
        let (log, pack) = (path("log"), path("plant.yaml"));
        let output = run(&[&["coverage", &log, "--pack", &pack], more].concat(), b"");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let found: Value = serde_json::from_str(&covered(&["--json"])).unwrap();
    let expected = json!({
        "events": 5,
        "kind_other": {"events": 2, "groups": [{"source": "valve", "events": 2, "example": "open"}]},
        "no_category": {"events": 2, "groups": [{"source": "valve", "events": 2, "example": "open"}]},
        "fields_never_seen": ["never"],
        "rules_never_matched": ["plant.knowledge.pump (rule 2)"],
        "categories_never_matched": ["plant.category.none"],
        "alerts_never_matched": ["plant.alert.high", "plant.alert.steps (step 2)"],
        "unconverted_values": {"count": 1, "example": "load=much unit=b"},
        "field_conflicts": {"count": 1, "example": "load=3 unit=c twice"},
    });
    assert_eq!(found, expected);
    let found: Value = serde_json::from_str(&covered(&["--json", "--set", "least=4"])).unwrap();
    assert_eq!(found["alerts_never_matched"], json!(["plant.alert.steps (step 2)"]));
    let text = covered(&[]);
    for line in [
        "5 events\n",
        "2 events of kind `other` (40.0 %)\n         2  valve: open\n",
        "1 fields never seen\n            never\n",
        "1 values did not convert to their field's type\n            first: load=much unit=b\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn the_heroku_pack_covers_what_heroku_sends() {
    let log = b"<158>1 2026-11-22T09:51:24+00:00 d.5a8f heroku router - - at=info method=GET path=\"/\" host=a fwd=\"1.2.3.4\" dyno=web.1 connect=0ms service=4ms status=200 bytes=4
<190>1 2026-11-22T09:51:24+00:00 d.5a8f app web.1 - - login failed from 203.0.113.9\n";
    let output = run(&["coverage", "-", "--json"], log);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["events"], &found["kind_other"]["events"]), (&json!(2), &json!(0)));
    let silent = |list: &str| -> Vec<&str> {
        found[list].as_array().unwrap().iter().filter_map(Value::as_str).collect()
    };
    assert!(
        !silent("fields_never_seen").contains(&"service_ms") && silent("fields_never_seen").contains(&"lost")
    );
    assert!(!silent("alerts_never_matched").contains(&"heroku.alert.auth_failure"));
    assert_eq!(silent("categories_never_matched"), ["heroku.category.platform"]);
}
