//! The header of a frame: RFC 5424, RFC 3164, and what Heroku makes of them.
//!
//! Everything found is a span of the frame as sent: nothing is made, replaced or cut, and any bytes are safe. The header
//! alone is read; what the message says is others' business.

use jiff::tz::TimeZone;

use super::{sd, time};
use crate::event::Span;
use crate::limits;

/// What a header says. An empty span is absent, but for `message`, which may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub pri: Option<u8>,
    /// Microseconds since 1970; `None` where there is no time, or none that can be read.
    pub time_us: Option<i64>,
    /// HOSTNAME, where it names a host.
    pub hostname: Span,
    /// APP-NAME or TAG.
    pub source: Span,
    /// PROCID or the tag's pid.
    pub process: Span,
    pub msgid: Span,
    /// Well-formed structured data, `[id p="v"]...`.
    pub sd: Span,
    /// The drain token in HOSTNAME, or in PROCID in the form of 2012.
    pub token: Span,
    /// HOSTNAME is `host` or a drain token, or the form is that of 2012 or of `heroku logs`.
    pub heroku: bool,
    /// All that follows, with its final LF.
    pub message: Span,
}

/// Reads the header of `frame` in `bytes`. `None`: neither RFC 5424 nor RFC 3164.
///
/// `tail` accepts what `heroku logs` prints too. A time without a year is read in `zone`, as the nearest to `near_us`.
pub fn header(bytes: &[u8], frame: Span, tail: bool, near_us: i64, zone: &TimeZone) -> Option<Header> {
    let text = &bytes[frame.start()..frame.end()];
    let reader = Reader { text, frame, at: 0 };
    rfc5424(reader)
        .or_else(|| wrapped(reader))
        .or_else(|| rfc3164(reader, near_us, zone))
        .or_else(|| if tail { tail_line(reader) } else { None })
}

/// A place in a frame.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a [u8],
    frame: Span,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn bytes(&self, span: Span) -> &'a [u8] {
        match span.is_empty() {
            true => b"",
            false => &self.text[span.start() - self.frame.start()..span.end() - self.frame.start()],
        }
    }

    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> Span {
        let span = self.frame.slice(self.at, self.at + len);
        self.at += len;
        span
    }

    /// Whether `prefix` stood here; then it is passed.
    fn pass(&mut self, prefix: &[u8]) -> bool {
        let stands = self.rest().starts_with(prefix);
        if stands {
            self.at += prefix.len();
        }
        stands
    }

    /// A header field: one or more graphic bytes.
    fn field(&mut self) -> Option<Span> {
        let rest = self.rest();
        // Sixteen at a time first: the compiler looks at them together, and tokens and times are long.
        let graphic = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, byte| all & is_graphic(*byte));
        let whole = rest.as_chunks().0.iter().take_while(graphic).count() * 16;
        let len = whole + rest[whole..].iter().take_while(|byte| is_graphic(**byte)).count();
        if len == 0 { None } else { Some(self.take(len)) }
    }

    /// A header field and the blank behind it.
    fn field_and_blank(&mut self) -> Option<Span> {
        let field = self.field()?;
        self.pass(b" ").then_some(field)
    }

    /// Whether nothing is left but the one line end that a message loses.
    fn at_end(&self) -> bool {
        matches!(self.rest(), b"" | b"\n" | b"\r\n")
    }

    /// Passes a blank, or stays at the end; else answers `false`.
    fn blank_or_end(&mut self) -> bool {
        self.pass(b" ") || self.at_end()
    }

    /// `<PRI>`, if it is at most 191.
    fn pri(&mut self) -> Option<u8> {
        let rest = self.rest().strip_prefix(b"<")?;
        let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) || rest.get(digits) != Some(&b'>') {
            return None;
        }
        let pri = rest[..digits].iter().fold(0, |pri, digit| pri * 10 + (digit - b'0') as u16);
        self.at += digits + 2;
        (pri <= 191).then_some(pri as u8)
    }

    /// Everything left.
    fn message(&mut self) -> Span {
        self.take(self.text.len() - self.at)
    }
}

