//! What an alert says: one record, as a notifier is given it and as `replay --alerts` writes it.

use std::sync::Arc;

use crate::parse::time;
use crate::plan::rules::convert::Number;
pub use crate::plan::watch::{About, Mode, Urgency};
use crate::simd::Portable;
use crate::simd::pen::Pen;

/// Where in its life an episode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// True already, while more may come.
    Notice,
    /// All that belongs to it has come.
    Sealed,
    /// It has ended.
    Resolved,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Notice => "notice",
            State::Sealed => "sealed",
            State::Resolved => "resolved",
        }
    }
}

/// The value of a group key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyValue {
    /// Events without it are a group of their own, shown as `-`.
    Absent,
    Text(Box<str>),
    /// Of a numeric field, in decimal.
    Number(Box<str>),
}

impl KeyValue {
    pub fn shown(&self) -> &str {
        match self {
            KeyValue::Absent => "-",
            KeyValue::Text(text) | KeyValue::Number(text) => text,
        }
    }
}

/// One of the events that an alert shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// Microseconds since 1970.
    pub time_us: i64,
    pub id: Box<str>,
    /// Cut at `limits::SHOWN_BYTES`.
    pub message: Box<str>,
}

/// A record. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// 32 hex digits, the same whenever the same events come.
    pub id: Box<str>,
    pub about: Arc<About>,
    pub state: State,
    /// In the order of `group_by`, the drain first.
    pub key: Vec<(Box<str>, KeyValue)>,
    pub value: Number,
    pub from_us: i64,
    pub to_us: i64,
    /// Times of the first and last match in the window, if there is any.
    pub matches_us: Option<(i64, i64)>,
    pub fired_us: i64,
    /// Oldest first, the last 10.
    pub events: Vec<Shown>,
    /// Seen and reported lost in the window.
    pub seen_lost: (u64, u64),
    /// Something that counts was dropped or estimated.
    pub degraded: bool,
    /// Id of the notice that told of it before.
    pub notice: Option<Box<str>>,
    /// Episodes before it that wrote no record.
    pub suppressed: u64,
    /// Id of the episode that holds it back.
    pub inhibited: Option<Box<str>>,
    /// The window began before the alert was watched.
    pub warming: bool,
    /// Empty if the alert has none.
    pub summary: Box<str>,
    /// Of the drain.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

impl Record {
    /// The part of what was sent that was seen, 0 to 1.
    pub fn completeness(&self) -> f64 {
        let (seen, lost) = self.seen_lost;
        if lost == 0 { 1.0 } else { seen as f64 / (seen + lost) as f64 }
    }

    /// The value of a key of the group.
    pub fn key_value(&self, name: &str) -> Option<&KeyValue> {
        self.key.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }

    /// Whether somebody is to be told of it.
    pub fn is_sent(&self) -> bool {
        self.about.mode == Mode::On && self.inhibited.is_none()
    }

    /// Appends it as one JSON object, without a line's end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut json = Object::new(out);
        let about = &*self.about;
        json.text("id", &self.id);
        json.text("alert", &about.alert);
        json.text("title", &about.title);
        json.text("severity", about.severity.name());
        json.raw("threat", about.threat.to_string().as_bytes());
        json.text("mode", about.mode.name());
        json.text("state", self.state.name());
        json.object("key", |key| {
            for (name, value) in &self.key {
                match value {
                    KeyValue::Number(number) => key.raw(name, number.as_bytes()),
                    other => key.text(name, other.shown()),
                }
            }
        });
        let mut number = Vec::new();
        self.value.write(&mut number);
        json.raw("value", &number);
        json.object("window", |window| {
            window.time("from", self.from_us);
            window.time("to", self.to_us);
        });
        match self.matches_us {
            Some((first, last)) => {
                json.time("first", first);
                json.time("last", last);
            }
            None => {
                json.raw("first", b"null");
                json.raw("last", b"null");
            }
        }
        json.time("fired", self.fired_us);
        json.list("events", &self.events, |event, shown| {
            event.text("id", &shown.id);
            event.time("time", shown.time_us);
            event.text("message", &shown.message);
        });
        json.object("pack", |pack| {
            pack.text("id", &about.pack.0);
            pack.text("version", &about.pack.1);
        });
        json.raw("completeness", rounded(self.completeness()).as_bytes());
        json.raw("degraded", if self.degraded { b"true" } else { b"false" });
        if let Some(notice) = &self.notice {
            json.text("notice", notice);
        }
        if self.suppressed > 0 {
            json.raw("suppressed", self.suppressed.to_string().as_bytes());
        }
        if let Some(inhibited) = &self.inhibited {
            json.text("inhibited", inhibited);
        }
        if self.warming {
            json.raw("warming", b"true");
        }
        for (name, text) in [("summary", &self.summary), ("runbook", &about.runbook)] {
            if !text.is_empty() {
                json.text(name, text);
            }
        }
        if !self.labels.is_empty() {
            json.object("labels", |labels| {
                for (name, value) in &self.labels {
                    labels.text(name, value);
                }
            });
        }
        json.end();
    }
}

