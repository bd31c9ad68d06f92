use super::*;
use crate::pack::built_in;

/// Reads an overlay against the Heroku pack, with one notifier.
fn read_one(text: &str) -> Result<Overlay, Problems> {
    let packs = [built_in("heroku").unwrap()];
    read("o.yaml", text, Around { packs: &packs, known: &["generic"], notifiers: &["oncall"] })
}

/// Every complaint about an overlay whose third line on is `rest`.
fn said(rest: &str) -> Vec<String> {
    let problems = match read_one(&format!("# ours\nweir: overlay/v1\n{rest}\n")) {
        Ok(overlay) => overlay.warnings,
        Err(problems) => problems,
    };
    let one = |problem: &crate::config::Problem| {
        let hint = problem.hint.as_deref().unwrap_or_default();
        format!("{}:{}: {} / {hint}", problem.line, problem.column, problem.message)
    };
    problems.iter().map(one).collect()
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
    let cases: &[(&str, &[&str])] = &[
        ("herku: {}", &["3:1: there is no pack `herku` / did you mean `heroku`?"]),
        ("generic: {nonsense: 1}", &[]),
        ("heroku:", &[]),
        (
            "heroku: {}\nheroku: {}",
            &["4:1: pack `heroku` stands twice in the overlay / the first is in line 3"],
        ),
        (
            "heroku: {alert: {}, params: {auth_fail_treshold: 5}}",
            &[
                "3:10: unknown key `alert` in a pack in the overlay / did you mean `alerts`?",
                "3:30: there is no param `auth_fail_treshold` in pack `heroku` / did you mean `auth_fail_threshold`?",
            ],
        ),
        (
            "heroku: {params: {auth_fail_threshold: 0, timeout_share: 1.5, silent_after: soon}}",
            &[
                "3:40: `0` is no value of `auth_fail_threshold` / int, 1 at least",
                "3:58: `1.5` is no value of `timeout_share` / number, 0 to 1",
                "3:77: `soon` is no value of `silent_after` / duration, 1m at least",
            ],
        ),
        (
            "heroku: {alerts: {auth_failur: {mode: of}}}",
            &[
                "3:19: there is no alert `auth_failur` in pack `heroku` / did you mean `auth_failure`?",
                "3:39: `of` is no value of `mode` / did you mean `off`?",
            ],
        ),
        (
            "heroku: {alerts: {auth_failure: {suppress: {for: 0s}}}}",
            &["3:50: `for` is out of range: `0s` / 1s to 366d"],
        ),
        (
            "heroku: {alerts: {auth_failure: {notify: [onkall]}}}",
            &[
                "3:43: warning: the pipeline has no notifier `onkall`; the alert goes to all / did you mean `oncall`?",
            ],
        ),
        (
            "heroku: {disabled: [dashlet.geoo, alrt.auth_failure, list.auth_failure_text, geo]}",
            &[
                "3:21: there is no dashlet `geoo` in pack `heroku` / did you mean `geo`?",
                "3:35: `alrt` is no kind of item / did you mean `alert`?",
                "3:54: a list cannot be left out / it is part of what names it",
                "3:78: `geo` names no item / `dashlet.method_by_ip`: a kind and an id",
            ],
        ),
    ];
    for (rest, expect) in cases {
        assert_eq!(said(rest), *expect, "{rest}");
    }
    for (text, expect) in [
        ("heroku: {}", "o.yaml:1:1: the overlay lacks the key `weir`"),
        ("weir: overlay/v2", "o.yaml:1:7: this version does not read `overlay/v2`"),
        ("[a]", "o.yaml:1:1: the overlay is a mapping, but this is a list"),
        ("weir: [", "o.yaml:"),
    ] {
        let problems = read_one(text).unwrap_err().to_string();
        assert!(problems.starts_with(expect), "{problems}");
    }
    assert_eq!(read_one("").unwrap(), Overlay::default());
    assert_eq!(read_one("# nothing yet\n").unwrap(), Overlay::default());
}

#[test]
fn it_changes_what_it_names_and_nothing_else() {
    let before = built_in("heroku").unwrap();
    let overlay = read_one(
        "weir: overlay/v1\nheroku:\n  params: {auth_fail_threshold: 50}\n  alerts:\n    auth_failure: {mode: on, notify: [oncall], \
         drains: [\"shop-*\"], suppress: {for: 1h}}\n    crash_loop: {mode: shadow}\n  disabled: [dashlet.geo, alert.boot_timeout]\n",
    )
    .unwrap();
    assert_eq!(overlay.params("heroku"), [("auth_fail_threshold".to_string(), "50".to_string())]);
    let edit = &overlay.site("heroku").unwrap().alerts["auth_failure"];
    assert_eq!(edit.notify, Some(vec!["oncall".to_string()]));
    assert_eq!(edit.suppress_for, Some(Duration::from_secs(3600)));
    let mut packs = [before.clone()];
    apply(&mut packs, &overlay);
    let [after] = packs;
    let alert = after.alerts.iter().find(|alert| alert.id == "auth_failure").unwrap();
    assert_eq!(
        (&alert.notify, &alert.drains),
        (&vec!["oncall".to_string()], &Some(vec!["shop-*".to_string()]))
    );
    let (by, length) = alert.suppress.as_ref().unwrap();
    assert_eq!((by.len(), *length), (before.alerts[0].suppress.as_ref().unwrap().0.len(), 3_600_000_000));
    for alert in &before.alerts {
        let mode = match alert.id.as_str() {
            "auth_failure" => Some("on"),
            "crash_loop" => Some("shadow"),
            "boot_timeout" => None,
            _ => Some("off"),
        };
        let now = after.alerts.iter().find(|now| now.id == alert.id).map(|now| now.mode.as_str());
        assert_eq!(now, mode, "{}", alert.id);
    }
    let ids = |pack: &Pack| pack.dashlets.iter().map(|dashlet| dashlet.id.clone()).collect::<Vec<_>>();
    let mut left = ids(&before);
    left.retain(|id| id != "geo");
    assert_eq!((ids(&before).len(), ids(&after)), (left.len() + 1, left));
    assert_eq!(
        (after.objects.len(), after.categories.len()),
        (before.objects.len(), before.categories.len())
    );
}

/// Every key of the tables is read: a value of the wrong shape is complained about.
#[test]
fn every_key_of_the_tables_is_read() {
    let sections: [(&crate::config::schema::Section, &str, &str); 3] = [
        (keys::OVERLAY_PACK, "heroku: {", "}"),
        (keys::OVERLAY_ALERT, "heroku: {alerts: {auth_failure: {", "}}}"),
        (keys::OVERLAY_SUPPRESS, "heroku: {alerts: {auth_failure: {suppress: {", "}}}}"),
    ];
    for (section, open, close) in sections {
        for key in section.all() {
            let wrong =
                if matches!(key.shape, crate::config::schema::Shape::List { .. }) { "{x: 1}" } else { "[x]" };
            assert!(!said(&format!("{open}{}: {wrong}{close}", key.name)).is_empty(), "{}", key.name);
            assert!(said(&format!("{open}{}: {}{close}", key.name, key.example)).is_empty(), "{}", key.name);
        }
    }
    assert_eq!(schema()["additionalProperties"]["properties"]["alerts"]["type"][0], "object");
}
