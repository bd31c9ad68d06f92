//! Redaction through the shard: what a mask covers is in no form of an event, wherever it was extracted, and each line
//! stays JSON.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use weir::batch::{Batch, Form, Identity, ListenerId, Origin};
use weir::compile;
use weir::config::{Surroundings, read_pipeline};
use weir::outcome::Outcome;
use weir::pack;
use weir::plan::{Format, Listener, Output, Plan};
use weir::shard::Shard;

const HEAD: &str = "<190>1 2026-11-22T09:51:24.537546+00:00 d.5a8fd083 ";

fn origin(form: Form) -> Arc<Origin> {
    Arc::new(Origin::of(ListenerId(0), form))
}

/// A plan with these masks and the Heroku pack, that writes both forms.
fn plan(masks: &str) -> Plan {
    let text = format!("weir: pipeline/v1\nredact:\n{masks}");
    let around = Surroundings { variable: &|_| None, file: &|_| Ok(()) };
    let pipeline = read_pipeline("w.yaml", &text, &around).unwrap_or_else(|problems| panic!("{problems}"));
    let mut plan = Plan::new("i".into(), vec![Arc::new(Listener::new("l"))]);
    let packs = [pack::built_in("heroku").unwrap()];
    compile::know_packs(&mut plan, &pipeline, &packs, None).unwrap();
    let forms = [Format::Ndjson, Format::EventTracker];
    plan.outputs = compile::outputs(forms.map(|form| Output::new(Some(form), false)), &[]);
    plan
}

/// The line of each form.
fn lines(plan: &Plan, shard: &mut Shard, form: Form, frame: &[u8]) -> [String; 2] {
    let mut batch = Batch::new(Batch::capacity_for(frame.len()));
    let at = batch.append(frame);
    batch.push_frame(at, frame.len(), false);
    batch.close_run(&origin(form), Identity::Batch);
    let mut out = Outcome::default();
    shard.process(plan, &batch, &mut out);
    [1, 2].map(|place| String::from_utf8(out.parcels[place].as_ref().unwrap().bytes.clone()).unwrap())
}

/// An event and its view; neither line holds any of `hidden`.
fn shown(masks: &str, frame: &str, hidden: &[&str]) -> (Value, Value) {
    let (plan, mut shard) = (plan(masks), Shard::default());
    let [event, view] = lines(&plan, &mut shard, Form::Syslog, frame.as_bytes());
    for hidden in hidden {
        assert!(!event.contains(hidden) && !view.contains(hidden), "{hidden} in\n{event}{view}");
    }
    (serde_json::from_str(&event).unwrap(), serde_json::from_str(&view).unwrap())
}

const EMAIL: &str = "- {id: email, builtin: email, with: '<mail>', mode: on}\n";

#[test]
fn what_is_covered_in_the_message_is_covered_where_it_was_extracted() {
    let frame = format!(
        "{HEAD}heroku router - - at=info method=GET path=\"/?u=bob@example.com&x\" host=a.example.com request_id=1 fwd=\"66.249.66.92\" dyno=web.1 connect=0ms service=2ms status=200 bytes=1 protocol=https"
    );
    let (event, view) = shown(EMAIL, &frame, &["bob"]);
    assert_eq!(event["fields"]["path"], "/?u=<mail>&x");
    assert_eq!(event["fields"]["host"], "a.example.com");
    assert_eq!(event["fields"]["status"], 200);
    assert!(event["message"].as_str().unwrap().contains("path=\"/?u=<mail>&x\" host=a"));
    assert!(view["event_description"].as_str().unwrap().starts_with("<190>1 2026"), "{view}");
    assert!(view["event_description"].as_str().unwrap().contains("u=<mail>&x"), "{view}");
}

