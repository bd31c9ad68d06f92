//! What a notifier keeps over a restart: one file, replaced whole.
//!
//! Invariants: a reader finds the old file or the new one, never half of one; a file of another version, or one that
//! cannot be read, is put aside and not overwritten.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::firing::{Entry, Firing};
use super::queue::{Item, Queue};
use super::sent::{Key, Sent};
use crate::limits;

const VERSION: &str = "notify/v1";

/// The document.
#[derive(Debug, Deserialize, Serialize)]
struct Document {
    weir: String,
    /// Ids in hexadecimal, oldest first; with `!` behind them their end is meant.
    sent: Vec<String>,
    records: Vec<Line>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    since_us: i64,
    /// JSON of the record.
    record: String,
    /// Of an Alertmanager's alert: episodes by id, `+` behind those that are sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    episodes: Vec<String>,
    #[serde(default)]
    over: bool,
    #[serde(default)]
    told: bool,
}

/// The file of one target.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
}

/// What was in it.
#[derive(Debug)]
pub struct Found {
    sent: Sent,
    entries: Vec<Entry>,
}

impl Kept {
    /// The file `name` below the state folder, whose folder is made.
    pub fn open(state: &Path, name: &str) -> io::Result<Kept> {
        let folder = state.join("notify");
        fs::create_dir_all(&folder).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make `{}`: {error}", folder.display()))
        })?;
        Ok(Kept { path: folder.join(format!("{name}.json")) })
    }

    /// Reads it; what is no good is put aside with a word in the log.
    pub fn load(&self) -> Found {
        let mut found = Found { sent: Sent::new(limits::NOTIFY_IDS), entries: Vec::new() };
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read what a notifier kept");
                return found;
            }
        };
        match serde_json::from_slice::<Document>(&text) {
            Ok(document) if document.weir == VERSION => {
                for key in document.sent.iter().filter_map(|text| key(text, '!')) {
                    found.sent.add(key);
                }
                found.entries = document.records.into_iter().filter_map(entry).collect();
            }
            _ => {
                let aside = self.path.with_extension("unreadable");
                let _ = fs::rename(&self.path, &aside);
                tracing::warn!(path = %aside.display(), "what a notifier kept is not of this version, it is put aside");
            }
        }
        found
    }

    /// Replaces it.
    pub fn save<'a>(&self, sent: &Sent, entries: impl Iterator<Item = &'a Entry>) -> io::Result<()> {
        let records = entries.map(line).collect();
        self.write(Document {
            weir: VERSION.into(),
            sent: sent.iter().map(|key| text(key, '!')).collect(),
            records,
        })
    }

    fn write(&self, document: Document) -> io::Result<()> {
        let text = serde_json::to_vec(&document).expect("texts and numbers are JSON");
        let part = self.path.with_extension("part");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&part, &self.path)?;
        let folder = self.path.parent().expect("it lies in a folder");
        File::open(folder)?.sync_all()
    }

    /// Replaces it by a queue.
    pub fn save_queue(&self, queue: &Queue) -> io::Result<()> {
        let entries: Vec<Entry> =
            queue.waiting().map(|item| Entry::new(item.clone(), Vec::new(), false, false)).collect();
        self.save(queue.sent(), entries.iter())
    }
}

impl Found {
    pub fn queue(self, batch: usize) -> Queue {
        Queue::restored(
            batch,
            self.sent,
            self.entries.into_iter().map(|entry| (*entry.item).clone()).collect(),
        )
    }

    pub fn firing(self, resend_us: i64) -> Firing {
        Firing::restored(resend_us, self.sent, self.entries)
    }
}

fn text((id, flag): Key, mark: char) -> String {
    let mark = if flag { mark.to_string() } else { String::new() };
    format!("{id:032x}{mark}")
}

fn key(text: &str, mark: char) -> Option<Key> {
    let id = text.trim_end_matches(mark);
    Some((u128::from_str_radix(id, 16).ok()?, id.len() < text.len()))
}

fn line(entry: &Entry) -> Line {
    Line {
        since_us: entry.item.since_us,
        record: entry.item.json.to_string(),
        episodes: entry.episodes.iter().map(|episode| text(*episode, '+')).collect(),
        over: entry.over,
        told: entry.told,
    }
}

fn entry(line: Line) -> Option<Entry> {
    let item = Item::read(line.record.into(), line.since_us)?;
    let episodes = line.episodes.iter().filter_map(|text| key(text, '+')).collect();
    Some(Entry::new(item, episodes, line.over, line.told))
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::note;
    use super::*;
    use crate::ledger::record::State;

    fn item(id: u128) -> Item {
        let (_, json) = note(id, State::Notice, |_| {});
        Item::read(String::from_utf8(json).unwrap().into(), 7).unwrap()
    }

    #[test]
    fn what_is_kept_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path(), "hook").unwrap();
        let mut queue = kept.load().queue(1);
        queue.take(item(1));
        queue.take(item(2));
        queue.told(1);
        kept.save_queue(&queue).unwrap();
        let mut again = kept.load().queue(1);
        assert_eq!(again.next(0), queue.next(0));
        assert_eq!(again.sent().iter().collect::<Vec<_>>(), [(1, false), (2, false)]);

        let kept = Kept::open(dir.path(), "am").unwrap();
        let mut firing = kept.load().firing(1);
        firing.take(item(1));
        firing.next(0);
        firing.told(0);
        kept.save(firing.sent(), firing.entries()).unwrap();
        let again = kept.load().firing(1);
        let (entry, before) = (again.entries().next().unwrap(), firing.entries().next().unwrap());
        assert_eq!((entry.told, &entry.episodes, &entry.item), (true, &before.episodes, &before.item));
    }

    #[test]
    fn what_is_no_good_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path(), "hook").unwrap();
        for text in ["", "{", "{\"weir\":\"notify/v9\",\"sent\":[],\"records\":[]}"] {
            fs::write(dir.path().join("notify/hook.json"), text).unwrap();
            assert_eq!(kept.load().queue(1).waiting().len(), 0);
            assert_eq!(fs::read_to_string(dir.path().join("notify/hook.unreadable")).unwrap(), text);
        }
    }
}