/// Bytes of a header field: RFC 5424 wants ASCII, senders put UTF-8 names there.
fn is_graphic(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// `-` in a header field means absent.
fn unless_nil(reader: &Reader, span: Span) -> Span {
    if reader.bytes(span) == b"-" { Span::NONE } else { span }
}

fn is_token(field: &[u8]) -> bool {
    field.starts_with(b"d.")
}

//= https://www.rfc-editor.org/rfc/rfc5424#section-6
fn rfc5424(mut reader: Reader) -> Option<Header> {
    let pri = if reader.rest().first() == Some(&b'<') { Some(reader.pri()?) } else { None };
    if !reader.pass(b"1 ") {
        return None;
    }
    let time = reader.field_and_blank()?;
    let time = reader.bytes(time);
    // Without PRI only the time tells a header from a text that begins with a 1; behind one it may be unreadable.
    if pri.is_none() && time != b"-" && !time::starts_as_rfc3339(time) {
        return None;
    }
    let hostname = reader.field_and_blank()?;
    let app_name = reader.field_and_blank()?;
    let procid = reader.field_and_blank()?;
    let msgid = reader.field()?;
    if !reader.blank_or_end() {
        return None;
    }
    let mut header = Header {
        pri,
        time_us: time::rfc3339(time),
        source: unless_nil(&reader, app_name),
        process: unless_nil(&reader, procid),
        msgid: unless_nil(&reader, msgid),
        ..named(&reader, hostname)
    };
    // The form of 2012: `heroku web.3 d.<uuid>`, shifted by one.
    if matches!(reader.bytes(hostname), b"heroku" | b"app") && is_token(reader.bytes(procid)) {
        header.hostname = Span::NONE;
        header.source = hostname;
        header.process = unless_nil(&reader, app_name);
        header.token = procid;
        header.heroku = true;
    } else if reader.bytes(hostname) != b"host" {
        // Logplex leaves structured data out over HTTPS, where HOSTNAME is `host`: there `- ` and `[GIN] ` are text.
        header.sd = structured_data(&mut reader);
    }
    header.message = reader.message();
    Some(header)
}

/// A header that says what HOSTNAME says and nothing else.
fn named(reader: &Reader, hostname: Span) -> Header {
    let name = reader.bytes(hostname);
    let token = if is_token(name) { hostname } else { Span::NONE };
    let heroku = name == b"host" || !token.is_empty();
    Header {
        pri: None,
        time_us: None,
        hostname: if heroku { Span::NONE } else { unless_nil(reader, hostname) },
        source: Span::NONE,
        process: Span::NONE,
        msgid: Span::NONE,
        sd: Span::NONE,
        token,
        heroku,
        message: Span::NONE,
    }
}

/// Passes structured data and the blank behind it; what is none stays, as the beginning of the message.
fn structured_data(reader: &mut Reader) -> Span {
    let mut after = *reader;
    let mut data = Span::NONE;
    if !after.pass(b"-") {
        data = after.take(sd::len(after.rest()));
        if data.is_empty() {
            return Span::NONE;
        }
    }
    if !after.blank_or_end() {
        return Span::NONE;
    }
    *reader = after;
    data
}

/// A drain line that another relay put something in front of: only the inner header counts.
fn wrapped(reader: Reader) -> Option<Header> {
    let window = reader.text.len().min(limits::WRAPPED_BYTES);
    (1..window).filter(|at| reader.text[at - 1] == b' ').find_map(|at| {
        let inner = Reader { at, ..reader };
        let mut drain = inner;
        let pri = if drain.rest().first() == Some(&b'<') { drain.pri().is_some() } else { true };
        if !pri || !drain.pass(b"1 ") || !time::starts_as_rfc3339(drain.rest()) {
            return None;
        }
        let time = drain.field_and_blank()?;
        let token = drain.field()?;
        let is_drain = time::rfc3339(drain.bytes(time)).is_some()
            && is_token(drain.bytes(token))
            && drain.at <= limits::WRAPPED_BYTES;
        if is_drain { rfc5424(inner) } else { None }
    })
}

//= https://www.rfc-editor.org/rfc/rfc3164#section-4.1
fn rfc3164(mut reader: Reader, near_us: i64, zone: &TimeZone) -> Option<Header> {
    let pri = reader.pri()?;
    let time_us = if time::starts_as_rfc3339(reader.rest()) {
        let time = reader.field()?;
        time::rfc3339(reader.bytes(time))
    } else {
        let (len, time_us) = time::rfc3164(reader.rest(), near_us, zone)?;
        reader.take(len);
        time_us
    };
    if !reader.pass(b" ") {
        return None;
    }
    let before = reader;
    let hostname = reader.field()?;
    if !reader.blank_or_end() {
        return None;
    }
    let mut header = named(&reader, hostname);
    // Programs on this host often leave HOSTNAME out: `root:` is a tag, while `fe80::` is a host.
    if let Some((b':', name)) = reader.bytes(hostname).split_last()
        && !name.contains(&b':')
    {
        header = named(&reader, Span::NONE);
        reader = before;
    }
    header.pri = Some(pri);
    header.time_us = time_us;
    (header.source, header.process) = tag(&mut reader);
    header.message = reader.message();
    Some(header)
}

/// Passes `TAG:` or `TAG[pid]:` and one blank; what is none stays.
fn tag(reader: &mut Reader) -> (Span, Span) {
    let mut after = *reader;
    let source = after.take(after.rest().iter().take_while(|byte| is_tag(**byte)).count());
    let mut process = Span::NONE;
    let bracket = after.pass(b"[");
    if bracket {
        let pid = |byte: &&u8| is_graphic(**byte) && !matches!(**byte, b'[' | b']');
        process = after.take(after.rest().iter().take_while(pid).count());
        if !after.pass(b"]") {
            return (Span::NONE, Span::NONE);
        }
    }
    // `12:30 h` and `http://` are text: without a pid the colon ends a word.
    let ends = after.pass(b":") && (after.blank_or_end() || bracket);
    if source.is_empty() || !ends {
        return (Span::NONE, Span::NONE);
    }
    *reader = after;
    (unless_nil(reader, source), unless_nil(reader, process))
}

/// Bytes of a tag: those of program names and paths, none that JSON or key=value text has before its first colon.
fn is_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./%@+#~$*!()".contains(&byte) || byte >= 0x80
}