#[test]
fn a_masked_field_is_covered_in_the_message_too() {
    let masks = "- {id: who, field: user, with: X, mode: on}\n";
    let frame = format!("{HEAD}app api - - Release v4 created by user bob@example.com");
    let (event, view) = shown(masks, &frame, &["bob"]);
    assert_eq!(event["fields"]["user"], "X");
    assert_eq!(event["message"], "Release v4 created by user X");
    assert_eq!(view["event_user_name"], "X");
    // Only where the condition holds.
    let only =
        |user: &str| format!("- {{id: who, field: user, detect: {{s: {{user: {user}}}}}, mode: on}}\n");
    let (event, _) = shown(&only("bob@example.com"), &frame, &["bob"]);
    assert_eq!(event["fields"]["user"], "[redacted]");
    let (event, _) = shown(&only("eve"), &frame, &[]);
    assert_eq!(event["fields"]["user"], "bob@example.com");
    // A part of a field.
    let part = "- {id: who, field: user, regex: '^[a-z]+', with: '-', mode: on}\n";
    let (event, _) = shown(part, &frame, &["bob"]);
    assert_eq!(event["message"], "Release v4 created by user -@example.com");
    assert_eq!(event["fields"]["user"], "-@example.com");
    // One that the output does not show.
    let hidden = "- {id: ip, field: auth_ip, mode: on}\n";
    let frame = format!("{HEAD}app web.1 - - login failed for bob from 203.0.113.9");
    let (event, _) = shown(hidden, &frame, &["203.0.113.9"]);
    assert_eq!(event["message"], "login failed for bob from [redacted]");
}

