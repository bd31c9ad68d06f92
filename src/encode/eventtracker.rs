//! The event as the vendor guide's normalized event, wrong labels and all, so that existing consumers keep working.
//!
//! HEROKU.md section 4 says what stands where; what does not apply is left out. The names that do not fit are the
//! guide's: `total_packets_in` is the resident memory in MB.

use super::Written;
use super::json::Object;
use crate::event::{FACILITIES, Severity, Span, Value};
use crate::parse::{heroku, time};
use crate::simd::pen::Pen;
use crate::simd::{Portable, Vector};

/// What stands for a missing PRI.
const PRI_IF_MISSING: u8 = 128;

/// Appends the view of the event and one LF.
#[inline(always)]
pub fn write<V: Vector>(vector: V, event: &Written, out: &mut Vec<u8>) {
    let row = event.event;
    let pri = row.pri.unwrap_or(PRI_IF_MISSING);
    let mut pen = Pen::new(vector, out);
    let object = Object::open(&pen);
    span(event, b",\"application_category\":\"", row.drain, &mut pen);
    span(event, b",\"application_type\":\"", row.process, &mut pen);
    pen.put(b",\"event_category\":0");
    if let Some(computer) = event.computer().filter(|name| !name.is_empty()) {
        text(b",\"event_computer\":\"", computer.as_bytes(), &mut pen);
    }
    let (date, len) = local_time(event);
    pen.text(b",\"event_datetime\":\"", &date, 0..len);
    pen.put(b",\"event_datetime_utc\":");
    let seconds = row.received_us.div_euclid(1_000_000);
    if seconds < 0 {
        pen.byte(b'-');
    }
    pen.number(seconds.unsigned_abs());
    let (whole, part) = event.texts.around(row.frame);
    let end = part.start + without_line_end(&whole[part.clone()]).len();
    pen.text(b",\"event_description\":\"", whole, part.start..end);
    pen.put(b",\"event_id\":");
    pen.number(pri as u64);
    pen.put(b",\"event_log_type\":\"Application\"");
    pen.put(b",\"event_source\":\"SYSLOG ");
    pen.copy(FACILITIES[(pri >> 3) as usize % FACILITIES.len()].as_bytes());
    text(b"\",\"event_type\":\"", event_type(Severity::of_pri(pri)), &mut pen);
    pen.put(b",\"event_user_domain\":\"N/A\"");
    match text_field(event, "user") {
        Some(user) => {
            let (whole, part) = event.texts.around(user);
            pen.text(b",\"event_user_name\":\"", whole, part);
        }
        None => pen.put(b",\"event_user_name\":\"N/A\""),
    }
    span(event, b",\"log_category\":\"", row.source, &mut pen);
    if let Some(dyno) = dyno_as_sent(event).filter(|dyno| !dyno.is_empty()) {
        text(b",\"log_info\":\"", dyno, &mut pen);
    }
    pen.put(b",\"log_source\":\"Heroku\"");
    span(event, b",\"log_type\":\"", row.process, &mut pen);
    pen.put(b",\"source_type\":\"Heroku\"");
    if row.kind == heroku::RUNTIME_MEMORY {
        pen.apart(|pen| memory(event, pen));
    }
    object.close(&mut pen);
    pen.byte(b'\n');
    pen.finish();
}

/// Appends a name and a text of the event, unless the text is empty.
#[inline(always)]
fn span<V: Vector, const N: usize>(event: &Written, name: &[u8; N], text: Span, pen: &mut Pen<V>) {
    if !text.is_empty() {
        let (whole, part) = event.texts.around(text);
        pen.text(name, whole, part);
    }
}

#[inline(always)]
fn text<V: Vector, const N: usize>(name: &[u8; N], text: &[u8], pen: &mut Pen<V>) {
    pen.text(name, text, 0..text.len());
}

/// `M/D/YYYY h:mm:ss AM|PM` of the receive time in the plan's zone, and its length; bytes follow that may be read with it.
fn local_time(event: &Written) -> ([u8; 64], usize) {
    let us = event.event.received_us;
    let civil = time::Civil::of(us.saturating_add(time::offset_us(us, &event.plan.zone)));
    let mut text = [0; 64];
    let mut len = 0;
    let mut put = |n: i64, width: u32, end: &[u8]| {
        for place in (0..4).rev() {
            let power = 10_i64.pow(place);
            if n >= power || place < width {
                text[len] = b'0' + (n / power % 10) as u8;
                len += 1;
            }
        }
        text[len..len + end.len()].copy_from_slice(end);
        len += end.len();
    };
    put(civil.month, 1, b"/");
    put(civil.day, 1, b"/");
    put(civil.year, 4, b" ");
    put((civil.hour + 11) % 12 + 1, 1, b":");
    put(civil.minute, 2, b":");
    put(civil.second, 2, if civil.hour < 12 { b" AM" } else { b" PM" });
    (text, len)
}

