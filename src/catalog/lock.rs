//! One change of a site's packs at a time, whoever makes it: several `weir pack`, or one and a running weir.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Pipeline;

/// How long a change waits for another.
const WAIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// Held while a change is tried and written; the system lets go of it with the process, whatever becomes of that.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of a pipeline's packs.
    ///
    /// # Errors
    /// If another has it for longer than 10 s, or it cannot be had, as text for people.
    pub fn take(pipeline: &Pipeline) -> Result<Lock, String> {
        Lock::within(&path(pipeline), WAIT)
    }

    fn within(path: &Path, wait: Duration) -> Result<Lock, String> {
        let shown = path.display();
        let file = open(path).map_err(|error| format!("cannot open the lock `{shown}`: {error}\n"))?;
        let until = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(format!("cannot lock `{shown}`: {error}\n")),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let seconds = wait.as_secs_f32();
                    return Err(format!(
                        "another change of the packs has held `{shown}` for {seconds} s: try again when it is done\n"
                    ));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            }
        }
    }
}

/// Beside what is changed: in the folder of the state, without one beside the overlay.
fn path(pipeline: &Pipeline) -> PathBuf {
    match pipeline.state.dir.is_empty() {
        false => Path::new(pipeline.state.dir.as_str()).join("packs.lock"),
        true => PathBuf::from(format!("{}.lock", pipeline.overlay.as_str())),
    }
}

/// Opens a file for its lock alone; one that somebody else has made need only be readable.
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_other_waits_no_longer_than_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/packs.lock");
        let held = Lock::within(&path, Duration::ZERO).unwrap();
        let refused = Lock::within(&path, Duration::from_millis(50)).unwrap_err();
        assert!(refused.contains("packs.lock") && refused.contains("0.05 s"), "{refused}");
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || Lock::within(&path, Duration::from_secs(20)).map(drop)
        });
        drop(held);
        waiting.join().unwrap().unwrap();
    }
}
