//! The ledger's state on disk: written every so often and at the end, read at the start.
//!
//! What a crash loses is what came since the last snapshot, as far as windows are concerned; events themselves are the
//! sinks' business.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config;
use crate::flow::Flow;

/// Where the ledger's state is kept, and when it was last written.
pub struct Keeper {
    path: Option<PathBuf>,
    every: Duration,
    written: Instant,
}

impl Keeper {
    /// One that writes into the folder of `state`; into none if its name is empty.
    pub fn new(state: &config::State) -> Keeper {
        let dir = Some(state.dir.as_str()).filter(|dir| !dir.is_empty());
        let path = dir.map(|dir| Path::new(dir).join("ledger.state"));
        Keeper { path, every: state.every, written: Instant::now() }
    }

    /// Lets the ledger go on from what was kept, if there is anything. What cannot be read is set aside and told.
    pub fn restore(&self, flow: &Flow) {
        let Some(path) = &self.path else { return flow.begin_anew() };
        let file = match std::fs::read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return flow.begin_anew(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the ledger's state cannot be read; alerts begin anew");
                return flow.begin_anew();
            }
        };
        match flow.restore(&file) {
            Some(anew) => {
                for alert in &anew {
                    tracing::warn!(
                        alert = &**alert,
                        "nothing was kept of this alert as it is now: it begins as warming"
                    );
                }
                tracing::info!(path = %path.display(), bytes = file.len(), "windows of alerts go on from what was kept");
            }
            None => {
                let aside = path.with_extension("damaged");
                // If it cannot be set aside it is written over, which is as well.
                let _ = std::fs::rename(path, &aside);
                tracing::error!(path = %aside.display(), "the ledger's state is damaged and set aside; alerts begin anew");
                flow.begin_anew();
            }
        }
    }

    /// Writes the state if it is time.
    pub fn keep_now_and_then(&mut self, flow: &Flow) {
        if self.written.elapsed() >= self.every {
            self.keep(flow);
        }
    }

    /// Writes the state: whole or not at all.
    pub fn keep(&mut self, flow: &Flow) {
        self.written = Instant::now();
        let Some(path) = &self.path else { return };
        let Some(file) = flow.snapshot() else { return };
        if let Err(error) = replace(path, &file) {
            tracing::error!(path = %path.display(), %error, "the ledger's state cannot be written");
        }
    }
}

/// Puts a file in the place of another, so that after a crash one of the two is there, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    std::fs::File::open(dir)?.sync_all()
}
