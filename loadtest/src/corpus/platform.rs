//! What the platform and its add-ons log: requests, metrics, dynos, the API, databases.

use super::{App, Class, METHODS, Template, UUID_SLOT, Value, address, app::PEOPLE, path};
use crate::rng::Rng;

/// Bytes in a megabyte of runtime metrics and a kilobyte of add-on metrics.
const MB: u64 = 1 << 20;
const KB: u64 = 1 << 10;

/// Service times are long-tailed: mostly under 50 ms, now and then seconds.
fn service_ms(rng: &mut Rng) -> u64 {
    let scale = rng.below(12);
    1 + rng.below(8 << scale)
}

fn forwarded(rng: &mut Rng) -> (String, Vec<String>) {
    let mut list = vec![address(rng)];
    if rng.one_in(10) {
        list.push(address(rng));
    }
    let separator = if rng.one_in(4) { ", " } else { "," };
    (list.join(separator), list)
}

pub(super) fn router(app: &App, rng: &mut Rng) -> Template {
    let (method, path) = (rng.pick(METHODS), path(rng));
    let (fwd, list) = forwarded(rng);
    let dyno = format!("web.{}", 1 + rng.below(app.web));
    let (connect, service) = (rng.below(3), service_ms(rng));
    let status = match rng.below(100) {
        0..=71 => 200,
        72..=79 => 304,
        80..=86 => 302,
        87..=90 => 404,
        91..=93 => 201,
        94 => 401,
        95 => 422,
        96 => 403,
        97 => 301,
        98 => 500,
        _ => 204,
    };
    let bytes = if matches!(status, 304 | 204) { 0 } else { rng.below(300_000) >> rng.below(9) };
    let newer = rng.one_in(4);
    let protocol = if newer { "http2.0" } else { rng.pick(&["https", "https", "https", "http"]) };
    let mut text = format!(
        "at=info method={method} path=\"{path}\" host={} request_id={UUID_SLOT} fwd=\"{fwd}\" dyno={dyno} \
         connect={connect}ms service={service}ms status={status} bytes={bytes} protocol={protocol}",
        app.host
    );
    if newer {
        text.push_str(" tls=true tls_version=tls1.3");
    }
    let mut made = Template::new(Class::Router, 158, "heroku", "router", "router", text)
        .text_field("at", "info")
        .text_field("method", method)
        .text_field("path", path)
        .text_field("host", app.host.as_str())
        .text_field("request_id", UUID_SLOT)
        .text_field("dyno", dyno)
        .number("connect_ms", connect)
        .number("service_ms", service)
        .number("status", status)
        .number("bytes", bytes)
        .text_field("protocol", protocol)
        .text_field("client_ip", list[list.len() - 1].as_str());
    made.fields.push(("fwd".to_string(), Value::Addresses(list)));
    if newer {
        made.fields.push(("tls".to_string(), Value::Bool(true)));
        made = made.text_field("tls_version", "tls1.3");
    }
    made
}

