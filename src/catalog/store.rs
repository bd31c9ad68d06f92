//! Imported packs on disk, with the versions before.
//!
//! Below the state's folder, `packs/ID/` holds `0001.yaml`, `0002.yaml` and so on; the highest number counts. An import
//! is one rename, and so is a rollback, which turns the highest into `0002.rolled-back`. So a crash leaves the one or the
//! other, never half.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Versions of one pack that are kept, the current one among them.
pub const VERSIONS_MAX: usize = 8;

/// The packs below one state folder.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// The current version of an imported pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub id: String,
    pub number: u32,
    pub path: PathBuf,
    /// When the oldest version that is kept was imported.
    pub created: Option<SystemTime>,
    pub modified: Option<SystemTime>,
    /// Numbers of the versions before, newest first.
    pub before: Vec<u32>,
}

/// Whether a text is the id of a pack: 1 to 64 of `a-z`, `0-9` and `_`, a letter first. Such a text names no other folder.
pub fn is_id(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(good)
}

impl Store {
    /// The store below the folder of the state, which need not exist.
    pub fn new(state: &Path) -> Store {
        Store { dir: state.join("packs") }
    }

    /// The folder of a pack.
    ///
    /// # Errors
    /// If `id` is no id.
    pub fn folder(&self, id: &str) -> io::Result<PathBuf> {
        match is_id(id) {
            true => Ok(self.dir.join(id)),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{id}` is no id of a pack"))),
        }
    }

    /// The imported packs, by id.
    pub fn installed(&self) -> io::Result<Vec<Installed>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let Some(id) = name.to_str().filter(|name| is_id(name)) else { continue };
            all.extend(self.find(id)?);
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// The current version of one pack.
    pub fn find(&self, id: &str) -> io::Result<Option<Installed>> {
        let folder = self.folder(id)?;
        let mut numbers = numbers(&folder)?;
        let Some(number) = numbers.pop() else { return Ok(None) };
        numbers.reverse();
        let time = |number: u32| fs::metadata(folder.join(file(number))).and_then(|m| m.modified()).ok();
        Ok(Some(Installed {
            id: id.into(),
            number,
            path: folder.join(file(number)),
            created: time(*numbers.last().unwrap_or(&number)),
            modified: time(number),
            before: numbers,
        }))
    }

    /// Stores a new version, which counts from now on; returns its number. Versions beyond [`VERSIONS_MAX`] are removed.
    pub fn install(&self, id: &str, text: &str) -> io::Result<u32> {
        let folder = self.folder(id)?;
        fs::create_dir_all(&folder)?;
        let known = numbers(&folder)?;
        let number = known.last().unwrap_or(&0) + 1;
        write(&folder.join(file(number)), text.as_bytes())?;
        for old in known.iter().rev().skip(VERSIONS_MAX - 1) {
            fs::remove_file(folder.join(file(*old)))?;
        }
        Ok(number)
    }

    /// Takes the version `number` back, as if it had not been stored.
    pub fn undo(&self, id: &str, number: u32) -> io::Result<()> {
        let folder = self.folder(id)?;
        fs::remove_file(folder.join(file(number)))?;
        sync(&folder)
    }

    /// Makes the version before the current one; returns the number of what no longer counts, `None` if there is nothing.
    pub fn roll_back(&self, id: &str) -> io::Result<Option<u32>> {
        let Some(Installed { number, path, .. }) = self.find(id)? else { return Ok(None) };
        fs::rename(&path, path.with_extension("rolled-back"))?;
        sync(&self.folder(id)?)?;
        Ok(Some(number))
    }

    /// Lets the version that was rolled back count again.
    pub fn roll_forward(&self, id: &str, number: u32) -> io::Result<()> {
        let folder = self.folder(id)?;
        let path = folder.join(file(number));
        fs::rename(path.with_extension("rolled-back"), &path)?;
        sync(&folder)
    }
}

fn file(number: u32) -> String {
    format!("{number:04}.yaml")
}

/// The numbers of the versions in a folder, ascending.
fn numbers(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".yaml")).and_then(|n| n.parse().ok());
        numbers.extend(number.filter(|number| name.to_str() == Some(&file(*number))));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes a file so that it is there whole or not at all, on disk when this returns; makes its folder.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&part, path)?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        (dir, store)
    }

    fn text(store: &Store, id: &str) -> Option<String> {
        store.find(id).unwrap().map(|installed| fs::read_to_string(installed.path).unwrap())
    }

    #[test]
    fn the_last_import_counts_until_it_is_rolled_back() {
        let (_dir, store) = store();
        assert_eq!(store.installed().unwrap(), []);
        assert_eq!(store.roll_back("a").unwrap(), None);
        assert_eq!(store.install("a", "one").unwrap(), 1);
        assert_eq!(store.install("a", "two").unwrap(), 2);
        assert_eq!(store.install("b", "three").unwrap(), 1);
        assert_eq!(text(&store, "a").as_deref(), Some("two"));
        let found = store.find("a").unwrap().unwrap();
        assert_eq!((found.number, found.before), (2, vec![1]));
        assert_eq!(store.roll_back("a").unwrap(), Some(2));
        assert_eq!(text(&store, "a").as_deref(), Some("one"));
        store.roll_forward("a", 2).unwrap();
        assert_eq!(text(&store, "a").as_deref(), Some("two"));
        store.undo("a", 2).unwrap();
        assert_eq!(store.roll_back("a").unwrap(), Some(1));
        assert_eq!(text(&store, "a"), None);
        let ids: Vec<String> = store.installed().unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["b"]);
    }

    #[test]
    fn few_versions_are_kept() {
        let (_dir, store) = store();
        for number in 1..=20 {
            assert_eq!(store.install("a", &number.to_string()).unwrap(), number);
        }
        let found = store.find("a").unwrap().unwrap();
        assert_eq!((found.number, found.before), (20, (13..20).rev().collect()));
    }

    #[test]
    fn half_a_file_and_a_strange_one_do_not_count() {
        let (dir, store) = store();
        store.install("a", "one").unwrap();
        for name in ["0002.part", "2.yaml", "x.yaml", "0003.rolled-back", "0004.yaml~"] {
            fs::write(dir.path().join("packs/a").join(name), "half").unwrap();
        }
        fs::create_dir(dir.path().join("packs/Not-An-Id")).unwrap();
        fs::write(dir.path().join("packs/file"), "").unwrap();
        assert_eq!(store.installed().unwrap().len(), 1);
        assert_eq!(text(&store, "a").as_deref(), Some("one"));
    }

    #[test]
    fn no_name_leaves_the_folder() {
        let (dir, store) = store();
        let names =
            ["..", "../x", "a/b", "/etc", "a\\b", "", ".", "A", "1a", "a-b", "a\0", "ä", &"a".repeat(65)];
        for name in names {
            assert!(store.install(name, "x").is_err(), "{name}");
            assert!(
                store.find(name).is_err() && store.roll_back(name).is_err() && store.undo(name, 1).is_err()
            );
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
