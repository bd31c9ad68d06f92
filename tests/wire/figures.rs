//! Figures as others read them: a Prometheus that is none of ours, and promtool.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use weir_load::send::Options;

use crate::support::frames::{DRAIN, FILES, drained, listener, load, octet, pipeline, send};
use crate::support::http;
use crate::support::tools::{Running, find, output};
use crate::support::weir::{Weir, figure, get};

/// A weir that has received something over TCP and HTTP.
fn busy() -> (Weir, u64) {
    let listeners = [listener("syslog", "tcp", ""), listener("drain", "http", "")];
    let mut weir = Weir::start(&pipeline(&listeners, &[FILES]));
    let mut events = 0;
    for (scheme, name) in [("tcp", "syslog"), ("http", "drain")] {
        let options = Options { events_max: Some(2000), connections: 2, ..load(&weir, scheme, name) };
        events += send(&options).events;
    }
    weir.wait_for_figure("/sinks/events/delivered", events);
    (weir, events)
}

/// The sum of a metric's samples.
fn sum(page: &str, name: &str) -> f64 {
    let of = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    of.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn metrics_say_what_the_books_say() {
    let (mut weir, events) = busy();
    // Statistics come within 100 ms, the books' figures at once.
    let page = weir.wait_for("all kinds", |weir| {
        let page = weir.metrics();
        (sum(&page, "weir_events_total") == events as f64).then_some(page)
    });
    for name in ["received", "admitted", "delivered"] {
        assert_eq!(sum(&page, &format!("weir_{name}_events_total")), events as f64, "{name}\n{page}");
    }
    assert_eq!(sum(&page, "weir_drain_events_total"), events as f64);
    let none = [
        "weir_shed_events_total",
        "weir_duplicate_events_total",
        "weir_dropped_events_total",
        "weir_dashlet_late_events_total",
    ];
    for name in none {
        assert!(page.contains(&format!("# TYPE {name} counter")), "{name}\n{page}");
        assert_eq!(sum(&page, name), 0.0, "{name}");
    }
    let one = |name: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}\n{page}")).rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(one("weir_slots") >= one("weir_slots_free"));
    // In the week before now, that is what was sent.
    let (status, json) = get(weir.admin(), "/api/v1/dashlets/severity?step=86400");
    assert_eq!(status, 200, "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["rows"].as_array().unwrap().iter();
    assert_eq!(rows.map(|row| row["value"].as_u64().unwrap()).sum::<u64>(), events, "{json}");
    assert!(page.contains("weir_build_info{"), "{page}");
    weir.stop().clean();
}

#[test]
fn what_packs_find_and_masks_cover_is_counted() {
    let sinks = [
        "{name: s, kind: file, root: out, path: all.ndjson, where: {a: {kind: app}, b: {status: 9}, condition: a and not b}}",
    ];
    let text = format!(
        "redact: [{{id: mail, builtin: email, mode: on}}, {{id: card, builtin: card}}]\n{}",
        pipeline(&[listener("syslog", "tcp", "")], &sinks)
    );
    let mut weir = Weir::start(&text);
    let mut sender = std::net::TcpStream::connect(weir.address("syslog")).unwrap();
    for text in ["mail to bob@example.com and eve@example.com", "4111111111111111", r#"{"status":"abc"}"#] {
        std::io::Write::write_all(&mut sender, drained(text).as_bytes()).unwrap();
    }
    drop(sender);
    weir.wait_for_figure("/sinks/s/delivered", 3);
    let page = weir.wait_for("the counts", |weir| {
        let page = weir.metrics();
        (sum(&page, "weir_redacted_total") == 2.0).then_some(page)
    });
    for line in [
        "weir_redacted_total{rule=\"pipeline.redact.mail\"} 2",
        "weir_category_events_total{category=\"heroku.category.application\"} 3",
        "weir_category_events_total{category=\"heroku.category.router\"} 0",
        "weir_unconverted_values_total 1",
        "weir_field_conflicts_total 0",
        "weir_filtered_events_total{sink=\"s\"} 0",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    let out = std::fs::read_to_string(weir.path("out/all.ndjson")).unwrap();
    assert!(!out.contains("bob@") && out.contains("mail to [redacted] and [redacted]"), "{out}");
    assert!(out.contains("4111111111111111"), "a mask that is off");
    weir.stop().clean();
}

#[test]
fn probes_and_strange_questions_are_answered() {
    let weir = Weir::start(&pipeline(&[listener("syslog", "tcp", "")], &[FILES]));
    let (observe, admin) = (weir.observe(), weir.admin());
    let table = [
        (observe, "/healthz", 200),
        (observe, "/readyz", 200),
        (observe, "/metrics", 200),
        (observe, "/books", 404),
        (observe, "/", 404),
        (admin, "/books", 200),
        (admin, "/metrics", 404),
        (admin, "/api/v1/dashlets", 200),
        (admin, "/api/v1/dashlets/heroku.dashlet.severity", 200),
        (admin, "/api/v1/dashlets/severity?step=1", 400),
        (admin, "/api/v1/dashlets/none", 404),
        (observe, "/api/v1/dashlets", 404),
    ];
    for (address, path, status) in table {
        assert_eq!(get(address, path).0, status, "{path}");
    }
    assert_eq!(http::Client::connect(observe).post("/metrics", &[], b"x").status, 405);
    weir.stop().clean();
}

#[test]
fn promtool_finds_nothing_amiss() {
    let Some(promtool) = find("wire::promtool_finds_nothing_amiss", "promtool") else { return };
    let (mut weir, _) = busy();
    for name in ["heroku_dyno_load_average{", "heroku_router_connect_seconds_bucket{", "heroku_errors_total{"]
    {
        weir.wait_for(name, |weir| weir.metrics().contains(&format!("\n{name}")).then_some(()));
    }
    let (well, said) = output(Command::new(promtool).args(["check", "metrics"]), weir.metrics().as_bytes());
    assert!(well && said.trim().is_empty(), "{said}");
    weir.stop().clean();
}

/// A port that was free a moment ago, for a server that cannot be told to choose.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Prometheus that scrapes weir every second, and where it answers.
fn scraping(prometheus: &Path, weir: &Weir) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: weir\n    static_configs: [{{targets: [\"{}\"]}}]\n",
        weir.observe()
    );
    let file = weir.path("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(prometheus);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", weir.path("prometheus").display()));
    command.arg(format!("--web.listen-address={address}"));
    let log = std::fs::File::create(weir.path("prometheus.log")).unwrap();
    (Running::start(command.stdout(Stdio::null()).stderr(log)), address)
}

/// The values of a query of one word; `None` if there is no answer yet.
fn query(address: SocketAddr, word: &str) -> Option<Vec<f64>> {
    std::net::TcpStream::connect(address).ok()?;
    let body = http::get(address, &format!("/api/v1/query?query={word}")).body;
    let answer: Value = serde_json::from_str(&body).ok()?;
    let rows = answer.pointer("/data/result")?.as_array()?.iter();
    rows.map(|row| row.pointer("/value/1")?.as_str()?.parse().ok()).collect()
}

#[test]
fn a_prometheus_scrapes_it() {
    let Some(prometheus) = find("wire::a_prometheus_scrapes_it", "prometheus") else { return };
    let (mut weir, events) = busy();
    let (_prometheus, address) = scraping(&prometheus, &weir);
    let scraped =
        weir.wait_for("a scrape", |_| query(address, "sum(weir_received_events_total)")?.first().copied());
    assert_eq!(scraped, events as f64);
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), events);
}

#[test]
fn a_prometheus_sees_dynos_and_requests_and_that_a_dyno_is_gone() {
    let name = "wire::a_prometheus_sees_dynos_and_requests_and_that_a_dyno_is_gone";
    let Some(prometheus) = find(name, "prometheus") else { return };
    // The pack as it is, but for the five minutes.
    let pack = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/heroku/pack.yaml");
    let pack = std::fs::read_to_string(pack).unwrap().replace("expire: 5m", "expire: 4s");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pack.yaml");
    std::fs::write(&path, pack).unwrap();
    let listeners = [listener("syslog", "tcp", "")];
    let text = format!("packs: [\"{}\"]\n{}", path.display(), pipeline(&listeners, &[FILES]));
    let mut weir = Weir::start(&text);
    let (_prometheus, address) = scraping(&prometheus, &weir);
    let mut sender = std::net::TcpStream::connect(weir.address("syslog")).unwrap();
    let mut send = |process: &str, text: &str| {
        let head = format!("<45>1 2026-11-22T09:51:24.537546+00:00 {DRAIN} heroku {process} - -");
        std::io::Write::write_all(&mut sender, octet(&format!("{head} {text}")).as_bytes()).unwrap();
    };
    let memory = "source=web.1 dyno=heroku.1.7541d2e4-778f-442e-88f6-ad72cd81b0ff sample#memory_total=685.14MB sample#memory_rss=669.36MB sample#memory_cache=15.79MB sample#memory_swap=0.00MB sample#memory_pgpgin=257367pages sample#memory_pgpgout=84526pages sample#memory_quota=1024.00MB";
    let request = "at=info method=GET path=\"/\" host=a.example.com request_id=r1 fwd=\"66.249.66.92\" dyno=web.1 connect=1ms service=201ms status=200 bytes=407 protocol=https";
    let seen = weir.wait_for("the dyno", |_| {
        send("web.1", memory);
        query(address, "heroku_dyno_memory_bytes")?.first().copied()
    });
    assert!([669.36, 15.79, 0.0].iter().any(|mb| (mb * 1_048_576f64).round() == seen), "{seen}");
    send("router", request);
    // Nothing arrives any more.
    weir.wait_for("the request", |_| query(address, "heroku_router_service_seconds_count")?.first().copied());
    weir.wait_for("the dyno to be gone", |_| {
        query(address, "heroku_dyno_memory_bytes").filter(Vec::is_empty)
    });
    let sum = query(address, "sum(heroku_router_service_seconds_sum)").unwrap();
    assert_eq!(sum, [0.201]);
    let page = weir.metrics();
    assert!(!page.contains("\nheroku_dyno_memory"), "{page}");
    for line in [
        format!("heroku_router_service_seconds_bucket{{app=\"{DRAIN}\",status_class=\"2xx\",le=\"0.25\"}} 1"),
        format!("heroku_router_connect_seconds_sum{{app=\"{DRAIN}\",status_class=\"2xx\"}} 0.001"),
        format!("heroku_router_bytes_total{{app=\"{DRAIN}\",status_class=\"2xx\"}} 407"),
    ] {
        assert!(page.contains(&line), "{line}\n{page}");
    }
    weir.stop().clean();
}

#[test]
fn what_alerts_and_reports_count_is_shown() {
    let pack = "weir: pack/v1\npack: {id: p, version: 1.0.0, title: doors}\nalerts:\n  \
        - {id: knock, severity: high, mode: on, detect: {s: {message|contains: knock}}, when: each, suppress: {by: [drain], for: 1h}}\n  \
        - {id: silent, severity: low, mode: shadow, detect: {s: {message: never}}, when: {count: {over: 10s, gte: 1}}}\nreports:\n  \
        - {id: doors, of: {s: {message|contains: knock}}, window: 1d, columns: [{field: message, title: What}]}\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pack.yaml"), pack).unwrap();
    let text = format!(
        "packs: [pack.yaml]\nledger: {{lateness: 1s}}\nreports: {{dir: reports}}\n{}",
        pipeline(&[listener("in", "tcp", "")], &[FILES])
    );
    let mut weir = Weir::start_in(dir, &text);
    let mut sender = std::net::TcpStream::connect(weir.address("in")).unwrap();
    let now = jiff::Timestamp::now();
    // The last one comes when its window is history.
    for time in [now, now, now - std::time::Duration::from_secs(5 * 86_400)] {
        let line = octet(&format!("<190>1 {time} {DRAIN} app web.1 - - knock"));
        std::io::Write::write_all(&mut sender, line.as_bytes()).unwrap();
    }
    let wanted = [
        "weir_alert_records_total{alert=\"p.alert.knock\",mode=\"on\",state=\"notice\"} 1",
        "weir_alert_records_total{alert=\"p.alert.knock\",mode=\"on\",state=\"sealed\"} 2",
        "weir_alert_suppressed_total{alert=\"p.alert.knock\"} 1",
        "weir_alert_inhibited_total{alert=\"p.alert.knock\"} 0",
        "weir_alert_degraded{alert=\"p.alert.knock\"} 0",
        "weir_alert_records_total{alert=\"p.alert.silent\",mode=\"shadow\",state=\"sealed\"} 0",
        "weir_report_rows_total{report=\"p.report.doors\"} 2",
        "weir_report_late_rows_total{report=\"p.report.doors\"} 1",
        "weir_report_dropped_rows_total{reason=\"spool_full\"} 0",
    ];
    let page = weir.wait_for("the figures", |weir| {
        let page = weir.metrics();
        let has = |line: &&str| page.lines().any(|known| known == *line);
        wanted.iter().all(has).then_some(page)
    });
    if let Some(promtool) = find("wire::what_alerts_and_reports_count_is_shown", "promtool") {
        let (well, said) = output(Command::new(promtool).args(["check", "metrics"]), page.as_bytes());
        assert!(well && said.trim().is_empty(), "{said}");
    }
    weir.stop().clean();
}