pub(super) fn router_error(app: &App, rng: &mut Rng) -> Template {
    let (code, desc, at, status, reached) = rng.pick(&[
        ("H12", "Request timeout", "error", "503", true),
        ("H10", "App crashed", "error", "503", false),
        ("H13", "Connection closed without response", "error", "503", true),
        ("H14", "No web processes running", "error", "503", false),
        ("H18", "Server Request Interrupted", "error", "200", true),
        ("H27", "Client Request Interrupted", "warning", "499", true),
        ("H28", "Client Connection Idle", "warning", "499", true),
    ]);
    let severity = if at == "warning" { "warning" } else { "error" };
    let (method, path) = (rng.pick(METHODS), path(rng));
    let (fwd, list) = forwarded(rng);
    let sock = if code == "H18" { "sock=backend " } else { "" };
    let start = format!(
        "{sock}at={at} code={code} desc=\"{desc}\" method={method} path=\"{path}\" host={} \
         request_id={UUID_SLOT} fwd=\"{fwd}\" ",
        app.host
    );
    let (dyno, connect, service) = (1 + rng.below(app.web), rng.below(3), service_ms(rng));
    let end = if reached {
        format!(
            "dyno=web.{dyno} connect={connect}ms service={service}ms status={status} bytes=0 protocol=https"
        )
    } else {
        format!("dyno= connect= service= status={status} bytes= protocol=https")
    };
    let mut made = Template::new(Class::RouterError, 158, "heroku", "router", "router", start + &end)
        .severity(severity)
        .text_field("at", at)
        .text_field("code", code)
        .text_field("desc", desc)
        .text_field("method", method)
        .text_field("path", path)
        .text_field("host", app.host.as_str())
        .text_field("request_id", UUID_SLOT)
        .number("status", status)
        .text_field("protocol", "https")
        .text_field("client_ip", list[list.len() - 1].as_str());
    made.fields.push(("fwd".to_string(), Value::Addresses(list)));
    if code == "H18" {
        made = made.text_field("sock", "backend");
    }
    if reached {
        made = made
            .text_field("dyno", format!("web.{dyno}"))
            .number("connect_ms", connect)
            .number("service_ms", service)
            .number("bytes", 0);
    }
    made
}

/// A dyno of the application and its long id.
fn any_dyno<'a>(app: &'a App, rng: &mut Rng) -> (String, &'a str) {
    let number = rng.below(app.web + 1);
    let name = if number == 0 { "worker.1".to_string() } else { format!("web.{number}") };
    (name, &app.dyno_ids[number as usize])
}

/// Hundredths as the sender writes them: `7` is `0.07`.
fn hundredths(n: u64) -> String {
    format!("{}.{:02}", n / 100, n % 100)
}

pub(super) fn load(app: &App, rng: &mut Rng) -> Template {
    let (dyno, id) = any_dyno(app, rng);
    let now = rng.below(300) >> rng.below(3);
    let mut text = format!("source={dyno} dyno={id}");
    let mut fields = Vec::new();
    let shown = if rng.one_in(5) { 1 + rng.below(2) } else { 3 };
    for (span, value) in
        [("1m", now), ("5m", now * 8 / 10), ("15m", now * 7 / 10)].into_iter().take(shown as usize)
    {
        text.push_str(&format!(" sample#load_avg_{span}={}", hundredths(value)));
        fields.push((format!("load_avg_{span}"), Value::Number(hundredths(value))));
    }
    let mut made = Template::new(Class::Load, 45, "heroku", &dyno, "runtime_load", text);
    made.fields = fields;
    made.text_field("dyno", dyno).text_field("dyno_id", id)
}

pub(super) fn memory(app: &App, rng: &mut Rng) -> Template {
    let (dyno, id) = any_dyno(app, rng);
    let (rss, cache) = (10_000 + rng.below(90_000), rng.below(3_000));
    let swap = if rng.one_in(4) { rng.below(2_000) } else { 0 };
    let (pages_in, pages_out) = (rng.below(4_000_000), rng.below(3_000_000));
    let mut made = Template::new(Class::Memory, 45, "heroku", &dyno, "runtime_memory", String::new());
    let mut text = format!("source={dyno} dyno={id}");
    let megabytes = [("total", rss + cache + swap), ("rss", rss), ("cache", cache), ("swap", swap)];
    let quota = [("quota", 102_400)];
    let put_mb = |text: &mut String, made: &mut Template, list: &[(&str, u64)]| {
        for &(name, value) in list {
            text.push_str(&format!(" sample#memory_{name}={}MB", hundredths(value)));
            // No multiple of a hundredth of a megabyte ends in half a byte, so there is one way to round.
            let bytes = (value * MB + 50) / 100;
            made.fields.push((format!("memory_{name}_bytes"), Value::Number(bytes.to_string())));
        }
    };
    put_mb(&mut text, &mut made, &megabytes);
    text.push_str(&format!(" sample#memory_pgpgin={pages_in}pages sample#memory_pgpgout={pages_out}pages"));
    if !rng.one_in(6) {
        put_mb(&mut text, &mut made, &quota);
    }
    made.text = text;
    made.number("memory_pgpgin_pages", pages_in)
        .number("memory_pgpgout_pages", pages_out)
        .text_field("dyno", dyno)
        .text_field("dyno_id", id)
}

