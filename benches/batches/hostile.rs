//! Lines that are made to cost a lot: what a sender can do to a shard with the bytes it may send.
//!
//! Each kind is measured beside the usual lines; what it may cost at most is told by `benches/run`. Most are as long as a
//! usual line, so that the cost of a byte and of an event can both be compared; the long ones show what grows faster than
//! their length.

use std::sync::Arc;

use weir::batch::{Batch, Identity, ListenerId, Origin};
use weir::limits;

/// One kind of line, always the same bytes.
pub struct Hostile {
    pub name: &'static str,
    frame: fn() -> Vec<u8>,
}

/// All kinds that are measured.
pub const HOSTILE: &[Hostile] = &[
    kind("quotes", || app(&"\"".repeat(USUAL))),
    kind("quotes-long", || app(&"\"".repeat(LONG))),
    kind("blanks", || app(&" ".repeat(USUAL))),
    kind("blanks-long", || app(&" ".repeat(LONG))),
    kind("text-without-blank", || app(&"a".repeat(limits::FRAME_BYTES - 100))),
    kind("backslashes", || app(&"\\".repeat(USUAL))),
    kind("control-bytes", || app(&"\u{1}".repeat(USUAL))),
    kind("capitals", || app(&"ERRO WARNIN FATA ".repeat(14))),
    kind("capitals-long", || app(&"ERRO-WARNIN-FATA-".repeat(LONG / 17))),
    kind("level-keys", || app(&"xlevel=error ".repeat(18))),
    kind("level-keys-long", || app(&"xlevel=error ".repeat(LONG / 13))),
    kind("level-quotes", || app(&format!("level=\"{}", "\\\"".repeat(USUAL / 2)))),
    kind("router-odd-end", || router("/a", "Mozilla/5.0", "tls_version=tls1.3 x")),
    kind("router-odd-address", || router("/a", "Mozilla/5.0", "tls=\u{1b}")),
    kind("router-quotes", || router(&"\\\"".repeat(40), &"\\\"".repeat(40), "tls=true")),
    kind("router-agents", || router(&" agent=\\\"".repeat(12), &" agent=".repeat(12), "tls=true")),
    kind("router-hosts", || router(&"\\\" host=a".repeat(24), "x", "tls=true")),
    kind("router-forwards", || router("/a", &"x\\\" fwd=\\\"1.2.3.4".repeat(14), "tls=true")),
    kind("router-addresses", || forwarded(&"1.2.3.4, ".repeat(24))),
    kind("router-addresses-long", || forwarded(&"1.2.3.4, ".repeat(LONG / 9))),
    kind("router-keys", || head("heroku router", &"dyno= queue= at= ".repeat(13))),
    kind("router-keys-long", || head("heroku router", &"dyno= queue= at= ".repeat(LONG / 17))),
    kind("router-agents-long", || router("/a", &"\\\" agent=\\\"".repeat(LONG / 10), "tls=true")),
    kind("json-deep", || app(&format!("{}1{}", "{\"a\":".repeat(32), "}".repeat(32)))),
    kind("json-brackets", || app(&format!("{{\"a\":{}{}}}", "[".repeat(120), "]".repeat(120)))),
    kind("json-brackets-long", || app(&format!("{{\"a\":{}}}", "[".repeat(LONG)))),
    kind("json-keys", || app(&json(256))),
    kind("json-keys-over", || app(&json(300))),
    kind("json-keys-alike", || app(&format!("{{{}\"b\":1}}", "\"a\":1,".repeat(255)))),
    kind("json-broken-end", || app(&json(40).replace("}", ",}"))),
    kind("json-escapes", || app(&format!("{{\"a\":\"{}\"}}", "\\u00e9".repeat(40)))),
    kind("json-numbers", || app(&format!("{{\"a\":[{}0]}}", "1e9,-0.5,".repeat(26)))),
    kind("json-strings-empty", || app(&format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(80)))),
    kind("ansi", || app(&"\u{1b}[31mE\u{1b}[0m".repeat(24))),
    kind("ansi-unfinished", || app(&"\u{1b}[".repeat(USUAL / 2))),
    kind("ansi-unfinished-long", || app(&format!("\u{1b}[{}", "1;".repeat(LONG / 2)))),
    kind("utf8-broken", || [app(""), vec![0xff; USUAL]].concat()),
    kind("utf8-broken-every-second", || [app(""), b"a\xff".repeat(USUAL / 2)].concat()),
    kind("utf8-four-bytes", || app(&"\u{1f600}".repeat(USUAL / 4))),
    kind("utf8-byte-order-marks", || app(&"\u{feff}".repeat(USUAL / 3))),
    kind("command-by", || {
        head("app api", &format!("Starting process with command `x`{}", " by user a".repeat(22)))
    }),
    kind("command-quotes", || {
        head("heroku web.1", &format!("Starting process with command `{}", "` by ".repeat(45)))
    }),
    kind("command-by-long", || head("app api", &format!("Release{}", " by user a ".repeat(LONG / 11)))),
    kind("postgres-keys", || {
        head("app heroku-postgres", &format!("source=D addon=a {}", "sample#a=1 ".repeat(20)))
    }),
    kind("samples-unknown", || {
        head("heroku web.1", &format!("source=w dyno=heroku.1.x {}", "sample#q=1 ".repeat(20)))
    }),
    kind("samples-alike-long", || {
        head(
            "heroku web.1",
            &format!("source=w dyno=heroku.1.x {}", "sample#load_avg_1m=1 ".repeat(LONG / 21)),
        )
    }),
    kind("year-far", || format!("<13>Feb 29 23:59:60 host app[1]: {}", "a".repeat(USUAL)).into_bytes()),
    kind("year-missing", || format!("<13>Feb 30 23:59:60 host app[1]: {}", "a".repeat(USUAL)).into_bytes()),
    kind("zone-odd", || {
        format!("<13>1 2026-11-22T09:51:24.5375461234567+23:59 host app web.1 - - {}", "a".repeat(USUAL))
            .into_bytes()
    }),
    kind("header-alone", || b"<190>1 2026-11-22T09:51:24.537546+00:00 host app web.1 -".to_vec()),
    kind("data-elements", || data(&"[a b=\"c\"]".repeat(25))),
    kind("data-elements-long", || data(&"[a b=\"c\"]".repeat(LONG / 9))),
    kind("data-params", || data(&format!("[a{}]", " b=\"\"".repeat(44)))),
    kind("data-params-long", || data(&format!("[a{}]", " b=\"\"".repeat(LONG / 5)))),
    kind("data-escapes", || data(&format!("[a b=\"{}\"]", "\\]".repeat(110)))),
    kind("data-unfinished", || data(&format!("[a b=\"{}", "\\]".repeat(110)))),
    kind("wrapped", || wrapped("<45>1 ")),
    kind("wrapped-nearly", || format!("<13>{}", "1 2026-11-22T09:51:24Z x ".repeat(10)).into_bytes()),
    kind("wrapped-nearly-long", || format!("<13>{}", "1 2026-11-22T09:51:24Z x ".repeat(400)).into_bytes()),
    kind("wrapped-blanks", || format!("x{}", " 1".repeat(USUAL / 2)).into_bytes()),
    kind("near-misses", || app(&NEAR_MISSES.repeat(2))),
    kind("near-misses-long", || app(&NEAR_MISSES.repeat(LONG / NEAR_MISSES.len()))),
    kind("tiny", || b"<1>x".to_vec()),
    kind("one-byte", || b"x".to_vec()),
];

