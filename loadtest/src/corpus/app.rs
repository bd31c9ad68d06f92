//! What applications print: text of many frameworks, JSON lines, failures.
//!
//! A severity other than `info` here is the level that the application itself wrote into the text.

use super::{App, Class, METHODS, Template, UUID_SLOT, Value, address, path};
use crate::rng::Rng;

pub(super) const NOUNS: &[&str] = &[
    "user", "order", "payment", "cache", "queue", "worker", "session", "email", "report", "import", "export",
    "webhook", "invoice", "product", "search", "profile", "account", "shipment", "refund", "upload",
];
pub(super) const PEOPLE: &[&str] = &[
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "olivia",
    "peggy", "rupert", "sybil", "trent", "victor", "walter", "zoe",
];
const VERBS: &[&str] = &[
    "processed",
    "created",
    "updated",
    "deleted",
    "enqueued",
    "finished",
    "skipped",
    "loaded",
    "sent",
    "validated",
];
const CONTROLLERS: &[&str] = &[
    "UsersController#show",
    "OrdersController#index",
    "SessionsController#create",
    "Api::V1::EventsController#index",
    "CartController#update",
];

fn line(app: &App, rng: &mut Rng, class: Class, text: String) -> Template {
    let number = rng.below(app.web + 1);
    let process = if number == 0 { "worker.1".to_string() } else { format!("web.{number}") };
    Template::new(class, 190, "app", &process, "app", text)
}

pub(super) fn text(app: &App, rng: &mut Rng) -> Template {
    let (noun, verb, ms) = (rng.pick(NOUNS), rng.pick(VERBS), rng.below(900));
    let mut severity = "info";
    let mut text = match rng.below(20) {
        0 => format!(
            "Started {} \"{}\" for {} at 2026-11-22 09:51:24 +0000",
            rng.pick(METHODS),
            path(rng),
            address(rng)
        ),
        1 => format!("Processing by {} as HTML", rng.pick(CONTROLLERS)),
        2 => format!("Completed 200 OK in {ms}ms (Views: {}.4ms | ActiveRecord: {}.1ms)", ms / 2, ms / 3),
        3 => format!("  Rendered {noun}s/show.html.erb within layouts/application (Duration: {ms}.2ms)"),
        4 => format!(
            "  Parameters: {{\"utf8\"=>\"\u{2713}\", \"token\"=>\"[FILTERED]\", \"id\"=>\"{}\"}}",
            rng.below(99_999)
        ),
        5 | 19 => {
            let (ip, method, path) = (address(rng), rng.pick(METHODS), path(rng));
            format!(
                "{ip} - - [22/Nov/2026:09:51:24 +0000] \"{method} {path} HTTP/1.1\" 200 {} \"https://{}/\" \
                 \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36\"",
                rng.below(90_000),
                app.host
            )
        }
        6 | 18 => format!(
            "SELECT \"{noun}s\".\"id\", \"{noun}s\".\"state\", \"{noun}s\".\"updated_at\" FROM \"{noun}s\" INNER JOIN \
             \"accounts\" ON \"accounts\".\"id\" = \"{noun}s\".\"account_id\" WHERE \"{noun}s\".\"id\" = {} AND \
             \"accounts\".\"deleted_at\" IS NULL ORDER BY \"{noun}s\".\"updated_at\" DESC LIMIT 25 ({ms}.3ms)",
            rng.below(99_999)
        ),
        7 => format!("INFO 2026-11-22 09:51:24,{ms:03} django.{noun} {verb} for {}", rng.pick(PEOPLE)),
        8 => {
            severity = "debug";
            format!("DEBUG worker: {noun} {verb} in {ms}ms")
        }
        9 => {
            let (level, named) = rng.pick(&[("info", "info"), ("warn", "warning"), ("debug", "debug")]);
            severity = named;
            format!(
                "ts=2026-11-22T09:51:24Z level={level} msg=\"{noun} {verb}\" request_id={UUID_SLOT} took={ms}ms"
            )
        }
        10 => {
            severity = "warning";
            format!("W, [2026-11-22T09:51:24.{ms:03}456 #4]  WARN -- : [{UUID_SLOT}] {noun} {verb} late")
        }
        11 => format!(
            "\u{dc}berweisung f\u{fc}r Fran\u{e7}ois best\u{e4}tigt: {ms},50 \u{20ac} \u{2013} \u{6ce8}\u{6587} #{ms}"
        ),
        12 => format!("{noun} {verb}"),
        13 => parameters(rng),
        14 => format!("Cache hit: {noun}/{}", rng.below(99_999)),
        16 => format!("- {noun} {verb}: {} rows", rng.below(500)),
        17 => format!("\t{noun}.{verb} (app/models/{noun}.rb:{})", 1 + rng.below(400)),
        15 => format!("[{noun}] job {} {verb} in {ms}ms, 0 left", rng.below(1_000_000)),
        _ => format!("GC pause {}.{}ms", rng.below(30), rng.below(10)),
    };
    if rng.one_in(8) && !text.contains(UUID_SLOT) && severity == "info" {
        text = format!("[{UUID_SLOT}] {text}");
    }
    line(app, rng, Class::Text, text).severity(severity)
}