fn event_type(severity: Severity) -> &'static [u8] {
    match severity {
        Severity::Emergency | Severity::Alert | Severity::Critical | Severity::Error => b"Error",
        Severity::Warning => b"Warning",
        Severity::Notice | Severity::Info | Severity::Debug => b"Information",
    }
}

fn without_line_end(frame: &[u8]) -> &[u8] {
    match frame.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => frame,
    }
}

/// The value of `dyno=` in a router or runtime metrics line. Metrics lines say the long name there, or the short one
/// where the sender swaps the two, which fields no longer tell.
fn dyno_as_sent<'a>(event: &Written<'a>) -> Option<&'a [u8]> {
    match event.event.kind {
        heroku::ROUTER => text_field(event, "dyno").map(|dyno| event.text(dyno)),
        heroku::RUNTIME_LOAD | heroku::RUNTIME_MEMORY => {
            let mut words = event.text(event.event.message).split(u8::is_ascii_whitespace);
            words.find_map(|word| word.strip_prefix(b"dyno="))
        }
        _ => None,
    }
}

fn memory(event: &Written, pen: &mut Pen<Portable>) {
    let mut put = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            pen.copy(name.as_bytes());
            pen.number(value);
        }
    };
    let field = |name: &str| int_field(event, name);
    put(",\"total_bytes_in\":", field("memory_pgpgin_pages"));
    put(",\"total_bytes_out\":", field("memory_pgpgout_pages"));
    put(",\"total_packets_count\":", field("memory_quota_bytes").map(|bytes| bytes >> 20));
    put(",\"total_packets_in\":", field("memory_rss_bytes").map(|bytes| (bytes >> 20) + (bytes >> 19 & 1)));
}

fn text_field(event: &Written, name: &str) -> Option<Span> {
    match event.field(name)? {
        Value::Text(span) => Some(span),
        _ => None,
    }
}

