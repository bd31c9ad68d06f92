//! How a record is said: to an Alertmanager, to a chat, in a mail. Values in, bytes out.

use serde_json::{Map, Value, json};

use super::note::Note;
use crate::parse::time;

/// Labels that weir itself gives an alert at an Alertmanager.
const OWN: [&str; 3] = ["alertname", "pack", "severity"];

/// The body of a POST to `/api/v2/alerts`: each note and whether it is over. What goes on ends at `until_us` unless it
/// is said again. Times are microseconds since 1970.
pub fn alerts<'a>(notes: impl Iterator<Item = (&'a Note, bool)>, now_us: i64, until_us: i64) -> Vec<u8> {
    let alerts: Vec<Value> =
        notes.map(|(note, over)| alert(note, if over { now_us } else { until_us }, now_us)).collect();
    serde_json::to_vec(&alerts).expect("texts are JSON")
}

fn alert(note: &Note, ends_us: i64, now_us: i64) -> Value {
    // It refuses what ends before it begins, and the sender's clock is not ours.
    let starts_us = time::rfc3339(note.starts().as_bytes()).unwrap_or(now_us).clamp(0, now_us);
    json!({
        "labels": labels(note),
        "annotations": annotations(note),
        "startsAt": shown(starts_us),
        "endsAt": shown(ends_us),
    })
}

/// What names an alert: the same as long as it fires.
fn labels(note: &Note) -> Map<String, Value> {
    let name = note.alert.rsplit('.').next().unwrap_or_default();
    let mut labels = Map::new();
    for (label, value) in OWN.iter().zip([name, &note.pack.id, &note.severity]) {
        labels.insert(label.to_string(), value.into());
    }
    for (name, value) in &note.key.0 {
        let mut label = label_name(name);
        while labels.contains_key(&label) {
            label.insert_str(0, "key_");
        }
        labels.insert(label, value.as_str().into());
    }
    labels
}

/// A name as Prometheus takes it.
fn label_name(name: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let label: String = name.chars().map(good).collect();
    match label.starts_with(|c: char| c.is_ascii_digit()) || label.is_empty() {
        true => format!("_{label}"),
        false => label,
    }
}

/// What may differ from one time to the next.
fn annotations(note: &Note) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, text: String| {
        if !text.is_empty() {
            all.insert(name.to_string(), text.into());
        }
    };
    put("title", note.title.clone());
    put("summary", note.summary.clone());
    put("runbook", note.runbook.clone());
    put("id", note.id.clone());
    put("threat", note.threat.to_string());
    put("value", note.value.to_string());
    put("window", format!("{}/{}", note.window.from, note.window.to));
    put("first", note.first.clone().unwrap_or_default());
    put("last", note.last.clone().unwrap_or_default());
    put("fired", note.fired.clone());
    put("completeness", note.completeness.to_string());
    if note.degraded {
        put("degraded", "true".into());
    }
    if note.suppressed > 0 {
        put("suppressed", note.suppressed.to_string());
    }
    put("pack_version", note.pack.version.clone());
    put("events", events(note));
    for (name, value) in &note.labels.0 {
        put(&format!("label_{}", label_name(name)), value.clone());
    }
    all
}

/// The body for a chat that takes what Slack takes.
pub fn chat(note: &Note) -> Vec<u8> {
    let head = match note.is_resolved() {
        true => format!("*[resolved] {}*", escaped(&note.title)),
        false => format!("*[{}] {}*", note.severity, escaped(&note.title)),
    };
    let mut lines = vec![head];
    if !note.is_resolved() && !note.summary.is_empty() {
        lines.push(escaped(&note.summary));
    }
    lines.push(escaped(&format!("{} {}", note.alert, note.key.shown())));
    if !note.is_resolved() {
        if let Some(event) = note.events.last() {
            lines.push(format!("> {}", escaped(&one_line(&event.message))));
        }
        if !note.runbook.is_empty() {
            lines.push(format!("Runbook: {}", escaped(&note.runbook)));
        }
    }
    serde_json::to_vec(&json!({ "text": lines.join("\n") })).expect("a text is JSON")
}

