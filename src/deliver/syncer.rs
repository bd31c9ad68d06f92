//! Makes finished files durable beside the sink's own thread: to sync a gigabyte takes seconds, in which nothing would be
//! written and a listener would have to shed.

use std::fs::File;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};

/// Files that may wait to be synced; beyond them the sink syncs its own.
const WAITING: usize = 8;

/// A thread that syncs, begun with the first file. Dropping it waits until all files are durable.
#[derive(Default)]
pub(super) struct Syncer {
    running: Option<(Sender<(String, File)>, JoinHandle<()>)>,
}

impl Syncer {
    /// Syncs `file`, whose name is for the log, some time soon.
    pub fn later(&mut self, name: String, file: File) {
        if self.running.is_none() {
            let (files, waiting) = bounded::<(String, File)>(WAITING);
            let work = move || waiting.iter().for_each(|(name, file)| sync(&name, &file));
            match std::thread::Builder::new().name("syncer".into()).spawn(work) {
                Ok(thread) => self.running = Some((files, thread)),
                Err(_) => return sync(&name, &file),
            }
        }
        let Some((files, _)) = &self.running else { return };
        match files.try_send((name, file)) {
            Ok(()) => {}
            Err(TrySendError::Full((name, file)) | TrySendError::Disconnected((name, file))) => {
                sync(&name, &file)
            }
        }
    }
}

fn sync(name: &str, file: &File) {
    if let Err(error) = file.sync_all() {
        tracing::error!(file = name, %error, "a finished file could not be made durable");
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some((files, thread)) = self.running.take() {
            drop(files);
            // It cannot panic; if it did, there would be nothing left to do for its files.
            let _ = thread.join();
        }
    }
}
