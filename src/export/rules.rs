//! Alerting rules for Prometheus: on weir itself, and one for each alert of packs.
//!
//! What an alert of a pack means only weir can say; the rule fires when weir has told it and its mode is on. So it is of
//! use where Prometheus pages and no notifier does.

use std::fmt::Write;

use crate::pack::Pack;

/// An alerting rule.
struct Rule<'a> {
    alert: &'a str,
    /// Lines of the expression.
    expr: &'a [&'a str],
    /// Empty: it fires at once.
    hold: &'a str,
    /// As a YAML mapping.
    labels: &'a str,
    summary: &'a str,
    description: &'a str,
}

const HEAD: &str = "\
# Alerts on weir itself: is anything lost, and is anything about to be; then the alerts of packs that are on.
# Printed by `weir export prometheus-rules`.
# promtool check rules weir.rules.yml; promtool test rules weir.rules.test.yml
groups:
";

const CRITICAL: &str = "{severity: critical}";
const WARNING: &str = "{severity: warning}";

/// Rules on weir itself; `{{ }}` is Prometheus' own.
const OWN: &[Rule<'_>] = &[
    Rule {
        alert: "WeirDown",
        expr: &["up{job=\"weir\"} == 0"],
        hold: "1m",
        labels: CRITICAL,
        summary: "weir at {{ $labels.instance }} does not answer",
        description: "Syslog drains lose what is sent meanwhile, without a trace; HTTPS drains are buffered by Logplex for a while.",
    },
    Rule {
        alert: "WeirSheds",
        expr: &["sum by (instance, listener, reason) (increase(weir_shed_events_total[5m])) > 0"],
        hold: "",
        labels: CRITICAL,
        summary: "listener {{ $labels.listener }} discards what it receives ({{ $labels.reason }})",
        description: "All slots stayed taken: a sink with `when_full: block` stands still or is too slow. See WeirSinkLags.",
    },
    Rule {
        alert: "WeirDrops",
        expr: &[
            "sum by (instance, sink, reason) (increase(weir_dropped_events_total{reason!=\"no_match\"}[5m])) > 0",
        ],
        hold: "",
        labels: CRITICAL,
        summary: "events do not reach sink {{ $labels.sink }} ({{ $labels.reason }})",
        description: "They were admitted, and this sink will not get them.",
    },
    Rule {
        alert: "WeirSlotsTaken",
        expr: &["weir_slots_free < 0.1 * weir_slots"],
        hold: "1m",
        labels: WARNING,
        summary: "weir at {{ $labels.instance }} has {{ $value }} slots free",
        description: "Less than a tenth for a minute: shedding and 503 come next.",
    },
    Rule {
        alert: "WeirSinkLags",
        expr: &["weir_sink_lag_batches > on (instance, job) group_left () (0.5 * weir_slots)"],
        hold: "1m",
        labels: WARNING,
        summary: "sink {{ $labels.sink }} is {{ $value }} batches behind",
        description: "It holds over half the slots: its target is slow, full or away.",
    },
    Rule {
        alert: "WeirKernelDropsDatagrams",
        expr: &["sum by (instance, listener) (increase(weir_udp_kernel_drops_total[5m])) > 0"],
        hold: "",
        labels: WARNING,
        summary: "the kernel drops datagrams of listener {{ $labels.listener }}",
        description: "Raise net.core.rmem_max, or let the sender use TCP.",
    },
    Rule {
        alert: "WeirUpstreamLoss",
        expr: &["sum by (instance, code) (increase(weir_upstream_lost_total[15m])) > 0"],
        hold: "",
        labels: WARNING,
        summary: "senders report loss ({{ $labels.code }})",
        description: "Messages were lost before they came here: Heroku's L10, L12 and L13 notices say so.",
    },
    Rule {
        alert: "WeirSilent",
        expr: &[
            "sum by (instance, listener) (increase(weir_received_events_total[15m])) == 0",
            "and sum by (instance, listener) (increase(weir_received_events_total[1h] offset 15m)) > 0",
        ],
        hold: "",
        labels: WARNING,
        summary: "listener {{ $labels.listener }} has received nothing for 15 minutes",
        description: "It did in the hour before. `heroku drains -a APP` shows whether the drain is still there.",
    },
    Rule {
        alert: "WeirAlertDegraded",
        expr: &["weir_alert_degraded == 1"],
        hold: "",
        labels: WARNING,
        summary: "alert {{ $labels.alert }} does not see everything",
        description: "It has more keys than `ledger.keys_max`: what it counts may be too low.",
    },
    Rule {
        alert: "WeirNotifierDrops",
        expr: &["sum by (instance, notifier, reason) (increase(weir_notify_dropped_total[5m])) > 0"],
        hold: "",
        labels: CRITICAL,
        summary: "notifier {{ $labels.notifier }} has given up alerts ({{ $labels.reason }})",
        description: "Its target did not take them in time, or refused them; nobody else was told in its place.",
    },
    Rule {
        alert: "WeirReportsLackRows",
        expr: &["sum by (instance, reason) (increase(weir_report_dropped_rows_total[5m])) > 0"],
        hold: "",
        labels: WARNING,
        summary: "rows of reports are missing ({{ $labels.reason }})",
        description: "spool_full: raise `reports.spool_bytes`. queue_full: the disk is too slow.",
    },
    Rule {
        alert: "WeirMetricsCapped",
        expr: &["sum by (instance, metric) (increase(weir_capped_samples_total[15m])) > 0"],
        hold: "",
        labels: WARNING,
        summary: "metric {{ $labels.metric }} has more series than it may",
        description: "Further ones count under `other`: raise its `series_max` in the pack, or use fewer labels.",
    },
];