/// A metrics line of an add-on: the key as sent, the value as sent, the field's name, the field's number.
fn addon(class: Class, process: &str, start: String, samples: &[(&str, String, &str, String)]) -> Template {
    let mut made = Template::new(class, 134, "app", process, "addon_metric", start);
    for (key, sent, name, value) in samples {
        made.text.push_str(&format!(" sample#{key}={sent}"));
        made = made.number(name, value);
    }
    made
}

/// A sample in kilobytes.
fn kb(key: &'static str, name: &'static str, value: u64) -> (&'static str, String, &'static str, String) {
    (key, format!("{value}kB"), name, (value * KB).to_string())
}

/// A sample without a unit.
fn bare(
    key: &'static str,
    name: &'static str,
    value: String,
) -> (&'static str, String, &'static str, String) {
    (key, value.clone(), name, value)
}

pub(super) fn postgres(app: &App, rng: &mut Rng) -> Template {
    let size = rng.below(90_000_000_000);
    let samples = [
        bare("current_transaction", "current_transaction", rng.below(900_000_000).to_string()),
        ("db_size", format!("{size}bytes"), "db_size_bytes", size.to_string()),
        bare("tables", "tables", (10 + rng.below(90)).to_string()),
        bare("active-connections", "active_connections", rng.below(120).to_string()),
        bare("waiting-connections", "waiting_connections", rng.below(3).to_string()),
        bare("index-cache-hit-rate", "index_cache_hit_rate", format!("0.99{:03}", rng.below(1000))),
        bare("table-cache-hit-rate", "table_cache_hit_rate", format!("0.98{:03}", rng.below(1000))),
        bare("load-avg-1m", "load_avg_1m", format!("0.{:03}", rng.below(1000))),
        bare("load-avg-5m", "load_avg_5m", format!("0.{}", rng.below(10))),
        bare("load-avg-15m", "load_avg_15m", format!("0.{:02}", rng.below(100))),
        bare("read-iops", "read_iops", rng.below(40).to_string()),
        bare("write-iops", "write_iops", format!("{}.{:03}", rng.below(60), rng.below(1000))),
        kb("memory-total", "memory_total_bytes", 15_666_128),
        kb("memory-free", "memory_free_bytes", rng.below(2_000_000)),
        kb("memory-cached", "memory_cached_bytes", 9_000_000 + rng.below(3_000_000)),
        kb("memory-postgres", "memory_postgres_bytes", rng.below(900_000)),
    ];
    let start = format!("source=DATABASE addon={}", app.addon);
    addon(Class::Postgres, "heroku-postgres", start, &samples)
        .text_field("source", "DATABASE")
        .text_field("addon", app.addon.as_str())
}

pub(super) fn redis(rng: &mut Rng) -> Template {
    let used = 200_000 + rng.below(90_000_000);
    let samples = [
        bare("active-connections", "active_connections", rng.below(40).to_string()),
        bare("load-avg-1m", "load_avg_1m", format!("0.{:03}", rng.below(1000))),
        bare("load-avg-5m", "load_avg_5m", format!("0.{:02}", rng.below(100))),
        bare("load-avg-15m", "load_avg_15m", format!("0.{}", rng.below(10))),
        bare("read-iops", "read_iops", "0".to_string()),
        bare("write-iops", "write_iops", rng.below(20).to_string()),
        kb("memory-total", "memory_total_bytes", 15_405_664),
        kb("memory-free", "memory_free_bytes", rng.below(13_000_000)),
        kb("memory-cached", "memory_cached_bytes", rng.below(900_000)),
        ("memory-redis", format!("{used}bytes"), "memory_redis_bytes", used.to_string()),
        bare("hit-rate", "hit_rate", format!("0.9{:04}", rng.below(10_000))),
        bare("evicted-keys", "evicted_keys", rng.below(5).to_string()),
    ];
    addon(Class::Redis, "heroku-redis", "source=REDIS addon=redis-cubed-31415".to_string(), &samples)
        .text_field("source", "REDIS")
        .text_field("addon", "redis-cubed-31415")
}