/// A share with four decimals at most, without needless zeros.
fn rounded(share: f64) -> String {
    let text = format!("{share:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A JSON object on its way.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, first: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !core::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        text(name, self.out);
        self.out.push(b':');
    }

    pub(super) fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        text(value, self.out);
    }

    pub(super) fn time(&mut self, name: &str, time_us: i64) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(&time::write(time_us));
        self.out.push(b'"');
    }

    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object)) {
        self.name(name);
        let mut inner = Object::new(self.out);
        fill(&mut inner);
        inner.end();
    }

    pub(super) fn list<T>(&mut self, name: &str, items: &[T], mut fill: impl FnMut(&mut Object, &T)) {
        self.name(name);
        self.out.push(b'[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            let mut inner = Object::new(self.out);
            fill(&mut inner, item);
            inner.end();
        }
        self.out.push(b']');
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    let mut pen = Pen::new(Portable, out);
    pen.byte(b'"');
    pen.inner_text(text.as_bytes(), 0..text.len());
    pen.byte(b'"');
    pen.finish();
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn about(mode: Mode) -> Arc<About> {
        Arc::new(About {
            alert: "heroku.alert.auth_failure".into(),
            title: "Heroku: \"Authentication\" Failure".into(),
            severity: Urgency::High,
            threat: 70,
            mode,
            pack: ("heroku".into(), "1.0.0".into()),
            runbook: "".into(),
            notify: Vec::new(),
        })
    }

    pub fn record(mode: Mode, state: State) -> Record {
        Record {
            id: "0123456789abcdef0123456789abcdef".into(),
            about: about(mode),
            state,
            key: vec![
                ("drain".into(), KeyValue::Text("d.1".into())),
                ("status".into(), KeyValue::Number("404".into())),
                ("user".into(), KeyValue::Absent),
            ],
            value: Number::of(20),
            from_us: 0,
            to_us: 1_000_000,
            matches_us: Some((1, 2)),
            fired_us: 61_000_000,
            events: vec![Shown { time_us: 1, id: "a-1".into(), message: "x\n\u{1b}y".into() }],
            seen_lost: (3, 1),
            degraded: false,
            notice: None,
            suppressed: 2,
            inhibited: None,
            warming: false,
            summary: "20 failed".into(),
            labels: vec![("env".into(), "production".into())],
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_with_its_keys_in_order() {
        let mut out = Vec::new();
        record(Mode::On, State::Sealed).write(&mut out);
        let expected = concat!(
            r#"{"id":"0123456789abcdef0123456789abcdef","alert":"heroku.alert.auth_failure","#,
            r#""title":"Heroku: \"Authentication\" Failure","severity":"high","threat":70,"mode":"on","state":"sealed","#,
            r#""key":{"drain":"d.1","status":404,"user":"-"},"value":20,"#,
            r#""window":{"from":"1970-01-01T00:00:00.000000Z","to":"1970-01-01T00:00:01.000000Z"},"#,
            r#""first":"1970-01-01T00:00:00.000001Z","last":"1970-01-01T00:00:00.000002Z","#,
            r#""fired":"1970-01-01T00:01:01.000000Z","#,
            r#""events":[{"id":"a-1","time":"1970-01-01T00:00:00.000001Z","message":"x\n\u001by"}],"#,
            r#""pack":{"id":"heroku","version":"1.0.0"},"completeness":0.75,"degraded":false,"suppressed":2,"#,
            r#""summary":"20 failed","labels":{"env":"production"}}"#,
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
