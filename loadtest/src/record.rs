//! What a run leaves behind for the checker: the load, and how far each connection came.
//!
//! One JSON object a file, a few dozen bytes a connection: events are made again from the seed. Ranges of POSTs that
//! lie side by side are joined, so a run without retries has one range a connection.

use std::path::Path;

use serde_json::{Value, json};

use crate::corpus::Mix;
use crate::generator::{Form, Load};

/// What one connection sent, by sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    pub number: u32,
    /// The first sequence; a connection that took over from a cut one does not begin at 0.
    pub first: u64,
    /// One past the last event that was wholly handed over: to the kernel, or in an answered POST.
    pub sent: u64,
    /// One past the last event of which anything may have left; at least `sent`.
    pub offered: u64,
    /// Whether the other side or a stop ended it early.
    pub cut: bool,
    /// HTTP: `from..to` of events whose POST was not acknowledged. They may appear or not.
    pub unacknowledged: Vec<(u64, u64)>,
}

impl Connection {
    /// Events from the first to the last that was wholly handed over, acknowledged or not.
    pub fn events(&self) -> u64 {
        self.sent - self.first
    }

    /// Notes a POST that was given up; POSTs come in order.
    pub fn give_up(&mut self, from: u64, to: u64) {
        match self.unacknowledged.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => self.unacknowledged.push((from, to)),
        }
    }
}

/// A run: its load, its transport, its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub load: Load,
    /// `tcp`, `tls`, `udp`, `http` or `https`.
    pub transport: String,
    pub connections: Vec<Connection>,
}

impl Record {
    /// Events wholly handed over.
    pub fn events(&self) -> u64 {
        self.connections.iter().map(Connection::events).sum()
    }

    /// Writes the record to `path`.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        std::fs::write(path, self.to_json() + "\n")
            .map_err(|e| format!("cannot write record `{}`: {e}", path.display()))
    }

    /// Reads the record at `path`.
    pub fn read(path: &Path) -> Result<Record, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read record `{}`: {e}", path.display()))?;
        Record::from_json(&text).map_err(|e| format!("`{}` is no record of weir-load: {e}", path.display()))
    }

    /// The record as one line of JSON.
    pub fn to_json(&self) -> String {
        let load = &self.load;
        let connection = |c: &Connection| {
            json!({"number": c.number, "first": c.first, "sent": c.sent, "offered": c.offered, "cut": c.cut,
                "unacknowledged": c.unacknowledged.iter().map(|&(a, b)| json!([a, b])).collect::<Vec<_>>()})
        };
        json!({"weir_load": 1, "transport": self.transport, "form": load.form.name(), "mix": load.mix.name(),
            "seed": load.seed, "start_us": load.start_us, "step_us": load.step_us, "block": load.block,
            "connections": self.connections.iter().map(connection).collect::<Vec<_>>()})
        .to_string()
    }

    /// Reads what [`Record::to_json`] wrote; the error names the key that is amiss.
    pub fn from_json(text: &str) -> Result<Record, String> {
        let all: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if number(&all, "weir_load")? != 1 {
            return Err("`weir_load` is another version than 1".to_string());
        }
        let word = |key: &str| all[key].as_str().ok_or_else(|| format!("`{key}` is missing"));
        let load = Load {
            seed: number(&all, "seed")?,
            mix: Mix::named(word("mix")?).ok_or("unknown `mix`")?,
            form: Form::named(word("form")?).ok_or("unknown `form`")?,
            start_us: number(&all, "start_us")? as i64,
            step_us: number(&all, "step_us")?.max(1),
            block: number(&all, "block")?,
        };
        if load.form == Form::Https && load.block == 0 {
            return Err("`block` is 0".to_string());
        }
        let list = all["connections"].as_array().ok_or("`connections` is missing")?;
        let connections = list.iter().map(connection).collect::<Result<Vec<_>, String>>()?;
        Ok(Record { load, transport: word("transport")?.to_string(), connections })
    }
}

fn number(of: &Value, key: &str) -> Result<u64, String> {
    of[key].as_u64().ok_or_else(|| format!("`{key}` is missing or no number"))
}

fn connection(of: &Value) -> Result<Connection, String> {
    let range = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_u64()?));
    let ranges = of["unacknowledged"].as_array().ok_or("`unacknowledged` is missing")?;
    let made = Connection {
        number: u32::try_from(number(of, "number")?).map_err(|_| "`number` is too large")?,
        first: number(of, "first")?,
        sent: number(of, "sent")?,
        offered: number(of, "offered")?,
        cut: of["cut"].as_bool().ok_or("`cut` is missing")?,
        unacknowledged: ranges
            .iter()
            .map(range)
            .collect::<Option<_>>()
            .ok_or("`unacknowledged` holds no ranges")?,
    };
    if made.first > made.sent || made.sent > made.offered {
        return Err(format!("connection {}: `first`, `sent` and `offered` do not grow", made.number));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let mut posted = Connection { number: 1, sent: 900, offered: 900, ..Connection::default() };
        posted.give_up(100, 200);
        posted.give_up(200, 300);
        posted.give_up(800, 900);
        assert_eq!(posted.unacknowledged, [(100, 300), (800, 900)]);
        let cut =
            Connection { number: 0, first: 7, sent: 12, offered: 15, cut: true, ..Connection::default() };
        let load =
            Load::new(u64::MAX, Mix::Fair, Form::Https, 1_795_341_084_000_000, 2, Some(100.0), 100_000);
        let record = Record { load, transport: "http".to_string(), connections: vec![cut, posted] };
        assert_eq!(Record::from_json(&record.to_json()), Ok(record.clone()));
        assert_eq!(record.events(), 905);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "{}", "[]", "{\"weir_load\":2}", "{\"weir_load\":1,\"seed\":1}"] {
            assert!(Record::from_json(text).is_err(), "{text}");
        }
    }
}