pub(super) fn dyno(app: &App, rng: &mut Rng) -> Template {
    let (mut process, _) = any_dyno(app, rng);
    if rng.one_in(4) {
        process = format!("{}.{}", rng.pick(&["run", "scheduler"]), 1 + rng.below(9999));
    }
    let plain = |kind, text: String| Template::new(Class::Dyno, 45, "heroku", &process, kind, text);
    match rng.below(10) {
        0..=2 => {
            let (from, to) = rng.pick(&[
                ("starting", "up"),
                ("up", "complete"),
                ("up", "down"),
                ("down", "starting"),
                ("starting", "crashed"),
                ("up", "bouncing"),
            ]);
            let severity = if to == "crashed" { "error" } else { "info" };
            plain("dyno_state", format!("State changed from {from} to {to}"))
                .severity(severity)
                .text_field("from_state", from)
                .text_field("to_state", to)
        }
        3 | 4 => {
            let command = format!("bundle exec sidekiq -c {} -q default", 1 + rng.below(50));
            let colon = if rng.one_in(3) { ":" } else { "" };
            plain("dyno_start", format!("Starting process with command{colon} `{command}`"))
                .text_field("command", command)
        }
        5 | 6 => {
            let status = rng.pick(&[0, 0, 1, 143, 137, 127]);
            let severity = if matches!(status, 0 | 137 | 143) { "info" } else { "error" };
            plain("dyno_exit", format!("Process exited with status {status}"))
                .severity(severity)
                .number("exit_status", status)
        }
        7 => {
            let (mb, tenths) = (500 + rng.below(600), rng.below(10));
            plain("dyno_memory", format!("Process running mem={mb}M({}.{tenths}%)", mb / 5))
                .number("memory_mb", mb)
                .number("memory_percent", format!("{}.{tenths}", mb / 5))
        }
        _ => {
            let text = rng.pick(&[
                "Stopping all processes with SIGTERM",
                "Stopping remaining processes with SIGKILL",
                "Restarting",
                "Cycling",
                "Idling",
                "Unidling",
            ]);
            plain("dyno_lifecycle", text.to_string())
        }
    }
}

pub(super) fn dyno_error(app: &App, rng: &mut Rng) -> Template {
    let (process, _) = any_dyno(app, rng);
    let (code, title, detail, severity) = rng.pick(&[
        ("R14", "Memory quota exceeded", "", "critical"),
        ("R14", "Memory quota exceeded", "", "critical"),
        ("R15", "Memory quota vastly exceeded", "", "critical"),
        ("R12", "Exit timeout", "Process failed to exit within 30 seconds of SIGTERM", "warning"),
        (
            "R10",
            "Boot timeout",
            "Web process failed to bind to $PORT within 60 seconds of launch",
            "critical",
        ),
    ]);
    let text = format!("Error {code} ({title})");
    let made = Template::new(Class::DynoError, 45, "heroku", &process, "error_code", text)
        .severity(severity)
        .text_field("code", code)
        .text_field("title", title);
    if detail.is_empty() {
        return made;
    }
    let mut made = made.text_field("detail", detail);
    made.text.push_str(&format!(" -> {detail}"));
    made
}

