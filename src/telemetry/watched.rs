//! What alerts and reports count of themselves.

use prometheus::proto::MetricFamily;

use super::metrics::{Family, Sample, counter, gauge};
use crate::flow::Flow;
use crate::ledger::{alerts, reports};

const RECORDS: Family = counter("weir_alert_records_total", "Records of an alert.");
const SUPPRESSED: Family = counter("weir_alert_suppressed_total", "Episodes that `suppress` left untold.");
const INHIBITED: Family = counter("weir_alert_inhibited_total", "Episodes that another alert held back.");
const LATE: Family = counter("weir_alert_late_events_total", "Events that came too late for a window.");
const OVERFLOW: Family = counter("weir_alert_overflow_events_total", "Events of keys beyond `keys_max`.");
const KEYS: Family = gauge("weir_alert_keys", "Keys that an alert tells apart now.");
const DEGRADED: Family = gauge("weir_alert_degraded", "1 while values of an alert may be too low.");
const ROWS: Family = counter("weir_report_rows_total", "Rows of a report that came in time.");
const LATE_ROWS: Family = counter("weir_report_late_rows_total", "Rows that came after their window.");
const UNORDERED: Family =
    counter("weir_report_unordered_rows_total", "Rows that could not wait for their place in time.");

/// The families of the alerts that are watched and of the reports that are written.
pub(super) fn families(flow: &Flow) -> Vec<MetricFamily> {
    let (alerts, reports) = flow.ledger(|ledger| {
        let alerts = ledger.alerts();
        let alerts = alerts.figures().zip(alerts.degraded());
        let alerts = alerts.map(|((alert, figures), degraded)| {
            (alert.about.alert.to_string(), alert.about.mode.name(), figures, u64::from(degraded))
        });
        let reports = ledger.reports().figures();
        let reports = reports.map(|(report, figures)| (report.id.to_string(), figures));
        (alerts.collect::<Vec<_>>(), reports.collect::<Vec<_>>())
    });
    let by_alert = |family: &Family, figure: fn(&alerts::Figures) -> u64| {
        family.of(alerts.iter().map(|(id, _, figures, _)| sample("alert", id, figure(figures))))
    };
    let records = alerts.iter().flat_map(|(id, mode, figures, _)| {
        let alerts::Figures { notices, sealed, resolved, .. } = *figures;
        [("notice", notices), ("sealed", sealed), ("resolved", resolved)].map(|(state, n)| {
            (vec![("alert", id.clone()), ("mode", mode.to_string()), ("state", state.into())], n)
        })
    });
    let by_report = |family: &Family, figure: fn(&reports::Figures) -> u64| {
        family.of(reports.iter().map(|(id, figures)| sample("report", id, figure(figures))))
    };
    let families = [
        RECORDS.of(records),
        by_alert(&SUPPRESSED, |figures| figures.suppressed),
        by_alert(&INHIBITED, |figures| figures.inhibited),
        by_alert(&LATE, |figures| figures.late),
        by_alert(&OVERFLOW, |figures| figures.overflow),
        by_alert(&KEYS, |figures| figures.keys),
        DEGRADED.of(alerts.iter().map(|(id, _, _, degraded)| sample("alert", id, *degraded))),
        by_report(&ROWS, |figures| figures.rows),
        by_report(&LATE_ROWS, |figures| figures.late),
        by_report(&UNORDERED, |figures| figures.unordered),
    ];
    families.into_iter().flatten().collect()
}

fn sample(label: &'static str, id: &str, n: u64) -> Sample {
    (vec![(label, id.to_string())], n)
}
