//! A dashboard for Grafana: panels of packs' metrics, and of those dashlets that metrics can feed.
//!
//! A dashlet is fed by a counter of the same events whose labels hold its keys. One that is counted by the address of a
//! client has no panel, since no metric has such a label.

use serde_json::{Value as Json, json};

use crate::pack::{Dashlet, Label, Metric, Of, Pack};
use crate::plan::metric::Kind;
use crate::plan::rules::cond::{Key, Subject};

/// Columns of a dashboard, of a panel, and a panel's height.
const COLUMNS: usize = 24;
const WIDTH: usize = 12;
const HEIGHT: usize = 8;

/// What stands at the top, of weir itself: title, expression, legend.
const OWN: [(&str, &str, &str); 4] = [
    (
        "Events received",
        "sum by (listener) (rate(weir_received_events_total[$__rate_interval]))",
        "{{listener}}",
    ),
    (
        "Events shed and dropped",
        "sum by (listener, sink, reason) (rate(weir_shed_events_total[$__rate_interval]) or rate(weir_dropped_events_total[$__rate_interval]))",
        "{{listener}}{{sink}} {{reason}}",
    ),
    ("Slots free", "weir_slots_free", "{{instance}}"),
    ("Batches behind", "weir_sink_lag_batches", "{{sink}}"),
];

/// Metrics of weir itself that dashlets may be fed by: events by one key.
const OWN_COUNTERS: [(&str, &str, Key); 3] = [
    ("weir_events_total", "severity", Key::Severity),
    ("weir_events_total", "kind", Key::Kind),
    ("weir_drain_events_total", "drain", Key::Drain),
];

/// A panel that has no place yet.
struct Panel {
    title: String,
    description: String,
    /// Grafana's name of it.
    kind: &'static str,
    unit: &'static str,
    /// Expressions with their legends.
    targets: Vec<(String, String)>,
    is_stacked: bool,
    /// Whether it shows the whole range at once.
    is_instant: bool,
}

/// Returns the dashboard as JSON.
pub fn dashboard(packs: &[Pack]) -> String {
    let metrics: Vec<&Metric> = packs.iter().flat_map(|pack| &pack.metrics).collect();
    let app = app_label(&metrics);
    let mut rows = vec![("weir".to_string(), OWN.map(own_panel).into())];
    for pack in packs {
        let mut panels = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for metric in &pack.metrics {
            if !seen.contains(&metric.name.as_str()) {
                seen.push(&metric.name);
                panels.push(metric_panel(metric, app));
            }
        }
        panels.extend(pack.dashlets.iter().filter_map(|dashlet| dashlet_panel(pack, dashlet, app)));
        if !panels.is_empty() {
            rows.push((pack.title.clone(), panels));
        }
    }
    let titles: Vec<&str> = packs.iter().map(|pack| pack.title.as_str()).collect();
    let mut variables = vec![
        json!({"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}),
    ];
    if let Some((label, metric)) = app {
        variables.push(json!({
            "name": label, "label": label, "type": "query", "datasource": datasource(),
            "query": format!("label_values({metric}, {label})"), "refresh": 2, "sort": 1,
            "includeAll": true, "allValue": ".*", "multi": true, "current": {"text": "All", "value": "$__all"},
        }));
    }
    let json = json!({
        "title": format!("weir: {}", titles.join(", ")),
        "uid": format!("weir-{}", packs.iter().map(|pack| pack.id.as_str()).collect::<Vec<_>>().join("-")),
        "tags": ["weir"], "editable": true, "schemaVersion": 39, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "templating": {"list": variables}, "panels": placed(rows),
    });
    format!("{json:#}\n")
}

/// The label that says whose events they are, and a metric that has it.
fn app_label<'m>(metrics: &[&'m Metric]) -> Option<(&'m str, &'m str)> {
    metrics.iter().find_map(|metric| {
        let is_app = |label: &Label| *label == Label::Of(Subject::Key(Key::Computer));
        let (name, _) = metric.labels.iter().find(|(_, label)| is_app(label))?;
        Some((name.as_str(), metric.name.as_str()))
    })
}