/// Escapes what would be a link or a mention: an event's text must page nobody by itself.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Subject and text of a mail.
pub fn mail(note: &Note) -> (String, String) {
    let what = if note.summary.is_empty() { &note.title } else { &note.summary };
    let subject = match note.is_resolved() {
        true => format!("[resolved] {}", one_line(&note.title)),
        false => format!("[{}] {}", note.severity, one_line(what)),
    };
    let mut text = format!("{}\n", note.title);
    if !note.summary.is_empty() && !note.is_resolved() {
        text.push_str(&format!("{}\n", note.summary));
    }
    text.push_str(&format!("\nAlert     {} ({} {})\n", note.alert, note.pack.id, note.pack.version));
    text.push_str(&format!("State     {}\n", note.state.name()));
    text.push_str(&format!("Group     {}\n", note.key.shown()));
    text.push_str(&format!("Value     {}\n", note.value));
    text.push_str(&format!("Window    {} to {}\n", note.window.from, note.window.to));
    text.push_str(&format!("Id        {}\n", note.id));
    if note.degraded {
        text.push_str("Degraded  yes, something was dropped or estimated\n");
    }
    if !note.is_resolved() {
        if !note.runbook.is_empty() {
            text.push_str(&format!("\n{}\n", note.runbook));
        }
        if !note.events.is_empty() {
            text.push_str(&format!("\nLast events:\n{}\n", events(note)));
        }
    }
    (subject, text)
}

fn events(note: &Note) -> String {
    let lines: Vec<String> =
        note.events.iter().map(|event| format!("{} {}", event.time, one_line(&event.message))).collect();
    lines.join("\n")
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(time_us: i64) -> String {
    String::from_utf8_lossy(&time::write(time_us)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::note;
    use super::*;
    use crate::ledger::record::{KeyValue, State};

    const S: i64 = 1_000_000;

    fn one(note: &Note, over: bool) -> Value {
        let body = alerts([(note, over)].into_iter(), 100 * S, 280 * S);
        serde_json::from_slice::<Vec<Value>>(&body).unwrap().remove(0)
    }

    #[test]
    fn what_varies_is_in_no_label() {
        let (a, _) = note(1, State::Notice, |_| {});
        let (b, _) = note(2, State::Resolved, |record| {
            record.summary = "other".into();
            record.suppressed = 9;
            record.degraded = true;
            record.events.clear();
        });
        let labels = json!({"alertname": "auth_failure", "pack": "heroku", "severity": "high",
            "drain": "d.1", "status": "404", "user": "-"});
        assert_eq!(one(&a, false)["labels"], labels);
        assert_eq!(one(&b, true)["labels"], labels);
        assert_eq!(one(&a, false)["annotations"]["summary"], "20 failed");
        assert_eq!(one(&a, false)["annotations"]["label_env"], "production");
        assert_eq!(one(&a, false)["endsAt"], "1970-01-01T00:04:40.000000Z");
        assert_eq!(one(&b, true)["endsAt"], "1970-01-01T00:01:40.000000Z");
    }

    #[test]
    fn keys_hide_no_label_and_times_to_come_begin_now() {
        let (note, _) = note(1, State::Notice, |record| {
            let value = || KeyValue::Text("x".into());
            record.key =
                vec![("severity".into(), value()), ("http.code".into(), value()), ("9".into(), value())];
            record.matches_us = Some((4_000_000_000 * S, 4_000_000_000 * S));
        });
        let alert = one(&note, false);
        let labels = alert["labels"].as_object().unwrap();
        assert_eq!(labels["severity"], "high");
        for name in ["key_severity", "http_code", "_9"] {
            assert_eq!(labels[name], "x", "{labels:?}");
        }
        assert_eq!(alert["startsAt"], "1970-01-01T00:01:40.000000Z");
    }

    #[test]
    fn a_chat_is_told_shortly_and_nothing_in_it_is_a_mention() {
        let (note, _) = note(1, State::Sealed, |record| {
            record.summary = "<!channel> & more".into();
        });
        let body: Value = serde_json::from_slice(&chat(&note)).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(
            text.starts_with("*[high] Heroku: \"Authentication\" Failure*\n&lt;!channel&gt; &amp; more\n"),
            "{text}"
        );
        assert!(text.contains("heroku.alert.auth_failure drain=d.1 status=404 user=-"), "{text}");
        assert!(text.ends_with("> x  y"), "{text}");
        let resolved = Note { state: State::Resolved, ..note };
        let body: Value = serde_json::from_slice(&chat(&resolved)).unwrap();
        assert_eq!(body["text"].as_str().unwrap().lines().count(), 2);
    }

    #[test]
    fn a_mail_has_one_line_as_its_subject() {
        let (note, _) = note(1, State::Sealed, |record| record.summary = "20\r\nBcc: all@example.com".into());
        let (subject, text) = mail(&note);
        assert_eq!(subject, "[high] 20  Bcc: all@example.com");
        assert!(text.contains("\nGroup     drain=d.1 status=404 user=-\n"), "{text}");
        let (subject, _) = mail(&Note { state: State::Resolved, ..note });
        assert_eq!(subject, "[resolved] Heroku: \"Authentication\" Failure");
    }
}