/// One of the long lines: what a form sent.
fn parameters(rng: &mut Rng) -> String {
    let rows: Vec<String> = (0..4 + rng.below(12))
        .map(|row| {
            format!("\"{row}\"=>{{\"name\"=>\"{}\", \"count\"=>\"{}\"}}", rng.pick(NOUNS), rng.below(500))
        })
        .collect();
    format!("  Parameters: {{\"order\"=>{{\"rows\"=>{{{}}}, \"note\"=>\"[FILTERED]\"}}}}", rows.join(", "))
}

pub(super) fn colour(app: &App, rng: &mut Rng) -> Template {
    let (noun, ms) = (rng.pick(NOUNS), rng.below(900));
    let (text, severity) = match rng.below(4) {
        0 => (
            format!(
                "  \u{1b}[1m\u{1b}[36mUser Load ({ms}.5ms)\u{1b}[0m  \u{1b}[1m\u{1b}[34mSELECT \"{noun}s\".* FROM \"{noun}s\" \
                 WHERE \"{noun}s\".\"id\" = $1 LIMIT $2\u{1b}[0m  [[\"id\", {}], [\"LIMIT\", 1]]",
                rng.below(99_999)
            ),
            "info",
        ),
        1 => (format!("\u{1b}[32minfo\u{1b}[39m: {noun} ready on port {}", 3000 + ms), "info"),
        2 => (format!("\u{1b}[33mWARN\u{1b}[0m  slow {noun} query took {ms}ms"), "warning"),
        _ => (format!("\u{1b}[2m[{ms}]\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m {noun} is gone"), "error"),
    };
    line(app, rng, Class::Colour, text).severity(severity)
}

pub(super) fn empty(app: &App, rng: &mut Rng) -> Template {
    line(app, rng, Class::Empty, String::new())
}

pub(super) fn lines(app: &App, rng: &mut Rng) -> Template {
    let noun = rng.pick(NOUNS);
    let number = rng.below(400);
    let text = format!(
        "[{UUID_SLOT}] undefined method `name' for nil in {noun}:\n\napp/models/{noun}.rb:{number}:in `show'\n\
         app/controllers/{noun}s_controller.rb:{}:in `index'",
        number + 7
    );
    line(app, rng, Class::Lines, text)
}