pub(super) fn api(rng: &mut Rng) -> Template {
    let plain = |text: String| Template::new(Class::Api, 134, "app", "api", "api", text);
    let user = format!("{}@example.com", rng.pick(PEOPLE));
    let command = match rng.below(8) {
        0 => format!("Release v{} created", 1 + rng.below(900)),
        1 => format!("Deploy {:08x}", rng.bits() as u32),
        2 => "Set RAILS_ENV, LANG config vars".to_string(),
        3 => format!("Scaled to web@{}:Standard-1X worker@1:Standard-1X", 1 + rng.below(9)),
        4 => format!("Rollback to v{}", 1 + rng.below(900)),
        5 => "Build started".to_string(),
        6 => return plain("Build succeeded".to_string()),
        _ => {
            let command = "bundle exec rake \"db:sync[production]\" && echo \\$DONE".to_string();
            let text =
                format!("Starting process with command `{command}` by user scheduler@addons.heroku.com");
            return plain(text)
                .text_field("command", command)
                .text_field("user", "scheduler@addons.heroku.com");
        }
    };
    plain(format!("{command} by user {user}")).text_field("command", command).text_field("user", user)
}

pub(super) fn postgres_log(rng: &mut Rng) -> Template {
    let (level, sql_code, severity, rest) = rng.pick(&[
        (
            "LOG",
            "00000",
            "info",
            "duration: 2688.600 ms  execute <unnamed>: SELECT \"users\".* FROM \"users\" LIMIT 1",
        ),
        (
            "LOG",
            "00000",
            "info",
            "checkpoint complete: wrote 1235 buffers (3.4%); 0 WAL file(s) added, 1 removed",
        ),
        (
            "ERROR",
            "23505",
            "error",
            "duplicate key value violates unique constraint \"index_users_on_email\"",
        ),
        ("FATAL", "28P01", "critical", "password authentication failed for user \"u4f8a1\""),
        ("WARNING", "25P01", "warning", "there is no transaction in progress"),
        ("STATEMENT", "23505", "info", "INSERT INTO \"users\" (\"email\") VALUES ($1) RETURNING \"id\""),
    ]);
    let color = rng.pick(&["GREEN", "PURPLE", "DATABASE"]);
    let (line, chunk) = (1 + rng.below(90_000), 1 + rng.below(2));
    let process = format!("postgres.{}", 1_000_000 + rng.below(900_000));
    let pairs = if rng.one_in(2) {
        "time_ms = \"2026-11-22 09:51:24.137 UTC\" pid=\"248773\" user=\"u4f8a1\" "
    } else {
        ""
    };
    let text = format!("[{color}] [{line}-{chunk}]  sql_error_code = {sql_code} {pairs}{level}:  {rest}");
    let made = Template::new(Class::PostgresLog, 134, "app", &process, "postgres_log", text)
        .severity(severity)
        .text_field("color", color)
        .number("line", line)
        .number("chunk", chunk)
        .text_field("sql_error_code", sql_code)
        .text_field("level", level);
    if pairs.is_empty() {
        return made;
    }
    made.text_field("time_ms", "2026-11-22 09:51:24.137 UTC")
        .text_field("pid", "248773")
        .text_field("db_user", "u4f8a1")
}

pub(super) fn build(rng: &mut Rng) -> Template {
    let text = rng.pick(&["Slug compilation started", "Slug compilation finished"]);
    Template::new(Class::Build, 45, "heroku", "slugc", "build", text.to_string())
}

pub(super) fn loss(rng: &mut Rng) -> Template {
    let lost = 1 + rng.below(400);
    let text = format!(
        "Error L10 (output buffer overflow): {lost} messages dropped since 2026-11-22T09:49:03+00:00."
    );
    let mut made = Template::new(Class::Loss, 172, "heroku", "logplex", "upstream_loss", text)
        .severity("warning")
        .text_field("code", "L10")
        .text_field("title", "output buffer overflow")
        .number("lost", lost);
    // Logplex writes this one itself and ends it without a line feed over HTTPS.
    made.line_feed = false;
    made
}