fn int_field(event: &Written, name: &str) -> Option<u64> {
    match event.field(name)? {
        Value::Int(n) => Some(n),
        Value::Raw(span) => str::from_utf8(event.text(span)).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use serde_json::{Value as Json, json};

    use super::super::tests::{alike, event, origin, plan, run};
    use super::*;
    use crate::batch::Identity;
    use crate::event::{Event, Field, KindId, Name, Span, Texts};
    use crate::plan::Drain;

    fn view(event: &Event, batch: &[u8], fields: &[(&str, Value)], zone: TimeZone) -> Json {
        let mut made = Vec::new();
        let named = |(name, value): &(&str, Value)| {
            made.extend_from_slice(name.as_bytes());
            Field { name: Name::Text(Span::made(made.len() - name.len(), made.len())), value: *value }
        };
        let fields: Vec<Field> = fields.iter().map(named).collect();
        let mut plan = plan();
        plan.zone = zone;
        let run = run(origin(None), Identity::Batch);
        let written = Written {
            plan: &plan,
            run: &run,
            event,
            texts: Texts { batch, made: &made },
            fields: &fields,
            drain: Some(&Drain { computer: Some("shop".into()), labels: Vec::new() }),
            alike: &alike(&plan, &run, None, b"id-"),
            last: 1,
            time: &time::write(event.time_us),
            received: &time::write(event.received_us),
            categories: b"",
        };
        let mut out = Vec::new();
        write(Portable, &written, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_runtime_memory_line() {
        let frame = b"<45>1 T d.1 heroku web.1 - - source=web.1 dyno=heroku.7.x sample#memory_rss=2.5MB\r\n";
        let mut row = event(frame);
        row.received_us = time::rfc3339(b"2021-02-15T19:02:09.9Z").unwrap();
        row.drain = Span::of(8, 11);
        row.source = Span::of(12, 18);
        row.process = Span::of(19, 24);
        row.message = Span::of(29, frame.len() - 2);
        row.kind = heroku::RUNTIME_MEMORY;
        row.pri = Some(45);
        let mb = 1 << 20;
        let fields = [
            ("memory_rss_bytes", Value::Int(5 * mb / 2)),
            ("memory_quota_bytes", Value::Int(512 * mb + mb - 1)),
            ("memory_pgpgin_pages", Value::Int(7)),
            ("memory_pgpgout_pages", Value::Raw(Span::of(1, 3))),
        ];
        let zone = TimeZone::fixed(Offset::from_seconds(19_800).unwrap());
        let expected = json!({
            "application_category": "d.1",
            "application_type": "web.1",
            "event_category": 0,
            "event_computer": "shop",
            "event_datetime": "2/16/2021 12:32:09 AM",
            "event_datetime_utc": 1613415729,
            "event_description":
                "<45>1 T d.1 heroku web.1 - - source=web.1 dyno=heroku.7.x sample#memory_rss=2.5MB",
            "event_id": 45,
            "event_log_type": "Application",
            "event_source": "SYSLOG syslog",
            "event_type": "Information",
            "event_user_domain": "N/A",
            "event_user_name": "N/A",
            "log_category": "heroku",
            "log_info": "heroku.7.x",
            "log_source": "Heroku",
            "log_type": "web.1",
            "source_type": "Heroku",
            "total_bytes_in": 7,
            "total_bytes_out": 45,
            "total_packets_count": 512,
            "total_packets_in": 3
        });
        assert_eq!(view(&row, frame, &fields, zone), expected);
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let mut row = event(b"plain\n");
        row.received_us = -1;
        let expected = json!({
            "event_category": 0,
            "event_computer": "shop",
            "event_datetime": "12/31/1969 11:59:59 PM",
            "event_datetime_utc": -1,
            "event_description": "plain",
            "event_id": 128,
            "event_log_type": "Application",
            "event_source": "SYSLOG local0",
            "event_type": "Error",
            "event_user_domain": "N/A",
            "event_user_name": "N/A",
            "log_source": "Heroku",
            "source_type": "Heroku"
        });
        assert_eq!(view(&row, b"plain\n", &[], TimeZone::UTC), expected);
    }

    #[test]
    fn the_dyno_is_said_as_it_was_sent() {
        let text = b"at=info path=\" dyno=x\" dyno=web.1 user=u";
        let said = |kind: KindId, fields: &[(&str, Value)]| {
            let mut row = event(text);
            row.kind = kind;
            view(&row, text, fields, TimeZone::UTC)["log_info"].clone()
        };
        let dyno = [("dyno", Value::Text(Span::of(28, 33)))];
        assert_eq!(said(heroku::ROUTER, &dyno), json!("web.1"));
        assert_eq!(said(heroku::ROUTER, &[]), Json::Null);
        assert_eq!(said(heroku::RUNTIME_LOAD, &dyno), json!("x\""));
        assert_eq!(said(heroku::APP, &dyno), Json::Null);
    }

    #[test]
    fn user_and_event_type() {
        let text = b"x by user u";
        let mut row = event(text);
        let user = [("user", Value::Text(Span::of(10, 11)))];
        for (pri, event_type, source) in [
            (0, "Error", "SYSLOG kern"),
            (187, "Error", "SYSLOG local7"),
            (108, "Warning", "SYSLOG audit"),
            (85, "Information", "SYSLOG authpriv"),
            (191, "Information", "SYSLOG local7"),
        ] {
            row.pri = Some(pri);
            let view = view(&row, text, &user, TimeZone::UTC);
            let said =
                [&view["event_type"], &view["event_source"], &view["event_user_name"], &view["event_id"]];
            assert_eq!(said, [&json!(event_type), &json!(source), &json!("u"), &json!(pri)]);
        }
    }

    #[test]
    fn dates_have_no_leading_zeros() {
        for (received, shown) in [
            ("2021-01-02T00:00:00Z", "1/2/2021 12:00:00 AM"),
            ("2021-10-12T12:05:09Z", "10/12/2021 12:05:09 PM"),
            ("2021-10-12T13:05:09Z", "10/12/2021 1:05:09 PM"),
            ("0001-10-12T09:59:59Z", "10/12/0001 9:59:59 AM"),
        ] {
            let mut row = event(b"");
            row.received_us = time::rfc3339(received.as_bytes()).unwrap();
            assert_eq!(view(&row, b"", &[], TimeZone::UTC)["event_datetime"], json!(shown));
        }
    }
}