fn datasource() -> Json {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn own_panel((title, expr, legend): (&str, &str, &str)) -> Panel {
    Panel::lines(title, "", "short", vec![(expr.into(), legend.into())])
}

fn metric_panel(metric: &Metric, app: Option<(&str, &str)>) -> Panel {
    let name = &metric.name;
    let filter = filter(metric, app);
    let labels: Vec<&str> = metric.labels.iter().map(|(label, _)| label.as_str()).collect();
    let by = labels.join(", ");
    let legend = legend(&labels);
    let base = name.strip_suffix("_total").unwrap_or(name);
    let unit = match (base.rsplit('_').next(), metric.kind) {
        (Some("bytes"), Kind::Counter) => "Bps",
        (Some("bytes"), _) => "bytes",
        (Some("seconds"), _) => "s",
        (_, Kind::Counter) => "cps",
        _ => "short",
    };
    let targets = match metric.kind {
        Kind::Gauge => vec![(format!("max by ({by}) ({name}{filter})"), legend)],
        Kind::Counter => vec![(format!("sum by ({by}) (rate({name}{filter}[$__rate_interval]))"), legend)],
        Kind::Histogram => [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")]
            .map(|(quantile, short)| {
                let rate = format!("rate({name}_bucket{filter}[$__rate_interval])");
                let by = labels.iter().chain(&["le"]).copied().collect::<Vec<_>>().join(", ");
                let expr = format!("histogram_quantile({quantile}, sum by ({by}) ({rate}))");
                (expr, format!("{short} {legend}"))
            })
            .into(),
    };
    Panel::lines(name, &metric.help, unit, targets)
}

/// What a metric is asked for, so that only the chosen apps are shown.
fn filter(metric: &Metric, app: Option<(&str, &str)>) -> String {
    match app.filter(|(label, _)| metric.labels.iter().any(|(name, _)| name == label)) {
        Some((label, _)) => format!("{{{label}=~\"${label}\"}}"),
        None => String::new(),
    }
}

fn legend(labels: &[&str]) -> String {
    labels.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ")
}

/// The panel of a dashlet, if there is something that counts the same.
fn dashlet_panel(pack: &Pack, dashlet: &Dashlet, app: Option<(&str, &str)>) -> Option<Panel> {
    let (name, filter, labels) = pack
        .metrics
        .iter()
        .find_map(|metric| Some((metric.name.clone(), filter(metric, app), fed_by(dashlet, metric)?)))
        .or_else(|| fed_by_own(dashlet))?;
    let by = labels.join(", ");
    let (kind, is_stacked, is_instant) = match dashlet.viz.as_str() {
        "donut" => ("piechart", false, true),
        "bar" => ("bargauge", false, true),
        "stacked_bar" => ("timeseries", true, false),
        "line" => ("timeseries", false, false),
        "stat" => ("stat", false, true),
        _ => ("table", false, true),
    };
    let over = match (is_instant, dashlet.step_s) {
        (true, _) => "$__range",
        (false, 86_400) => "1d",
        (false, 3_600) => "1h",
        _ => "$__rate_interval",
    };
    let sum = if by.is_empty() { "sum".to_string() } else { format!("sum by ({by})") };
    let expr = format!("{sum} (increase({name}{filter}[{over}]))");
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let description = format!("Dashlet {}.dashlet.{}.", pack.id, dashlet.id);
    let lines = Panel::lines(&dashlet.title, &description, "short", vec![(expr, legend(&labels))]);
    Some(Panel { kind, is_stacked, is_instant, ..lines })
}

/// The labels of a metric that are a dashlet's keys, if it counts what the dashlet counts.
fn fed_by(dashlet: &Dashlet, metric: &Metric) -> Option<Vec<String>> {
    let value = dashlet.value.as_ref().map(|(_, subject)| subject);
    let same_value = match dashlet.agg.as_str() {
        "count" => metric.value.is_none(),
        "sum" => metric.value.as_ref() == value,
        _ => false,
    };
    // Of several that share a name each counts a part.
    let is_whole = metric.labels.iter().all(|(_, label)| matches!(label, Label::Of(_)));
    if metric.kind != Kind::Counter || !same_value || !is_whole || metric.of != dashlet.of {
        return None;
    }
    let label = |(_, subject): &(String, Subject)| {
        let found = metric.labels.iter().find(|(_, label)| *label == Label::Of(subject.clone()))?;
        Some(found.0.clone())
    };
    dashlet.group_by.iter().map(label).collect()
}

/// The same of weir's own counters, which count every event.
fn fed_by_own(dashlet: &Dashlet) -> Option<(String, String, Vec<String>)> {
    let [(_, Subject::Key(key))] = &dashlet.group_by[..] else { return None };
    if dashlet.agg != "count" || dashlet.of != Of::Every {
        return None;
    }
    let (name, label, _) = OWN_COUNTERS.into_iter().find(|(_, _, known)| known == key)?;
    Some((name.into(), String::new(), vec![label.into()]))
}

/// Gives each panel its place, rows with their titles one below the other.
fn placed(rows: Vec<(String, Vec<Panel>)>) -> Vec<Json> {
    let (mut out, mut y) = (Vec::new(), 0);
    for (title, panels) in rows {
        out.push(json!({
            "id": out.len() + 1, "type": "row", "title": title, "collapsed": false,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}, "panels": [],
        }));
        y += 1;
        for (at, panel) in panels.iter().enumerate() {
            let (x, row) = (at * WIDTH % COLUMNS, at * WIDTH / COLUMNS);
            out.push(panel.json(out.len() + 1, x, y + row * HEIGHT));
        }
        y += (panels.len() * WIDTH).div_ceil(COLUMNS) * HEIGHT;
    }
    out
}

impl Panel {
    /// A panel of lines over time.
    fn lines(title: &str, description: &str, unit: &'static str, targets: Vec<(String, String)>) -> Panel {
        let (title, description) = (title.into(), description.into());
        Panel { title, description, kind: "timeseries", unit, targets, is_stacked: false, is_instant: false }
    }

    fn json(&self, id: usize, x: usize, y: usize) -> Json {
        let target = |(at, (expr, legend)): (usize, &(String, String))| {
            json!({
                "refId": char::from(b'A' + at as u8).to_string(), "datasource": datasource(), "expr": expr,
                "legendFormat": legend, "instant": self.is_instant, "range": !self.is_instant,
                "format": if self.kind == "table" { "table" } else { "time_series" },
            })
        };
        let custom = match (self.kind, self.is_stacked) {
            ("timeseries", true) => {
                json!({"drawStyle": "bars", "fillOpacity": 80, "stacking": {"mode": "normal"}})
            }
            _ => json!({}),
        };
        json!({
            "id": id, "type": self.kind, "title": self.title, "description": self.description,
            "datasource": datasource(), "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": self.unit, "custom": custom}, "overrides": []},
            "options": {}, "targets": self.targets.iter().enumerate().map(target).collect::<Vec<_>>(),
        })
    }
}