/// `TIME SOURCE[PROC]: text`, as `heroku logs` prints it.
fn tail_line(mut reader: Reader) -> Option<Header> {
    let time = reader.field_and_blank()?;
    let time_us = time::rfc3339(reader.bytes(time))?;
    let (source, process) = tag(&mut reader);
    if source.is_empty() || process.is_empty() {
        return None;
    }
    let message = reader.message();
    Some(Header {
        time_us: Some(time_us),
        source,
        process,
        heroku: true,
        message,
        ..named(&reader, Span::NONE)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";

    /// The header as one line, absent parts left out; the frame lies behind other bytes of its batch.
    fn read_as(frame: &str, tail: bool) -> String {
        let bytes = [b"<1>".as_slice(), frame.as_bytes(), b" tail"].concat();
        let near = time::rfc3339(b"2026-11-22T00:00:00Z").unwrap();
        let span = Span::of(3, 3 + frame.len());
        let Some(header) = header(&bytes, span, tail, near, &TimeZone::UTC) else { return "none".into() };
        let mut shown = Vec::new();
        shown.extend(header.pri.map(|pri| format!("pri={pri}")));
        let time = header.time_us.map(|us| String::from_utf8(time::write(us).to_vec()).unwrap());
        shown.extend(time.map(|time| format!("time={}", time.replace(".000000", ""))));
        let texts = [
            ("hostname", header.hostname),
            ("source", header.source),
            ("process", header.process),
            ("msgid", header.msgid),
            ("sd", header.sd),
            ("token", header.token),
        ];
        for (name, span) in texts.into_iter().filter(|(_, span)| !span.is_empty()) {
            shown.push(format!("{name}={}", String::from_utf8_lossy(&bytes[span.start()..span.end()])));
        }
        if header.heroku {
            shown.push("heroku".into());
        }
        let message = String::from_utf8_lossy(&bytes[header.message.start()..header.message.end()]);
        shown.push(format!("|{message}"));
        shown.join(" ").replace(TOKEN, "TOKEN")
    }

    fn check(frame: &str, expected: &str) {
        let frame = frame.replace("TOKEN", TOKEN);
        assert_eq!(read_as(&frame, false), expected, "{frame:?}");
    }

    #[test]
    fn both_drain_headers() {
        check(
            "<158>1 2024-04-26T16:58:32.943253+00:00 host heroku router - at=info\n",
            "pri=158 time=2024-04-26T16:58:32.943253Z source=heroku process=router heroku |at=info\n",
        );
        check(
            "<190>1 2024-04-26T16:58:32+00:00 TOKEN app web.1 - - - dash\nline\n",
            "pri=190 time=2024-04-26T16:58:32Z source=app process=web.1 token=TOKEN heroku |- dash\nline\n",
        );
        check(
            "1 2021-01-24T09:51:24+00:00 TOKEN heroku web.1 - - State",
            "time=2021-01-24T09:51:24Z source=heroku process=web.1 token=TOKEN heroku |State",
        );
    }

    #[test]
    fn times_and_absent_fields() {
        check(
            "<134>1 2012-12-10T03:00:48Z+00:00 erlang t.d6 c.1 - x",
            "pri=134 hostname=erlang source=t.d6 process=c.1 |x",
        );
        check(
            "<45>1 2OI4-01-09T20:34:44+00:00 host heroku api - x",
            "pri=45 source=heroku process=api heroku |x",
        );
        check("<0>1 - - - - - - x", "pri=0 |x");
        check("<0>1 - - - - - -", "pri=0 |");
        check("1 - h a p m - x", "hostname=h source=a process=p msgid=m |x");
        check("1 2012-12-10T03:00:48Z+00:00 h a p m - x", "hostname=h source=a process=p msgid=m |x");
    }

    #[test]
    fn the_form_of_2012() {
        let time = "2012-11-30T06:45:29+00:00";
        let head = "pri=45 time=2012-11-30T06:45:29Z";
        check(
            &format!("<45>1 {time} heroku web.3 TOKEN - State"),
            &format!("{head} source=heroku process=web.3 token=TOKEN heroku |State"),
        );
        check(
            &format!("<45>1 {time} app web.3 TOKEN - - [a] x"),
            &format!("{head} source=app process=web.3 token=TOKEN heroku |- [a] x"),
        );
        check(
            &format!("<45>1 {time} other web.3 TOKEN - - x"),
            &format!("{head} hostname=other source=web.3 process=TOKEN |x"),
        );
        check(
            &format!("<45>1 {time} heroku web.3 1 - - x"),
            &format!("{head} hostname=heroku source=web.3 process=1 |x"),
        );
    }

    #[test]
    fn hostname_alone_decides_on_structured_data() {
        let with = |hostname: &str, rest: &str| {
            let frame = format!("<13>1 2024-04-26T16:58:32Z {hostname} a p m {rest}");
            read_as(&frame, false).split_once(" msgid=m ").unwrap().1.to_string()
        };
        for (rest, expected) in [
            ("- x", "|x"),
            ("-", "|"),
            ("- ", "|"),
            ("-\n", "|\n"),
            ("-\r\n", "|\r\n"),
            ("-x", "|-x"),
            ("-\nx", "|-\nx"),
            ("-  x", "| x"),
            ("[a] x", "sd=[a] |x"),
            ("[a]", "sd=[a] |"),
            ("[a]\n", "sd=[a] |\n"),
            ("[a]x", "|[a]x"),
            ("[a]\tx", "|[a]\tx"),
            ("[a b=\"c\" d=\"\"][e] x", "sd=[a b=\"c\" d=\"\"][e] |x"),
            ("[a][b] [c] x", "sd=[a][b] |[c] x"),
            (r#"[meta x="a\]b\"c\\"] x"#, r#"sd=[meta x="a\]b\"c\\"] |x"#),
            (r#"[meta x="C:\dir"] x"#, r#"sd=[meta x="C:\dir"] |x"#),
            (r#"[meta x="a]b"] x"#, r#"|[meta x="a]b"] x"#),
            (r#"[meta x="a\"] x"#, r#"|[meta x="a\"] x"#),
            ("[a b=c] x", "|[a b=c] x"),
            ("[a  b=\"c\"] x", "|[a  b=\"c\"] x"),
            ("[a b=\"c\" ] x", "|[a b=\"c\" ] x"),
            ("[] x", "|[] x"),
            ("[a][] x", "|[a][] x"),
            ("[a", "|[a"),
            ("", "|"),
            ("Hi from Go", "|Hi from Go"),
        ] {
            assert_eq!(with("somehost", rest), expected, "{rest:?}");
            assert_eq!(with("host", rest), format!("heroku |{rest}"), "{rest:?}");
        }
        assert!(with(TOKEN, "[GIN] 200").starts_with("sd=[GIN]"));
    }

    #[test]
    fn what_is_not_rfc5424() {
        let fields = "2024-04-26T16:58:32Z host app web.1 - x";
        for frame in [
            format!("<13>2 {fields}"),
            format!("<13>11 {fields}"),
            format!("<192>1 {fields}"),
            format!("<0013>1 {fields}"),
            format!("<>1 {fields}"),
            format!("<-1>1 {fields}"),
            format!(" <13>1 {fields}"),
            format!("2 {fields}"),
            fields.to_string(),
            "<13>1 2024-04-26T16:58:32Z host app web.1".into(),
            "<13>1 2024-04-26T16:58:32Z host  app web.1 - x".into(),
            "<13>1 2024-04-26T16:58:32Z host app\nweb.1 - - x".into(),
            "1 little pig went to market".into(),
            "".into(),
            "at=error code=H12".into(),
        ] {
            check(&frame, "none");
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_a_header_or_none() {
        let frame = r#"<13>1 2024-04-26T16:58:32Z somehost app web.1 - [a b="c"] text"#;
        let message = frame.find("[a").unwrap();
        for len in 0..=frame.len() {
            let read = read_as(&frame[..len], false);
            assert_eq!(read == "none", len < message - 1, "{len}: {read}");
        }
    }

    #[test]
    fn wrapped_drain_lines() {
        let inner = "1 2021-01-24T09:51:24.537546+00:00 TOKEN heroku web.1 - - source=web.1";
        let read =
            "time=2021-01-24T09:51:24.537546Z source=heroku process=web.1 token=TOKEN heroku |source=web.1";
        check(&format!("Feb 15 15:52:19 Heroku Computer:Heroku, Jan 24 01:51:24 52.2.229.255 {inner}"), read);
        check(&format!("Feb 15 15:52:19 relay <45>{inner}"), &format!("pri=45 {read}"));
        check(&format!("<13>Feb 15 15:52:19 relay tag: <45>{inner}"), &format!("pri=45 {read}"));
        check(&format!("<13>Feb 15 15:52:19 relay tag: {inner}"), read);
        check(&format!(" {inner}"), read);
        check(&format!("1 2 3 1 2021-01-24T09:51:24Z x {inner}"), read);
        // The header ends at 512 bytes, or one later.
        let token_end = inner.replace("TOKEN", TOKEN).find(" heroku").unwrap();
        let before = "x".repeat(limits::WRAPPED_BYTES - token_end - 1);
        check(&format!("{before} {inner}"), read);
        check(&format!("x{before} {inner}"), "none");
        for frame in [
            "x 1 2021-01-24T09:51:24Z+00:00 TOKEN heroku web.1 - - x",
            "x 1 2021-01-24T09:51:24Z host heroku web.1 - - x",
            "x 1 2021-01-24T09:51:24Z heroku web.1 TOKEN - x",
            "x <192>1 2021-01-24T09:51:24Z TOKEN heroku web.1 - - x",
            "x 1 2021-01-24T09:51:24Z TOKEN heroku",
            "x:1 2021-01-24T09:51:24Z TOKEN heroku web.1 - - x",
        ] {
            check(frame, "none");
        }
        // An RFC 5424 frame is what it is, whatever its message holds.
        check(
            &format!("<13>1 2024-04-26T16:58:32Z host app web.1 - got {inner}"),
            &format!("pri=13 time=2024-04-26T16:58:32Z source=app process=web.1 heroku |got {inner}"),
        );
    }

    #[test]
    fn rfc3164_messages() {
        let time = "time=2026-10-11T22:14:15Z";
        for (rest, expected) in [
            ("mymachine su: 'su root' failed\n", "hostname=mymachine source=su |'su root' failed\n"),
            ("mymachine sshd[4721]: Failed", "hostname=mymachine source=sshd process=4721 |Failed"),
            ("mymachine postfix/smtpd[1]:x", "hostname=mymachine source=postfix/smtpd process=1 |x"),
            ("mymachine app[web.1]:  two", "hostname=mymachine source=app process=web.1 | two"),
            ("mymachine tag[]: x", "hostname=mymachine source=tag |x"),
            ("mymachine tag:", "hostname=mymachine source=tag |"),
            ("mymachine tag:\n", "hostname=mymachine source=tag |\n"),
            ("mymachine -[-]: x", "hostname=mymachine |x"),
            ("10.0.0.99 Use the BFG!", "hostname=10.0.0.99 |Use the BFG!"),
            ("mymachine kernel: [1.5] up", "hostname=mymachine source=kernel |[1.5] up"),
            ("mymachine [error] x: y", "hostname=mymachine |[error] x: y"),
            ("mymachine {\"a\": 1}", "hostname=mymachine |{\"a\": 1}"),
            ("mymachine 12:30 lunch", "hostname=mymachine |12:30 lunch"),
            ("mymachine http://x/", "hostname=mymachine |http://x/"),
            ("mymachine tag[1 2]: x", "hostname=mymachine |tag[1 2]: x"),
            ("mymachine : x", "hostname=mymachine |: x"),
            ("mymachine", "hostname=mymachine |"),
            ("mymachine ", "hostname=mymachine |"),
            ("- tag: x", "source=tag |x"),
            ("host tag: x", "source=tag heroku |x"),
            ("TOKEN app[web.1]: x", "source=app process=web.1 token=TOKEN heroku |x"),
            ("root: x", "source=root |x"),
            ("cron[12]: x", "source=cron process=12 |x"),
            ("fe80:: tag: x", "hostname=fe80:: source=tag |x"),
        ] {
            check(&format!("<34>Oct 11 22:14:15 {rest}"), &format!("pri=34 {time} {expected}"));
        }
        check("<34>Oct  1 22:14:15 h t: x", "pri=34 time=2026-10-01T22:14:15Z hostname=h source=t |x");
        check("<34>Feb 30 22:14:15 h t: x", "pri=34 hostname=h source=t |x");
        check(
            "<34>2026-10-11T22:14:15.5+02:00 h t[1]: x",
            "pri=34 time=2026-10-11T20:14:15.500000Z hostname=h source=t process=1 |x",
        );
        check("<34>2026-10-11T22:14:15Z+02:00 h t: x", "pri=34 hostname=h source=t |x");
        for frame in [
            "Oct 11 22:14:15 mymachine su: x",
            "<192>Oct 11 22:14:15 mymachine su: x",
            "<34>Oct 11 22:14:15",
            "<34>Oct 11 22:14:15 ",
            "<34>Oct 11 22:14:15mymachine su: x",
            "<34>1990 Oct 22 10:52:01 TZ-6 h 10.1.2.3 sched[0]: x",
            "<34>su: x",
            "<34>- h su: x",
        ] {
            check(frame, "none");
        }
    }

    #[test]
    fn what_heroku_logs_prints_is_read_where_it_is_asked_for() {
        let line = "2010-09-16T15:13:46.677020+00:00 app[web.1]: Processing [x]: y\n";
        assert_eq!(read_as(line, false), "none");
        let read = "time=2010-09-16T15:13:46.677020Z source=app process=web.1 heroku |Processing [x]: y\n";
        assert_eq!(read_as(line, true), read);
        assert_eq!(
            read_as("2010-09-16T15:13:46Z heroku[router]: ", true),
            "time=2010-09-16T15:13:46Z source=heroku process=router heroku |"
        );
        for line in [
            "2010-09-16T15:13:46Z app: x",
            "2010-09-16T15:13:46 app[web.1]: x",
            "x app[web.1]: x",
            "app[web.1]: x",
        ] {
            assert_eq!(read_as(line, true), "none", "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_give_spans_of_the_frame(
            pieces in proptest::collection::vec(prop_oneof![
                Just(b"<13>1 2024-04-26T16:58:32Z ".to_vec()),
                Just(b"<13>Oct 11 22:14:15 ".to_vec()),
                Just(TOKEN.as_bytes().to_vec()),
                Just(b"host app web.1 - ".to_vec()),
                Just(b"[a b=\"c\"]".to_vec()),
                "[ \n:\\[\\]=\"\\\\<>0-9a-]{0,6}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..8),
            ], 0..10),
            tail: bool,
        ) {
            let frame = pieces.concat();
            let bytes = [b"ab".as_slice(), &frame].concat();
            let whole = Span::of(2, bytes.len());
            if let Some(read) = header(&bytes, whole, tail, 0, &TimeZone::UTC) {
                for span in [read.hostname, read.source, read.process, read.msgid, read.sd, read.token] {
                    prop_assert!(span.is_empty() || span.start() >= 2 && span.end() <= read.message.start());
                }
                prop_assert_eq!(read.message.end(), bytes.len());
                prop_assert_eq!(sd::len(&bytes[read.sd.start()..read.sd.end()]), read.sd.len());
            }
        }
    }
}