pub(super) fn json(app: &App, rng: &mut Rng) -> Template {
    let (noun, verb, who, n) = (rng.pick(NOUNS), rng.pick(VERBS), rng.pick(PEOPLE), rng.below(900));
    let digits = |name: &str, text: String| (name.to_string(), Value::Digits(text));
    let words = |name: &str, text: &str| (name.to_string(), Value::Text(text.to_string()));
    let (text, severity, fields) = match rng.below(5) {
        0 => {
            let (level, named) = rng.pick(&[
                ("info", "info"),
                ("info", "info"),
                ("warn", "warning"),
                ("debug", "debug"),
                ("error", "error"),
            ]);
            let text = format!(
                "{{\"level\":\"{level}\",\"time\":\"2026-11-22T09:51:24.{n:03}Z\",\"msg\":\"{noun} {verb}\",\
                 \"user\":\"{who}\",\"duration_ms\":{n}.50,\"request_id\":\"{UUID_SLOT}\"}}"
            );
            let fields = vec![
                words("level", level),
                words("time", &format!("2026-11-22T09:51:24.{n:03}Z")),
                words("msg", &format!("{noun} {verb}")),
                words("user", who),
                digits("duration_ms", format!("{n}.50")),
                words("request_id", UUID_SLOT),
            ];
            (text, named, fields)
        }
        1 => {
            let (level, named) =
                rng.pick(&[(30, "info"), (30, "info"), (20, "debug"), (40, "warning"), (50, "error")]);
            let path = path(rng);
            let text = format!(
                "{{\"level\":{level},\"pid\":4,\"hostname\":\"{}\",\"req\":{{\"id\":\"{UUID_SLOT}\",\"method\":\"GET\",\
                 \"url\":\"{path}\",\"headers\":{{\"user-agent\":\"curl/8.5\"}}}},\"res\":{{\"statusCode\":200}},\
                 \"responseTime\":{n},\"msg\":\"request completed\"}}",
                app.host
            );
            let fields = vec![
                digits("level", level.to_string()),
                digits("pid", "4".to_string()),
                words("hostname", &app.host),
                words("req.id", UUID_SLOT),
                words("req.method", "GET"),
                words("req.url", &path),
                words("req.headers.user-agent", "curl/8.5"),
                digits("res.statusCode", "200".to_string()),
                digits("responseTime", n.to_string()),
                words("msg", "request completed"),
            ];
            (text, named, fields)
        }
        2 => {
            let text = format!(
                "{{\"severity\":\"INFO\",\"ts\":1795341084.{n:03},\"logger\":\"{noun}.{verb}\",\"message\":\"{verb} for \
                 \\\"{who}\\\"\",\"tags\":[\"{noun}\",\"batch\",null,{n}],\"count\":{n},\"error\":null,\"note\":\"\"}}"
            );
            let fields = vec![
                words("severity", "INFO"),
                digits("ts", format!("1795341084.{n:03}")),
                words("logger", &format!("{noun}.{verb}")),
                words("message", &format!("{verb} for \"{who}\"")),
                ("tags".to_string(), Value::Json(format!("[\"{noun}\",\"batch\",null,{n}]"))),
                digits("count", n.to_string()),
            ];
            (text, "info", fields)
        }
        3 => {
            let path = path(rng);
            let text = format!(
                "{{\"method\":\"GET\",\"path\":\"{path}\",\"format\":\"json\",\"controller\":\"{noun}\",\"action\":\"index\",\
                 \"status\":200,\"duration\":{n}.07,\"view\":{n}.1,\"db\":0.20,\"request_id\":\"{UUID_SLOT}\"}}"
            );
            let fields = vec![
                words("method", "GET"),
                words("path", &path),
                words("format", "json"),
                words("controller", noun),
                words("action", "index"),
                digits("status", "200".to_string()),
                digits("duration", format!("{n}.07")),
                digits("view", format!("{n}.1")),
                digits("db", "0.20".to_string()),
                words("request_id", UUID_SLOT),
            ];
            (text, "info", fields)
        }
        _ => {
            let text = format!(
                " {{\"lvl\": \"Warning\", \"text\": \"caf\\u00e9 \\u2013 na\u{ef}ve\\n{noun}\", \"ok\": true, \
                 \"ratio\": 1e-3, \"big\": 1234567890123456{n:03}, \"deep\": {{\"a\": {{\"b\": [], \"c\": false}}}}}}"
            );
            let fields = vec![
                words("lvl", "Warning"),
                words("text", &format!("caf\u{e9} \u{2013} na\u{ef}ve\n{noun}")),
                ("ok".to_string(), Value::Bool(true)),
                digits("ratio", "1e-3".to_string()),
                digits("big", format!("1234567890123456{n:03}")),
                ("deep.a.b".to_string(), Value::Json("[]".to_string())),
                ("deep.a.c".to_string(), Value::Bool(false)),
            ];
            (text, "warning", fields)
        }
    };
    let mut made = line(app, rng, Class::Json, text).severity(severity);
    made.fields = fields;
    made
}

pub(super) fn sign_in_failure(app: &App, rng: &mut Rng) -> Template {
    let who = rng.pick(PEOPLE);
    let (text, severity) = match rng.below(5) {
        0 => (
            format!("[{UUID_SLOT}] Authentication failure for user {who}@example.com from {}", address(rng)),
            "info",
        ),
        1 => (format!("WARN  login failed: invalid password for {who} ip={}", address(rng)), "warning"),
        2 => (
            format!("Completed 401 Unauthorized in {}ms (ActiveRecord: 0.{}ms)", rng.below(90), rng.below(9)),
            "info",
        ),
        3 => (format!("level=error msg=\"jwt expired\" user={who} request_id={UUID_SLOT}"), "error"),
        _ => (format!("ERROR access denied for {who}@example.com: too many login attempts"), "error"),
    };
    line(app, rng, Class::SignInFailure, text).severity(severity)
}

pub(super) fn error(app: &App, rng: &mut Rng) -> Template {
    let noun = rng.pick(NOUNS);
    let (text, severity) = match rng.below(4) {
        0 => (
            format!(
                "E, [2026-11-22T09:51:24.123456 #4] ERROR -- : [{UUID_SLOT}] PG::ConnectionBad: connection refused"
            ),
            "error",
        ),
        1 => (format!("FATAL {noun} could not start: Errno::ECONNREFUSED"), "critical"),
        2 => (
            format!(
                "CRITICAL 2026-11-22 django.security.DisallowedHost Invalid HTTP_HOST header: '{}'.",
                address(rng)
            ),
            "critical",
        ),
        _ => (format!("npm ERR! missing script: {noun}"), "error"),
    };
    line(app, rng, Class::AppError, text).severity(severity)
}
