//! `weir notify test`: a record that says it is a test, to each notifier, and what came of it.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Item;
use super::reach::Failure;
use super::target::Target;
use super::worker::wall_us;
use crate::config::Notifier;
use crate::ledger::record::{About, KeyValue, Mode, Record, Shown, State, Urgency};
use crate::limits;
use crate::plan::rules::convert::Number;

/// Tells every notifier, or the one named. Returns a line for each target, and whether all got through.
pub fn run(notifiers: &[Notifier], only: Option<&str>) -> io::Result<(String, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut text, mut well) = (String::new(), true);
    let limit = Duration::from_secs(limits::NOTIFY_REQUEST_S);
    let chosen = notifiers.iter().filter(|notifier| only.is_none_or(|name| notifier.name == name));
    for mut target in chosen.flat_map(Target::all) {
        let (began, now_us) = (Instant::now(), wall_us());
        let mut json = Vec::new();
        record(now_us).write(&mut json);
        let json: Arc<str> = String::from_utf8_lossy(&json).into();
        let item = Item::read(json, now_us).ok_or_else(|| io::Error::other("the record cannot be read"))?;
        let items = [(Arc::new(item), false)];
        let answer = runtime.block_on(async {
            let telling = target.tell(&items, now_us, began + limit, &|| false);
            tokio::time::timeout(limit, telling)
                .await
                .unwrap_or_else(|_| Err(Failure::again(format!("no answer within {} s", limit.as_secs()))))
        });
        let (name, shown, ms) = (&target.name, &target.shown, began.elapsed().as_millis());
        let told = match answer {
            Ok(answer) => writeln!(text, "{name} ({shown}): told, {answer} after {ms} ms"),
            Err(Failure { why, .. }) => {
                well = false;
                writeln!(text, "{name} ({shown}): not told: {why}")
            }
        };
        told.expect("a text takes lines");
    }
    runtime.shutdown_background();
    Ok((text, well))
}

fn record(now_us: i64) -> Record {
    let about = About {
        alert: "weir.alert.test".into(),
        title: "weir: test of a notifier".into(),
        severity: Urgency::Info,
        threat: 0,
        mode: Mode::On,
        pack: ("weir".into(), env!("CARGO_PKG_VERSION").into()),
        runbook: "".into(),
        notify: Vec::new(),
    };
    Record {
        id: format!("{now_us:032x}").into(),
        about: Arc::new(about),
        state: State::Sealed,
        key: vec![("drain".into(), KeyValue::Text("d.test".into()))],
        value: Number::of(1),
        from_us: now_us,
        to_us: now_us,
        matches_us: Some((now_us, now_us)),
        fired_us: now_us,
        events: vec![Shown { time_us: now_us, id: "test-1".into(), message: "nothing happened".into() }],
        seen_lost: (1, 0),
        degraded: false,
        notice: None,
        suppressed: 0,
        inhibited: None,
        warming: false,
        summary: "this is a test, nothing happened".into(),
        labels: Vec::new(),
    }
}