#[test]
fn a_json_body_stays_json_and_hides_what_was_escaped() {
    let masks = "- {id: email, builtin: email, with: 'a\"b', mode: on}
- {id: card, builtin: card, mode: on}
- {id: detail, field: detail, mode: on}
- {id: lost, field: lost, mode: on}\n";
    let body = r#"{"mail":"bob@example.com","list":["eve@example.com",1,"x"],"pay":4111111111111111,"pays":[5555555555554444],"detail":"a \"quoted\" secret","lost":417,"bob@example.com":true,"also":417417}"#;
    let (event, _) = shown(
        masks,
        &format!("{HEAD}app web.1 - - {body}"),
        &["bob", "eve@", "4111111111111111", "5555555555554444", "quoted", "417,"],
    );
    let fields = &event["fields"];
    assert_eq!(fields["mail"], "a\"b");
    assert_eq!(fields["list"], json!(["a\"b", 1, "x"]));
    assert_eq!((&fields["pay"], &fields["pays"]), (&json!("[redacted]"), &json!("[redacted]")));
    assert_eq!((&fields["detail"], &fields["lost"]), (&json!("[redacted]"), &json!("[redacted]")));
    assert_eq!((&fields["a\"b"], &fields["also"]), (&json!(true), &json!(417_417)));
    assert!(
        event["message"].as_str().unwrap().contains(r#""detail":"[redacted]","lost":[redacted]"#),
        "{event}"
    );
}

#[test]
fn colours_structured_data_and_ingested_records() {
    let coloured = format!("{HEAD}app web.1 - - from bob\x1b[0m@example.com \x1b[31mred");
    let (event, _) = shown(EMAIL, &coloured, &["bob"]);
    assert_eq!(event["message"], "from <mail> red");
    let plain = format!("{HEAD}app web.1 - - \x1b[31mred");
    assert_eq!(shown(EMAIL, &plain, &[]).0["message"], "\u{1b}[31mred");
    let masks = "- {id: email, builtin: email, with: 'a\"]\\', mode: on}\n";
    let data =
        r#"<13>1 2026-11-22T09:51:24Z plant app - - [a@1 user="bob@example.com" x="\"y\""][b z="1"] hello"#;
    let (event, view) = shown(masks, data, &["bob"]);
    assert_eq!(event["sd"], json!({"a@1": {"user": "a\"]\\", "x": "\"y\""}, "b": {"z": "1"}}));
    assert_eq!(event["message"], "hello");
    assert!(view["event_description"].as_str().unwrap().ends_with(r#"x="\"y\""][b z="1"] hello"#), "{view}");
    let (plan, mut shard) = (plan(EMAIL), Shard::default());
    let record = br#"{"message":"mail bob@example.com","user":"eve@example.com","n":1}"#;
    for line in lines(&plan, &mut shard, Form::IngestJson, record) {
        assert!(!line.contains("bob") && !line.contains("eve@"), "{line}");
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    }
}

#[test]
fn what_is_masked_is_counted_once_and_conditions_see_the_original() {
    let (plan, mut shard) = (plan(EMAIL), Shard::default());
    let frame = format!("{HEAD}app web.1 - - login failed for bob@example.com and eve@example.com");
    let [event, _] = lines(&plan, &mut shard, Form::Syslog, frame.as_bytes());
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["categories"], json!(["heroku.category.application"]));
    let tally = shard.take_tally().unwrap();
    assert_eq!(tally.redacted.all().collect::<Vec<_>>(), [("pipeline.redact.email", 2)]);
    assert_eq!(tally.categories.all().collect::<Vec<_>>(), [("heroku.category.application", 1)]);
}

const ALERTS: &str = "weir: pack/v1
pack: {id: shop, version: 1.0.0}
fields:
  login: {type: string}
knowledge_objects:
  - {id: login, rules: [{signature: {all: ['login failed']}, extract: [{regex: 'for (?P<login>[^ ]+)'}]}]}
alerts:
  - id: failed
    title: Failed
    severity: high
    mode: on
    detect: {s: {message|contains: login failed}}
    when: {count: {over: 10m, group_by: [login], gte: 2}}
    summary: '{value} for {login}'
  - id: each
    title: Each
    severity: high
    mode: on
    detect: {s: {message|contains: login failed}}
    when: each
    summary: 'of {login}: {message}'
  - id: silent
    title: Silent
    severity: high
    mode: on
    scope: global
    when: {absent: {over: 10m, group_by: [login], expect: [zed@example.com]}}
";

/// The records of a log under these masks.
fn records(masks: &str, log: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pipeline = format!("weir: pipeline/v1\npacks: []\nredact:\n{masks}");
    let (pipeline, pack) = (put("w.yaml", &pipeline), put("shop.yaml", ALERTS));
    let (log, alerts) = (put("log", log), put("alerts", ""));
    let args = ["replay", &log, "--pipeline", &pipeline, "--pack", &pack, "--alerts", &alerts];
    let output = support::weir::run(&args, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&alerts).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn alerts_show_what_may_be_shown_and_their_groups_stay_apart() {
    let who = ["bob@example.com", "bob@example.com", "eve@example.com", "eve@example.com", "root"];
    let line = |(second, who): (usize, &str)| {
        format!("<13>1 2026-11-22T09:51:2{second}Z plant app - - - login failed for {who} again\n")
    };
    let mut log: String = who.into_iter().enumerate().map(line).collect();
    log.push_str("<13>1 2026-11-22T11:51:24Z plant app - - - two hours later\n");
    let of = |records: &[Value], alert: &str| -> Vec<Value> {
        let sealed = records.iter().filter(|record| record["state"] == "sealed");
        sealed.filter(|record| record["alert"] == alert).cloned().collect()
    };
    for masks in [
        EMAIL,
        "- {id: who, field: login, regex: '.*@.*', with: '<mail>', mode: on}\n",
        "- {id: who, regex: 'for [^ ]+@[^ ]+', with: 'for <mail>', mode: on}\n",
    ] {
        let records = records(masks, &log);
        let text = serde_json::to_string(&records).unwrap();
        assert!(!text.contains("bob") && !text.contains("eve@"), "{masks}{text}");
        if !masks.contains("for <mail>") {
            // Nothing told where a value that never came would have stood.
            assert!(text.contains("shop.alert.silent") && !text.contains("zed"), "{masks}{text}");
        }
        let failed = of(&records, "shop.alert.failed");
        let keys: Vec<&str> = failed.iter().map(|one| one["key"]["login"].as_str().unwrap()).collect();
        assert_eq!(keys.len(), 2, "{masks}{text}");
        assert_ne!(keys[0], keys[1]);
        for (record, key) in failed.iter().zip(&keys) {
            let hex = key.strip_prefix("[redacted:").and_then(|rest| rest.strip_suffix("]")).unwrap();
            assert!(hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
            assert_eq!(record["summary"], format!("2 for {key}"));
            assert_eq!(record["events"][0]["message"], "login failed for <mail> again");
        }
        let each = of(&records, "shop.alert.each");
        let root: Vec<_> =
            each.iter().filter(|one| one["summary"].as_str().unwrap().contains("root")).collect();
        assert_eq!((each.len(), root.len()), (5, 1), "{masks}{text}");
        assert_eq!(root[0]["summary"], "of root: login failed for root again");
        assert!(
            text.contains("of <mail>: login failed for <mail> again") || masks.contains("for <mail>"),
            "{text}"
        );
    }
    let off = records("- {id: email, builtin: email}\n", &log);
    let text = serde_json::to_string(&off).unwrap();
    assert!(text.contains("of bob@example.com: login failed for bob@") && text.contains("zed@"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands around it, in whatever frame, an address or a card number is in no line, and each line is JSON.
    #[test]
    fn nothing_masked_comes_through(
        before in "[ -~\u{e9}\n]{0,24}",
        after in "[ -~\u{e9}\n]{0,24}",
        shape in 0usize..5,
    ) {
        let masks = "- {id: email, builtin: email, mode: on}\n- {id: card, builtin: card, mode: on}\n- {id: t, regex: 'token=[^ ]+', with: '\"', mode: on}\n";
        let (before, after) = (format!("{before} "), format!(" {after}"));
        let secret = "qqzz@example.com 4111111111111111 token=abcqz";
        let inner = format!("{before}{secret}{after}");
        let quoted = serde_json::to_string(&inner).unwrap();
        let frame = match shape {
            0 => format!("{HEAD}app web.1 - - {inner}"),
            1 => format!("{HEAD}app web.1 - - {{\"a\":{quoted},\"b\":[{quoted},{{\"c\":{quoted}}}],\"d\":{{\"e\":{quoted}}}}}"),
            2 => format!("{HEAD}heroku router - - at=info method=GET path=\"{inner}\" host=a dyno=web.1 connect=0ms service=1ms status=200 bytes=1"),
            3 => format!("<13>1 2026-11-22T09:51:24Z plant app - - [x k={quoted}] {inner}"),
            _ => inner.clone(),
        };
        let (plan, mut shard) = (plan(masks), Shard::default());
        for line in lines(&plan, &mut shard, Form::Syslog, frame.as_bytes()) {
            prop_assert!(serde_json::from_str::<Value>(&line).is_ok(), "{}", line);
            for secret in ["qqzz@", "4111111111111111", "abcqz"] {
                prop_assert!(!line.contains(secret), "{} in {}", secret, line);
            }
        }
    }
}

#[test]
fn a_masked_key_of_a_dashlet_is_told_by_what_stands_for_it() {
    let frame = |ip: &str, process: &str| {
        format!(
            "{HEAD}heroku {process} - - at=info method=GET path=\"/\" host=a.example.com request_id=1 fwd=\"{ip}\" dyno=web.1 connect=0ms service=2ms status=200 bytes=1 protocol=https"
        )
    };
    let texts = |masks: &str| {
        let (plan, mut shard) = (plan(masks), Shard::default());
        for ip in ["66.249.66.92", "66.249.66.93", "66.249.66.92"] {
            lines(&plan, &mut shard, Form::Syslog, frame(ip, "router").as_bytes());
        }
        let tally = shard.take_tally().unwrap();
        let at = plan.watch.dashlets.list.iter().position(|one| &*one.id == "heroku.dashlet.method_by_ip");
        let sums = &tally.sums[0];
        let own = sums.list.iter().filter(|sum| sum.dashlet as usize == at.unwrap());
        let mut counts: Vec<u64> = own.map(|sum| sum.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2], "{masks}");
        String::from_utf8_lossy(&sums.texts).into_owned()
    };
    let off = texts("- {id: ip, field: client_ip}\n");
    assert!(off.contains("66.249.66.92") && !off.contains("redacted"), "{off}");
    for masks in ["- {id: ip, field: client_ip, mode: on}\n", "- {id: ip, regex: 'fwd=\"[^\"]+', mode: on}\n"]
    {
        let on = texts(masks);
        assert!(!on.contains("66.249.66.9") && on.contains("[redacted:"), "{masks}{on}");
        // Who sent it is never masked.
        assert!(on.contains("router") && on.contains("d.5a8fd083"), "{on}");
    }
}