/// About the length of a usual message.
const USUAL: usize = 240;
/// What grows with the square of the length shows here.
const LONG: usize = 16 * 1024;
/// Pieces of what the Heroku pack looks for, none of it whole.
const NEAR_MISSES: &str = "authentication failuer password authentication faild login faile invalid credential \
                           unauthorize too many connection max number of clients reache ";
const TIME: &str = "2026-11-22T09:51:24.537546+00:00";

const fn kind(name: &'static str, frame: fn() -> Vec<u8>) -> Hostile {
    Hostile { name, frame }
}

/// A line of `sender`, which is APP-NAME and PROCID.
fn head(sender: &str, message: &str) -> Vec<u8> {
    format!("<190>1 {TIME} host {sender} - {message}").into_bytes()
}

fn app(message: &str) -> Vec<u8> {
    head("app web.1", message)
}

fn router(path: &str, agent: &str, end: &str) -> Vec<u8> {
    head(
        "heroku router",
        &format!(
            "at=info method=GET path=\"{path}\" host=a.example request_id=9 fwd=\"{agent}\" dyno=web.1 connect=1ms \
             service=2ms status=200 bytes=3 protocol=https {end}"
        ),
    )
}

fn forwarded(addresses: &str) -> Vec<u8> {
    router("/a", &format!("{addresses}9.9.9.9"), "tls=true")
}

/// An object of so many names.
fn json(names: usize) -> String {
    let pairs: Vec<String> = (0..names).map(|name| format!("\"k{name:03}\":{name}")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn data(data: &str) -> Vec<u8> {
    format!("<165>1 {TIME} host app web.1 ID {data} x").into_bytes()
}

fn wrapped(before: &str) -> Vec<u8> {
    let token = "d.5a8fd083-0972-4e18-b912-94dc2d099dac";
    format!("<13>Feb 15 15:52:19 relay tag: {before}{TIME} {token} app web.1 - - {}", "a".repeat(USUAL / 2))
        .into_bytes()
}

impl Hostile {
    /// `count` batches, full of this line.
    pub fn batches(&self, count: usize) -> Vec<Batch> {
        let frame = (self.frame)();
        assert!(frame.len() <= limits::FRAME_BYTES, "{} is longer than a frame may be", self.name);
        let origin = Arc::new(Origin::of_peer(ListenerId(0), [10, 1, 0, 0].into(), None));
        let batch = |index: usize| {
            let mut batch = Batch::new(Batch::capacity_for(limits::FRAME_BYTES));
            let counted = [format!("{} ", frame.len()).as_bytes(), &frame].concat();
            while batch.room() >= counted.len() && batch.frames.len() < limits::BATCH_FRAMES {
                let at = batch.append(&counted);
                batch.push_frame(at + counted.len() - frame.len(), frame.len(), false);
            }
            batch.close_run(&origin, Identity::Batch);
            batch.number = index as u64 + 1;
            batch
        };
        (0..count).map(batch).collect()
    }
}