/// Returns a file of rules: a group for weir itself and one for each pack that has alerts.
pub fn file(packs: &[Pack]) -> String {
    let mut out = String::from(HEAD);
    group("weir", &mut out);
    OWN.iter().for_each(|rule| rule.write(&mut out));
    for pack in packs.iter().filter(|pack| !pack.alerts.is_empty()) {
        group(&pack.id, &mut out);
        for alert in &pack.alerts {
            let id = format!("{}.alert.{}", pack.id, alert.id);
            let expr = format!(
                "sum by (instance, alert) (increase(weir_alert_records_total{{alert=\"{id}\",mode=\"on\",state!=\"resolved\"}}[5m])) > 0"
            );
            let description = match alert.runbook.as_str() {
                "" => "Its record says where and since when.",
                runbook => runbook,
            };
            let rule = Rule {
                alert: &camel(&pack.id, &alert.id),
                expr: &[&expr],
                hold: "",
                labels: &format!("{{severity: {}, pack: {}}}", alert.severity, pack.id),
                summary: &literal(&alert.title),
                description: &literal(description),
            };
            rule.write(&mut out);
        }
    }
    out
}

fn group(name: &str, out: &mut String) {
    let _ = write!(out, "  - name: {name}\n    rules:\n");
}

impl Rule<'_> {
    fn write(&self, out: &mut String) {
        let _ = writeln!(out, "      - alert: {}", self.alert);
        match self.expr {
            [line] => _ = writeln!(out, "        expr: {line}"),
            lines => {
                out.push_str("        expr: |\n");
                lines.iter().for_each(|line| _ = writeln!(out, "          {line}"));
            }
        }
        if !self.hold.is_empty() {
            let _ = writeln!(out, "        for: {}", self.hold);
        }
        let _ = writeln!(out, "        labels: {}", self.labels);
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        out.push_str("        annotations:\n");
        let _ = writeln!(out, "          summary: {}", quoted(self.summary));
        let _ = writeln!(out, "          description: {}", quoted(self.description));
    }
}

/// The name of an alert as Prometheus' alerts are called: `HerokuAuthFailure`.
fn camel(pack: &str, id: &str) -> String {
    let word = |word: &str| -> String {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    };
    pack.split('_').chain(id.split('_')).map(word).collect()
}

/// A text that Prometheus does not take for a template.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_as_prometheus_wants_them() {
        assert_eq!(camel("heroku", "auth_brute_force"), "HerokuAuthBruteForce");
        assert_eq!(literal("a {{ b"), "a {{ \"{{\" }} b");
    }
}
