//! Figures as others read them: a Prometheus that is none of ours, and promtool.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use serde_json::Value;
use weir_load::send::Options;

use crate::support::frames::{FILES, drained, listener, load, pipeline, send};
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
    let (weir, _) = busy();
    let (well, said) = output(Command::new(promtool).args(["check", "metrics"]), weir.metrics().as_bytes());
    assert!(well && said.trim().is_empty(), "{said}");
    weir.stop().clean();
}

/// A port that was free a moment ago, for a server that cannot be told to choose.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_prometheus_scrapes_it() {
    let Some(prometheus) = find("wire::a_prometheus_scrapes_it", "prometheus") else { return };
    let (mut weir, events) = busy();
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
    let _prometheus = Running::start(command.stdout(Stdio::null()).stderr(log));
    let query = "/api/v1/query?query=sum(weir_received_events_total)";
    let scraped = weir.wait_for("a scrape", |_| {
        std::net::TcpStream::connect(address).ok()?;
        let answer: Value = serde_json::from_str(&http::get(address, query).body).ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse::<u64>().ok()
    });
    assert_eq!(scraped, events);
    let ended = weir.stop();
    assert_eq!(figure(ended.clean(), "/sinks/events/delivered"), events);
}
