//! Dead letters: events that a sink refused for good, in a file for a person to look at.
//!
//! One JSON object a line: `time`, `sink`, `reason`, `id`, and the event as `raw`, or as `raw_base64` where it is not
//! UTF-8. The file is the owner's alone, and stops growing at its limit; what does not fit is still counted by the caller.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::Refusal;
use super::live::whole_len;
use crate::config::{self, Compress, SinkKind};
use crate::limits;

/// The dead-letter file of one sink, made when there is something to put into it.
#[derive(Debug)]
pub struct DeadLetters {
    sink: String,
    path: PathBuf,
    bytes_max: u64,
    /// With the bytes that are in it.
    file: Option<(File, u64)>,
    full: bool,
}

impl DeadLetters {
    pub fn new(sink: &str, path: PathBuf, bytes_max: u64) -> DeadLetters {
        DeadLetters { sink: sink.to_string(), path, bytes_max, file: None, full: false }
    }

    /// The file of a sink that may refuse events.
    pub fn of(sink: &config::Sink) -> Option<DeadLetters> {
        match &sink.kind {
            SinkKind::Kafka(kafka) => {
                let path = kafka.dead_letters.as_path().to_path_buf();
                Some(DeadLetters::new(&sink.name, path, limits::DEAD_LETTERS_BYTES))
            }
            SinkKind::File(_) | SinkKind::Stdout | SinkKind::Blackhole => None,
        }
    }

    /// Adds one event. Returns whether it is in the file; an error leaves no part of it there.
    pub fn write(&mut self, refusal: &Refusal, time: SystemTime) -> io::Result<bool> {
        let mut line = self.line(refusal, time);
        line.push('\n');
        if self.file.is_none() {
            self.file = Some(self.open()?);
        }
        let (file, len) = self.file.as_mut().expect("opened above");
        if *len + line.len() as u64 > self.bytes_max {
            if !self.full {
                self.full = true;
                tracing::warn!(sink = self.sink, path = %self.path.display(), "the dead-letter file is full");
            }
            return Ok(false);
        }
        match file.write_all(line.as_bytes()) {
            Ok(()) => {
                *len += line.len() as u64;
                Ok(true)
            }
            Err(error) => {
                // Where even this fails, the next process cuts it off.
                let _ = file.set_len(*len);
                self.file = None;
                Err(error)
            }
        }
    }

    fn open(&self) -> io::Result<(File, u64)> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        let len = file.metadata()?.len();
        let whole = whole_len(&file, len, Compress::None)?;
        if whole < len {
            file.set_len(whole)?;
        }
        Ok((file, whole))
    }

    fn line(&self, refusal: &Refusal, time: SystemTime) -> String {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let bytes = refusal.bytes.strip_suffix(b"\n").unwrap_or(&refusal.bytes);
        let (key, raw) = match std::str::from_utf8(bytes) {
            Ok(text) => ("raw", text.to_string()),
            Err(_) => ("raw_base64", STANDARD.encode(bytes)),
        };
        let mut object = serde_json::Map::new();
        object.insert("time".into(), format!("{time:.6}").into());
        object.insert("sink".into(), self.sink.as_str().into());
        object.insert("reason".into(), refusal.reason.into());
        object.insert("id".into(), String::from_utf8_lossy(&refusal.id).into());
        object.insert(key.into(), raw.into());
        serde_json::Value::Object(object).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn refusal(bytes: &[u8]) -> Refusal {
        Refusal { number: 3, row: 1, reason: "too_large", id: b"i-3-2"[..].into(), bytes: bytes.into() }
    }

    #[test]
    fn letters_are_whole_private_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead/kafka.ndjson");
        let time = UNIX_EPOCH + Duration::from_micros(1_795_530_600_000_001);
        let mut letters = DeadLetters::new("kafka", path.clone(), 400);
        assert!(!path.exists());
        assert!(letters.write(&refusal(b"{\"id\":\"i-3-2\"}\n"), time).unwrap());
        assert!(letters.write(&refusal(b"\xff\n"), time).unwrap());
        assert!(!letters.write(&refusal(&[b'x'; 400]), time).unwrap());
        assert!(letters.write(&refusal(b"y\n"), time).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            serde_json::json!({"time": "2026-11-24T14:30:00.000001Z", "sink": "kafka", "reason": "too_large",
                "id": "i-3-2", "raw": "{\"id\":\"i-3-2\"}"})
        );
        assert_eq!(lines[1]["raw_base64"], "/w==");
        assert_eq!(lines.len(), 3);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&path, format!("{text}{{\"torn\":")).unwrap();
        let mut again = DeadLetters::new("kafka", path.clone(), 10_000);
        again.write(&refusal(b"z\n"), time).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }
}
