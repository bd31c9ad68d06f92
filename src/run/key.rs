//! The key of what stands for masked values: as long as it is the same, so is what they are called.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "key";

/// The key that is kept in this folder, made if there is none; a new one each time if `dir` is empty, or if nothing can be
/// written there, which is told.
///
/// # Errors
/// If it cannot be read, or is no key.
pub fn of(dir: &Path) -> io::Result<[u64; 2]> {
    let random = || [0, 1].map(|part| RandomState::new().hash_one(part));
    if dir.as_os_str().is_empty() {
        return Ok(random());
    }
    let path = dir.join(NAME);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read.map_err(named),
    }
    let key = random();
    if let Err(error) = make(dir, &path, key) {
        let path = path.display();
        tracing::warn!(%path, %error, "what stands for masked values will be another after a restart");
        return Ok(key);
    }
    // Another process may have been first.
    read(&path).map_err(named)
}

fn read(path: &Path) -> io::Result<[u64; 2]> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(64).read_to_string(&mut text)?;
    let number = |digits: Option<&str>| u64::from_str_radix(digits.filter(|all| all.len() == 16)?, 16).ok();
    let text = text.trim_end();
    let key = number(text.get(..16)).zip(number(text.get(16..)));
    let (first, second) = key.ok_or_else(|| io::Error::other("it should hold 32 hexadecimal digits"))?;
    Ok([first, second])
}

/// Writes a key that only its owner may read; whole, and not over another.
fn make(dir: &Path, path: &Path, [first, second]: [u64; 2]) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let part = dir.join(format!(".{NAME}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    writeln!(file, "{first:016x}{second:016x}")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&part, path);
    std::fs::remove_file(&part)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::File::open(dir)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_key_stays_and_one_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = super::of(dir.path()).unwrap();
        assert_eq!(super::of(dir.path()).unwrap(), key);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_ne!(super::of(Path::new("")).unwrap(), super::of(Path::new("")).unwrap());
        for wrong in ["", "0123", "zz0000000000000000000000000000zz", "é0000000000000000000000000000000"] {
            std::fs::write(dir.path().join("key"), wrong).unwrap();
            assert!(super::of(dir.path()).unwrap_err().to_string().contains("32 hexadecimal"), "{wrong}");
        }
    }
}
